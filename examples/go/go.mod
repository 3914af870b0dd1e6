module rbcore.example/go

go 1.25.0

require (
	github.com/cilium/ebpf v0.22.0
	github.com/rbcore/rbcore/bindings/go v0.0.0
)

require golang.org/x/sys v0.43.0 // indirect

replace github.com/rbcore/rbcore/bindings/go => ../../bindings/go

tool (
	github.com/cilium/ebpf/cmd/bpf2go
	github.com/rbcore/rbcore/bindings/go/bpfheader/rbcore-include
)
