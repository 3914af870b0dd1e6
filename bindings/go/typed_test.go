// SPDX-License-Identifier: MIT

package ringbuf_test

import (
	"errors"
	"strings"
	"structs"
	"syscall"
	"testing"
	"unsafe"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// The kinds of fields that a record may have, 64 bytes.
type event struct {
	_      structs.HostLayout
	Number uint64
	PID    uint32
	Kind   kind
	Comm   [16]byte
	Ports  [2]struct{ From, To int16 }
	_      [8]byte
	Load   float64
	Flags  uint16
	_      [6]byte
}

type kind int32

type holed struct {
	A uint32
	B uint64
}

func verdictOf[T any]() error {
	_, err := ringbuf.TypedOf[T]()
	if _, again := ringbuf.TypedOf[T](); again != err {
		return errors.New("another verdict the second time")
	}
	if _, once := ringbuf.As[T](make([]byte, 64)); once != err {
		return errors.New("another verdict by As")
	}
	return err
}

// What bytes of C cannot be looked at as is refused, by the name of the field.
func TestTypedRules(t *testing.T) {
	for want, err := range map[string]error{
		"holed.B has padding before it, which must be a field: _ [4]byte":  verdictOf[holed](),
		"[2]ringbuf_test.holed.B has padding before ":                      verdictOf[[2]holed](),
		".Inner.B has padding before it, which must be a field: _ [4]byte": verdictOf[struct{ Inner holed }](),
		".Inner has padding before it, which must be a field: _ [4]byte": verdictOf[struct {
			A     uint32
			Inner struct{ B uint64 }
		}](),
		"has padding at its end, which must be a field: _ [6]byte": verdictOf[struct {
			A uint64
			B uint16
		}](),
		"has padding at its end, which must be a field: _ [1]byte": verdictOf[struct {
			A uint16
			B uint8
		}](),
		".Data has no bytes, and Go lays padding behind it at the end: leave it out": verdictOf[struct {
			Size uint32
			Data [0]byte
		}](),
		".B has padding before it, which must be a field: _ [4]byte": verdictOf[struct {
			A uint32
			B [0]uint64
			C uint32
		}](),
		".P is a *int32": verdictOf[struct{ P *int32 }](),
		".S is a string": verdictOf[struct {
			A uint64
			S string
		}](),
		".S is a []uint8":        verdictOf[struct{ S []byte }](),
		".Is is a bool":          verdictOf[struct{ Is [8]bool }](),
		".N is a int,":           verdictOf[struct{ N int }](),
		".N is a uint,":          verdictOf[struct{ N uint }](),
		".N is a uintptr":        verdictOf[struct{ N uintptr }](),
		".N is a complex64":      verdictOf[struct{ N complex64 }](),
		".N is a interface":      verdictOf[struct{ N any }](),
		"struct {} has no bytes": verdictOf[struct{}](),
		"is a unsafe.Pointer":    verdictOf[unsafe.Pointer](),
	} {
		if !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v instead of ... %s", err, want)
		}
	}
	for _, err := range []error{verdictOf[event](), verdictOf[uint64](), verdictOf[[3]uint8](), verdictOf[[0]uint64]()} {
		if err != nil && !strings.Contains(err.Error(), "has no bytes") {
			t.Error(err)
		}
	}
}

func TestTypedSamples(t *testing.T) {
	typed, err := ringbuf.TypedOf[event]()
	if err != nil {
		t.Fatal(err)
	}
	memory := make([]uint64, 10)
	sample := unsafe.Slice((*byte)(unsafe.Pointer(&memory[0])), 80)
	memory[0], sample[12] = 7, 1
	for _, length := range []int{64, 65, 80} {
		got, err := typed.As(sample[:length])
		if err != nil || got.Number != 7 || unsafe.Pointer(got) != unsafe.Pointer(&memory[0]) {
			t.Fatalf("%d bytes: %v, %v", length, got, err)
		}
	}
	refused := func(want string, sample []byte, typed ringbuf.Typed[event]) {
		t.Helper()
		got, err := typed.As(sample)
		if got != nil || !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, %v instead of ... %s", got, err, want)
		}
	}
	refused("a sample of 63 bytes is too short for ringbuf_test.event, which has 64", sample[:63], typed)
	refused("a sample of 0 bytes is too short", nil, typed)
	refused("is not aligned to", sample[1:], typed)
	refused("is not aligned to", sample[2:], typed)
	refused("was not made by TypedOf", sample, ringbuf.Typed[event]{})
	if _, err := ringbuf.As[uint8](sample[1:]); err != nil {
		t.Error(err)
	}
}

// A span that no reader made is looked at no further than its bytes.
func TestTypedSpanOfNoReader(t *testing.T) {
	typed, err := ringbuf.TypedOf[uint64]()
	if err != nil {
		t.Fatal(err)
	}
	memory := make([]uint64, 4)
	data := unsafe.Slice((*byte)(unsafe.Pointer(&memory[0])), 32)
	if _, err := typed.Span(&ringbuf.Span{Data: data, Size: 8, Stride: 16, Count: 2}); err != nil {
		t.Fatal(err)
	}
	for _, span := range []*ringbuf.Span{
		nil, {}, {Data: data, Size: 8, Stride: 16}, {Data: data, Size: 8, Stride: 16, Count: -1},
		{Data: data, Size: 8, Stride: 16, Count: 3}, {Data: data, Size: 8, Stride: 12, Count: 2},
		{Data: data, Size: 8, Stride: 0, Count: 2}, {Data: data, Size: 4, Stride: 16, Count: 2},
		{Data: data, Size: 8, Stride: 8, Count: 1<<(unsafe.Sizeof(0)*8-3) + 1}, // a multiple that overflows
		{Data: data[1:], Size: 8, Stride: 16, Count: 1}, {Data: data, Size: -8, Stride: 16, Count: 1},
	} {
		if _, err := typed.Span(span); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("%+v: %v", span, err)
		}
	}
}
