module rbcore.example/bench/rbcore

go 1.25.0

require (
	github.com/rbcore/rbcore/bindings/go v0.0.0
	rbcore.example/bench/peers v0.0.0
)

require golang.org/x/sys v0.43.0 // indirect

replace (
	github.com/rbcore/rbcore/bindings/go => ../../../bindings/go
	rbcore.example/bench/peers => ../../peers/go
)
