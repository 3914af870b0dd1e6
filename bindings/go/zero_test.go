//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf_test

import (
	"errors"
	"reflect"
	"strings"
	"syscall"
	"testing"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// call calls a method with zero arguments, and goes through the loop if it returns one.
func call(t *testing.T, method reflect.Value) (result error) {
	t.Helper()
	defer func() {
		if fault := recover(); fault != nil {
			t.Errorf("a panic: %v", fault)
		}
	}()
	var arguments []reflect.Value
	for i := range method.Type().NumIn() {
		if !method.Type().IsVariadic() || i < method.Type().NumIn()-1 {
			arguments = append(arguments, reflect.Zero(method.Type().In(i)))
		}
	}
	for _, value := range method.Call(arguments) {
		if err, ok := value.Interface().(error); ok {
			result = err
		}
		if value.Kind() == reflect.Func {
			yield := reflect.MakeFunc(value.Type().In(0), func([]reflect.Value) []reflect.Value {
				t.Error("a loop over nothing has something")
				return []reflect.Value{reflect.ValueOf(false)}
			})
			value.Call([]reflect.Value{yield})
		}
	}
	return result
}

// Each method of a value that was never opened returns an error where it can, and never panics.
func TestZeroValues(t *testing.T) {
	for name, value := range map[string]any{
		"nil Reader": (*ringbuf.Reader)(nil), "zero Reader": new(ringbuf.Reader),
		"nil Producer": (*ringbuf.Producer)(nil), "zero Producer": new(ringbuf.Producer),
		"nil MemoryRing": (*ringbuf.MemoryRing)(nil), "zero MemoryRing": new(ringbuf.MemoryRing),
		"nil Snapshot": (*ringbuf.Snapshot)(nil),
	} {
		of := reflect.TypeOf(value)
		for i := range of.NumMethod() {
			method := of.Method(i)
			t.Run(name+"/"+method.Name, func(t *testing.T) {
				err := call(t, reflect.ValueOf(value).Method(i))
				last := method.Type.NumOut() - 1
				if last < 0 || method.Type.Out(last) != reflect.TypeFor[error]() {
					return
				}
				if !errors.Is(err, syscall.EINVAL) || !strings.HasPrefix(err.Error(), "ringbuf: ") {
					t.Errorf("got %v", err)
				}
			})
		}
	}
	// The zero Snapshot is an empty one.
	var snapshot ringbuf.Snapshot
	of := reflect.TypeOf(&snapshot)
	for i := range of.NumMethod() {
		call(t, reflect.ValueOf(&snapshot).Method(i))
	}
	_, err := snapshot.Info()
	wants(t, err, syscall.ENODATA)
	must(t, errors.Join(snapshot.Err(), snapshot.Close()))
}

// embedded is a ring whose FD panics, as that of a nil map of cilium/ebpf does.
type embedded struct{ *descriptor }

func TestNilArguments(t *testing.T) {
	ring, producer := newRing(t)
	reader, err := ringbuf.NewReader(ring)
	must(t, err)
	defer reader.Close()
	var noRing *ringbuf.MemoryRing
	for _, ring := range []ringbuf.Ring{nil, noRing, new(ringbuf.MemoryRing), (*descriptor)(nil), embedded{}} {
		_, err := ringbuf.NewReader(ring)
		wants(t, err, syscall.EINVAL)
		_, err = ringbuf.NewProducer(ring)
		wants(t, err, syscall.EINVAL)
		if !strings.Contains(err.Error(), " is nil") {
			t.Errorf("got %v", err)
		}
		_, err = ringbuf.NewReader(another(t), ringbuf.WithLossMap(ring))
		wants(t, err, syscall.EINVAL)
	}
	_, err = ringbuf.NewReader(ring, nil)
	wants(t, err, syscall.EINVAL)
	_, err = ringbuf.NewProducer(ring, nil)
	wants(t, err, syscall.EINVAL)
	must(t, producer.Output([]byte("kept"), 0))
	wants(t, reader.ReadInto(nil), syscall.EINVAL)
	wants(t, reader.ReadZeroCopy(nil), syscall.EINVAL)
	wants(t, reader.CommitTo(nil), syscall.EINVAL)
	wants(t, reader.SnapshotInto(0, nil), syscall.EINVAL)
	_, _, err = reader.SnapshotHeader(nil, nil)
	wants(t, err, syscall.EINVAL)
	wants(t, reader.ConsumeInto(0, nil), syscall.EINVAL)
	_, err = ringbuf.ReadSnapshot(nil)
	wants(t, err, syscall.EINVAL)
	_, err = new(ringbuf.Snapshot).WriteTo(nil)
	wants(t, err, syscall.EINVAL)
	if record, err := reader.Read(); err != nil || string(record.RawSample) != "kept" {
		t.Fatalf("got %q, %v", record.RawSample, err)
	}
}

func another(t *testing.T) ringbuf.Ring {
	ring, _ := newRing(t)
	return ring
}

// The zero ring has not the descriptor 0.
func TestZeroMemoryRingIsNotStdin(t *testing.T) {
	var before, after syscall.Stat_t
	must(t, syscall.Fstat(0, &before))
	new(ringbuf.MemoryRing).Close()
	must(t, syscall.Fstat(0, &after))
	if before.Ino != after.Ino {
		t.Fatal("the zero ring closed descriptor 0")
	}
}
