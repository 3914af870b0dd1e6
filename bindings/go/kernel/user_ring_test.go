//go:build linux && cgo

// SPDX-License-Identifier: MIT

package kernel

import (
	"encoding/binary"
	"errors"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// A user ring whose program answers each record with its first 8 bytes, through a ring buffer.
type userRing struct {
	requests *ebpf.Map
	drain    *ebpf.Program
	producer *ringbuf.Producer
	answers  *ringbuf.Reader
}

// bpf_user_ringbuf_drain(requests, callback, NULL, 0); what it returns is the program's result. The
// kernel wants the types of both functions.
func drainProgram(requests, answers *ebpf.Map) asm.Instructions {
	integer := &btf.Int{Name: "int", Size: 4, Encoding: btf.Signed}
	function := func(name string) *btf.Func {
		return &btf.Func{Name: name, Type: &btf.FuncProto{Return: integer}, Linkage: btf.StaticFunc}
	}
	callback := asm.Instruction{
		OpCode: asm.LoadImmOp(asm.DWord), Dst: asm.R2, Src: asm.PseudoFunc, Constant: -1,
	}
	return asm.Instructions{
		btf.WithFuncMetadata(asm.LoadMapPtr(asm.R1, requests.FD()).WithSymbol("drain"), function("drain")),
		callback.WithReference("answer"),
		asm.Mov.Imm(asm.R3, 0),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnUserRingbufDrain.Call(),
		asm.Return(),
		btf.WithFuncMetadata(asm.Mov.Reg(asm.R3, asm.R1).WithSymbol("answer"), function("answer")),
		asm.Mov.Imm(asm.R2, 0),
		asm.StoreMem(asm.RFP, -8, asm.R2, asm.DWord),
		asm.Mov.Reg(asm.R1, asm.RFP),
		asm.Add.Imm(asm.R1, -8),
		asm.Mov.Imm(asm.R2, 8),
		asm.Mov.Imm(asm.R4, 0),
		asm.Mov.Imm(asm.R5, 0),
		asm.FnDynptrRead.Call(),
		asm.LoadMapPtr(asm.R1, answers.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -8),
		asm.Mov.Imm(asm.R3, 8),
		asm.Mov.Imm(asm.R4, 0),
		asm.FnRingbufOutput.Call(),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}
}

func newUserRing(t *testing.T, size int) *userRing {
	t.Helper()
	requests := newMap(t, ebpf.MapSpec{Type: ebpf.UserRingbuf, MaxEntries: uint32(size)})
	answers := newMap(t, ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: uint32(4 * size)})
	ring := &userRing{requests: requests, drain: newProgram(t, drainProgram(requests, answers))}
	var err error
	if ring.producer, err = ringbuf.NewProducer(requests); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ring.producer.Close() })
	if ring.answers, err = ringbuf.NewReader(answers); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ring.answers.Close() })
	return ring
}

// Drain drains, and returns the numbers that were answered.
func (r *userRing) Drain(t *testing.T) []uint64 {
	t.Helper()
	drained, err := run(r.drain)
	if err != nil || drained < 0 {
		t.Fatalf("drain: %d, %v", drained, err)
	}
	numbers := make([]uint64, drained)
	for i := range numbers {
		record, err := r.answers.Read()
		if err != nil {
			t.Fatal(err)
		}
		numbers[i] = binary.NativeEndian.Uint64(record.RawSample)
	}
	return numbers
}

func (r *userRing) Fill(t *testing.T) int {
	t.Helper()
	count := 0
	for ; r.producer.Output(number(uint64(count)), 0) == nil; count++ {
	}
	return count
}

func number(n uint64) []byte {
	return binary.NativeEndian.AppendUint64(nil, n)
}

