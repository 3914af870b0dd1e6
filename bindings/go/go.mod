module github.com/rbcore/rbcore/bindings/go

go 1.24
