//go:build linux && cgo

// SPDX-License-Identifier: MIT

// Package kernel runs the tests on a ring of the kernel, which a program loaded by cilium/ebpf
// fills. It is a module of its own, so that the package's users need not have that one.
package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
	"github.com/rbcore/rbcore/bindings/go/internal/readertest"
)

// What is to be produced stands in a map: size, flags, content.
const (
	contentMax = 1024
	orderSize  = 16 + contentMax
)

type kernelSource struct {
	*ebpf.Map
	order   *ebpf.Map
	output  *ebpf.Program
	discard *ebpf.Program
}

// The order's value into R0, or an exit.
func lookUp(order *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.LoadMapPtr(asm.R1, order.FD()),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "exit"),
	}
}

// bpf_ringbuf_output(ring, content, size, flags); its result is the program's.
func outputProgram(ring, order *ebpf.Map) asm.Instructions {
	return append(lookUp(order),
		asm.Mov.Reg(asm.R2, asm.R0),
		asm.Add.Imm(asm.R2, 16),
		asm.LoadMem(asm.R3, asm.R0, 0, asm.DWord),
		asm.LoadMem(asm.R4, asm.R0, 8, asm.DWord),
		asm.JGT.Imm(asm.R3, contentMax, "exit"),
		asm.LoadMapPtr(asm.R1, ring.FD()),
		asm.FnRingbufOutput.Call(),
		asm.Return().WithSymbol("exit"),
	)
}

func discardProgram(ring *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.LoadMapPtr(asm.R1, ring.FD()),
		asm.Mov.Imm(asm.R2, 16),
		asm.Mov.Imm(asm.R3, 0),
		asm.FnRingbufReserve.Call(),
		asm.JEq.Imm(asm.R0, 0, "full"),
		asm.Mov.Reg(asm.R1, asm.R0),
		asm.Mov.Imm(asm.R2, 0),
		asm.FnRingbufDiscard.Call(),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
		asm.Mov.Imm(asm.R0, 1).WithSymbol("full"),
		asm.Return(),
	}
}

func newMap(t testing.TB, spec ebpf.MapSpec) *ebpf.Map {
	t.Helper()
	m, err := ebpf.NewMap(&spec)
	skipWithoutBPF(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

func newProgram(t testing.TB, instructions asm.Instructions) *ebpf.Program {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SocketFilter, Instructions: instructions, License: "Dual MIT/GPL",
	})
	skipWithoutBPF(t, err)
	t.Cleanup(func() { program.Close() })
	return program
}

func skipWithoutBPF(t testing.TB, err error) {
	t.Helper()
	if errors.Is(err, os.ErrPermission) || errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, syscall.ENOSYS) {
		t.Skipf("skipped: no BPF: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func newKernelSource(t testing.TB, size int) readertest.Source {
	t.Helper()
	return newKernelRing(t, size, 0)
}

func newKernelRing(t testing.TB, size int, flags uint32) *kernelSource {
	t.Helper()
	ring := newMap(t, ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: uint32(size), Flags: flags})
	order := newMap(t, ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: orderSize, MaxEntries: 1})
	return &kernelSource{
		Map:     ring,
		order:   order,
		output:  newProgram(t, outputProgram(ring, order)),
		discard: newProgram(t, discardProgram(ring)),
	}
}

func run(program *ebpf.Program) (int32, error) {
	result, err := program.Run(&ebpf.RunOptions{Data: make([]byte, 14)})
	return int32(result), err
}

func (s *kernelSource) Produce(data []byte, flags uint32) (bool, error) {
	order := make([]byte, orderSize)
	binary.NativeEndian.PutUint64(order, uint64(len(data)))
	binary.NativeEndian.PutUint64(order[8:], uint64(flags))
	copy(order[16:], data)
	if err := s.order.Put(uint32(0), order); err != nil {
		return false, err
	}
	result, err := run(s.output)
	if err != nil || result == -int32(syscall.EAGAIN) {
		return false, err
	}
	if result != 0 {
		return false, fmt.Errorf("bpf_ringbuf_output: %d", result)
	}
	return true, nil
}

func (s *kernelSource) Discard() error {
	result, err := run(s.discard)
	if err == nil && result != 0 {
		err = errors.New("the ring is full")
	}
	return err
}

func TestKernelRing(t *testing.T) {
	newKernelSource(t, os.Getpagesize()) // or skip all
	readertest.Run(t, newKernelSource)
}

func TestResident(t *testing.T) {
	readertest.Resident(t, newKernelSource, "bpf-map")
}

func TestOtherMap(t *testing.T) {
	array := newMap(t, ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	_, err := ringbuf.NewReader(array)
	if !errors.Is(err, syscall.EMEDIUMTYPE) {
		t.Fatalf("got %v instead of EMEDIUMTYPE", err)
	}
}

// The map may be closed as soon as the reader is open.
func TestMapIsClosed(t *testing.T) {
	source := newKernelSource(t, os.Getpagesize()).(*kernelSource)
	reader, err := ringbuf.NewReader(source)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := source.Map.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := source.Produce([]byte("content"), 0); err != nil {
		t.Fatal(err)
	}
	record, err := reader.Read()
	if err != nil || string(record.RawSample) != "content" {
		t.Fatalf("got %q, %v", record.RawSample, err)
	}
}

// A map in overwrite mode, where the kernel has such.
func TestOverwriteMap(t *testing.T) {
	const overwrite = 1 << 19 // BPF_F_RB_OVERWRITE
	has, err := ringbuf.Supports(ringbuf.FeatureOverwrite)
	skipWithoutBPF(t, err)
	if !has {
		t.Skip("skipped: the kernel has no rings in overwrite mode")
	}
	source := newKernelRing(t, os.Getpagesize(), overwrite)
	if _, err := ringbuf.NewReader(source); !errors.Is(err, syscall.EOPNOTSUPP) {
		t.Fatalf("got %v instead of EOPNOTSUPP", err)
	}
	reader, err := ringbuf.NewReader(source, ringbuf.WithOverwrite())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	const count = 1000
	for number := range uint64(count) {
		if done, err := source.Produce(binary.NativeEndian.AppendUint64(nil, number), 0); err != nil || !done {
			t.Fatal(done, err)
		}
	}
	records := make([]ringbuf.Record, count)
	n, err := reader.ReadBatch(records)
	if err != nil || n < 100 || n == count || !records[0].LostBefore() {
		t.Fatalf("%d records, %v", n, err)
	}
	for i := range records[:n] {
		if got := binary.NativeEndian.Uint64(records[i].RawSample); got != uint64(count-n+i) {
			t.Fatalf("record %d is %d", i, got)
		}
	}
}

// A user ring is written to; what a BPF program would do with it is no matter of the binding.
func TestUserRing(t *testing.T) {
	ring := newMap(t, ebpf.MapSpec{Type: ebpf.UserRingbuf, MaxEntries: uint32(os.Getpagesize())})
	producer, err := ringbuf.NewProducer(ring)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if n, err := producer.OutputBatch([][]byte{[]byte("one"), []byte("two")}, 0); n != 2 || err != nil {
		t.Fatal(n, err)
	}
	written := 2
	for err = nil; err == nil; written++ {
		err = producer.Output(make([]byte, 8), 0)
	}
	if !errors.Is(err, syscall.EAGAIN) || written < os.Getpagesize()/16 {
		t.Fatal(written, err)
	}
	if _, err := ringbuf.NewReader(ring); !errors.Is(err, syscall.EMEDIUMTYPE) {
		t.Fatalf("got %v instead of EMEDIUMTYPE", err)
	}
}