func TestUserRingIsDrained(t *testing.T) {
	ring := newUserRing(t, os.Getpagesize())
	data, err := ring.producer.Reserve(8)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.producer.Output(number(2), 0); err != nil {
		t.Fatal(err)
	}
	if got := ring.Drain(t); len(got) != 0 {
		t.Fatalf("drained %v before an unfinished record", got)
	}
	copy(data, number(1))
	if err := ring.producer.Submit(data, 0); err != nil {
		t.Fatal(err)
	}
	if got := ring.Drain(t); len(got) != 2 || got[0] != 1 || got[1] != 2 {
		t.Fatalf("drained %v", got)
	}
	data, err = ring.producer.Reserve(0)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.producer.Discard(data, 0); err != nil {
		t.Fatal(err)
	}
	if got := ring.Drain(t); len(got) != 0 {
		t.Fatalf("drained %v of a discarded record", got)
	}
	if _, err = ring.producer.Reserve(os.Getpagesize() - 7); !errors.Is(err, syscall.EMSGSIZE) {
		t.Fatalf("oversize: %v", err)
	}
	if _, err = ringbuf.NewProducer(ring.requests); !errors.Is(err, syscall.EBUSY) {
		t.Fatalf("a second producer: %v", err)
	}
	// It insists: what the first one left unfinished is discarded.
	if _, err = ring.producer.Reserve(8); err != nil {
		t.Fatal(err)
	}
	second, err := ringbuf.NewProducer(ring.requests, ringbuf.WithProducerInsist())
	if err != nil {
		t.Fatalf("insisting: %v", err)
	}
	if err := second.Output(number(3), 0); err != nil {
		t.Fatal(err)
	}
	if got := ring.Drain(t); len(got) != 1 || got[0] != 3 {
		t.Fatalf("drained %v of the producer that insists", got)
	}
	second.Close()
	answers := newMap(t, ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: uint32(os.Getpagesize())})
	if _, err = ringbuf.NewProducer(answers); !errors.Is(err, syscall.EMEDIUMTYPE) {
		t.Fatalf("another map: %v", err)
	}
	ring.producer.Close()
	if _, err := ring.producer.ReserveWait(8, -1); !errors.Is(err, ringbuf.ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
}

// A full ring, and all of many records in order, by batches that end where the ring is full.
func TestUserRingBatches(t *testing.T) {
	ring := newUserRing(t, os.Getpagesize())
	const total = 20000
	batch := make([][]byte, 50)
	sent, seen, full := 0, 0, 0
	for sent < total {
		for i := range batch {
			batch[i] = append(number(uint64(sent+i)), make([]byte, (sent+i)%40)...)
		}
		written, err := ring.producer.OutputBatch(batch, 0)
		sent += written
		if (err == nil) != (written > 0) || err != nil && !errors.Is(err, syscall.EAGAIN) {
			t.Fatalf("%d written: %v", written, err)
		}
		if written == len(batch) {
			continue
		}
		full++
		for _, got := range ring.Drain(t) {
			if got != uint64(seen) {
				t.Fatalf("got %d instead of %d", got, seen)
			}
			seen++
		}
		if seen != sent {
			t.Fatalf("%d sent, %d seen", sent, seen)
		}
	}
	if full < 100 {
		t.Fatalf("the ring was full %d times only", full)
	}
	large := [][]byte{number(1), make([]byte, os.Getpagesize()), number(2)}
	written, err := ring.producer.OutputBatch(large, 0)
	if written != 1 || err != nil {
		t.Fatalf("oversize within a batch: %d, %v", written, err)
	}
	if _, err = ring.producer.OutputBatch(large[written:], 0); !errors.Is(err, syscall.EMSGSIZE) {
		t.Fatalf("oversize: %v", err)
	}
}

func TestUserRingWaits(t *testing.T) {
	ring := newUserRing(t, os.Getpagesize())
	count := ring.Fill(t)
	begin := time.Now()
	if _, err := ring.producer.ReserveWait(8, 20*time.Millisecond); !errors.Is(err, syscall.EAGAIN) {
		t.Fatalf("a full ring: %v", err)
	}
	if time.Since(begin) < 20*time.Millisecond {
		t.Fatal("it did not wait")
	}
	var group sync.WaitGroup
	for i := range 3 {
		group.Go(func() {
			data, err := ring.producer.ReserveWait(8, -1)
			if err != nil {
				t.Error(err)
				return
			}
			copy(data, number(uint64(1000+i)))
			if err := ring.producer.Submit(data, 0); err != nil {
				t.Error(err)
			}
		})
	}
	time.Sleep(10 * time.Millisecond)
	if got := ring.Drain(t); len(got) != count {
		t.Fatalf("drained %d of %d", len(got), count)
	}
	group.Wait()
	if got := ring.Drain(t); len(got) != 3 {
		t.Fatalf("drained %v of those that waited", got)
	}
}
