//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf_test

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

func TestProducer(t *testing.T) {
	ring, producer := newRing(t)
	_, err := producer.Reserve(os.Getpagesize())
	wants(t, err, syscall.EMSGSIZE)
	wants(t, producer.Submit(make([]byte, 8), 0), syscall.EINVAL)
	wants(t, producer.Discard(nil, 0), syscall.EINVAL)
	wants(t, producer.Output(nil, 8), syscall.EINVAL)

	for _, size := range []int{0, 1, 100} {
		data, err := producer.Reserve(size)
		if err != nil || len(data) != size {
			t.Fatalf("reserve %d: %d bytes, %v", size, len(data), err)
		}
		for i := range data {
			data[i] = byte(size + i)
		}
		if err := producer.Submit(data, 0); err != nil {
			t.Fatal(err)
		}
		wants(t, producer.Submit(data, 0), syscall.EINVAL)
	}
	if err := producer.Output(nil, 0); err != nil {
		t.Fatal(err)
	}
	left, err := producer.Reserve(8) // abandoned by Close
	if err != nil || len(left) != 8 {
		t.Fatal(err)
	}
	if err := errors.Join(producer.Close(), producer.Close()); err != nil {
		t.Fatal(err)
	}
	wants(t, producer.Output(nil, 0), ringbuf.ErrClosed)
	_, err = producer.Reserve(8)
	wants(t, err, ringbuf.ErrClosed)

	reader, err := ringbuf.NewReader(ring)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := reader.Flush(); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{0, 1, 100, 0} {
		record, err := reader.Read()
		if err != nil || len(record.RawSample) != size {
			t.Fatalf("got %d bytes instead of %d, %v", len(record.RawSample), size, err)
		}
		for i, got := range record.RawSample {
			if got != byte(size+i) {
				t.Fatalf("byte %d of %d is %d", i, size, got)
			}
		}
	}
	_, err = reader.Read()
	wants(t, err, ringbuf.ErrFlushed)
	// A flush waits for no unfinished record; the next look skips it.
	reader.SetDeadline(time.Unix(1, 0))
	_, err = reader.Read()
	wants(t, err, os.ErrDeadlineExceeded)
	stats, err := reader.RingStats(0)
	if err != nil || stats.Abandoned != 1 {
		t.Fatalf("%d abandoned, %v", stats.Abandoned, err)
	}
}

func TestOutputBatch(t *testing.T) {
	ring, producer := newRing(t)
	reader, err := ringbuf.NewReader(ring)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if n, err := producer.OutputBatch(nil, 0); n != 0 || err != nil {
		t.Fatal(n, err)
	}
	samples := [][]byte{[]byte("one"), nil, []byte("three")}
	if n, err := producer.OutputBatch(samples, 0); n != 3 || err != nil {
		t.Fatal(n, err)
	}
	for _, want := range samples {
		record, err := reader.Read()
		if err != nil || string(record.RawSample) != string(want) {
			t.Fatalf("got %q, %v", record.RawSample, err)
		}
	}
	half := make([]byte, os.Getpagesize()/2-16)
	n, err := producer.OutputBatch([][]byte{half, half, half}, 0)
	if n != 1 && n != 2 || err != nil {
		t.Fatal(n, err)
	}
	_, err = producer.OutputBatch([][]byte{half, half}, 0)
	wants(t, err, syscall.EAGAIN)
	_, err = producer.OutputBatch([][]byte{make([]byte, 2*os.Getpagesize())}, 0)
	wants(t, err, syscall.EMSGSIZE)
}

func TestReserveWait(t *testing.T) {
	ring, producer := newRing(t)
	reader, err := ringbuf.NewReader(ring)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if _, err := producer.Reserve(-1); !errors.Is(err, syscall.EINVAL) {
		t.Fatal(err)
	}
	large := os.Getpagesize() - 16
	if err := producer.Output(make([]byte, large), 0); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	_, err = producer.ReserveWait(8, 20*time.Millisecond)
	wants(t, err, syscall.EAGAIN)
	if waited := time.Since(begin); waited < 20*time.Millisecond {
		t.Fatalf("waited for %v only", waited)
	}
	time.AfterFunc(20*time.Millisecond, func() { reader.Read() })
	data, err := producer.ReserveWait(8, -1)
	if err != nil || len(data) != 8 {
		t.Fatal(len(data), err)
	}
	if err := producer.Submit(data, 0); err != nil {
		t.Fatal(err)
	}
}

// ---- Overwrite mode ----

// Close comes between a wait for room and the Submit that would make some.
func TestCloseEndsReserveWait(t *testing.T) {
	ring, producer := newRing(t)
	_ = ring
	reserved, err := producer.Reserve(1000)
	must(t, err)
	for err == nil {
		err = producer.Output(make([]byte, 100), 0)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := producer.ReserveWait(2000, -1)
		ended <- err
	}()
	time.Sleep(10 * time.Millisecond) // most likely it waits by now; if not, the outcome is the same
	closed := make(chan error, 1)
	go func() { closed <- producer.Close() }()
	producer.Submit(reserved, 0) // closed, or not yet
	for _, result := range []chan error{ended, closed} {
		select {
		case err := <-result:
			if result == ended {
				wants(t, err, ringbuf.ErrClosed)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("Close waits for a wait without end")
		}
	}
}
