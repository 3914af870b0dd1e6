module github.com/rbcore/rbcore/bindings/go/random

go 1.24

require (
	github.com/rbcore/rbcore/bindings/go v0.0.0
	pgregory.net/rapid v1.3.0
)

replace github.com/rbcore/rbcore/bindings/go => ../
