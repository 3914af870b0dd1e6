//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf_test

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
	"github.com/rbcore/rbcore/bindings/go/internal/behaviour"
)

type memorySource struct {
	*ringbuf.MemoryRing
	producer *ringbuf.Producer
}

func newMemorySource(t testing.TB, size int) behaviour.Source {
	t.Helper()
	ring, err := ringbuf.NewMemoryRing(size)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ring.Close() })
	producer, err := ringbuf.NewProducer(ring)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { producer.Close() })
	return &memorySource{ring, producer}
}

func (s *memorySource) Produce(data []byte, flags uint32) (bool, error) {
	err := s.producer.Output(data, flags)
	if errors.Is(err, syscall.EAGAIN) {
		return false, nil
	}
	return true, err
}

func (s *memorySource) Discard() error {
	data, err := s.producer.Reserve(16)
	if err != nil {
		return err
	}
	return s.producer.Discard(data, 0)
}

func TestMemoryRing(t *testing.T) {
	behaviour.Run(t, newMemorySource)
}

func wants(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v instead of %v", err, want)
	}
}

func newRing(t *testing.T) (*ringbuf.MemoryRing, *ringbuf.Producer) {
	t.Helper()
	source := newMemorySource(t, os.Getpagesize()).(*memorySource)
	return source.MemoryRing, source.producer
}

type descriptor int

func (d descriptor) FD() int { return int(d) }

func TestNoRing(t *testing.T) {
	_, err := ringbuf.NewReader(nil)
	wants(t, err, syscall.EINVAL)
	_, err = ringbuf.NewReader(descriptor(-1))
	wants(t, err, syscall.EINVAL)
	_, err = ringbuf.NewReader(descriptor(1 << 20))
	wants(t, err, syscall.EBADF)
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	_, err = ringbuf.NewReader(descriptor(null.Fd()))
	wants(t, err, syscall.EBADFD)
	_, err = ringbuf.NewMemoryRing(1000)
	wants(t, err, syscall.EINVAL)
	_, err = ringbuf.NewProducer(nil)
	wants(t, err, syscall.EINVAL)
	_, err = ringbuf.NewProducer(ringbuf.MemoryRingFromFDs(int(null.Fd()), int(null.Fd())))
	wants(t, err, syscall.EBADFD)
}

func TestSupports(t *testing.T) {
	for feature, want := range map[uint32]bool{ringbuf.FeatureMemoryRing: true, 1 << 31: false, 0: false} {
		got, err := ringbuf.Supports(feature)
		if err != nil || got != want {
			t.Fatalf("feature %d: %v, %v", feature, got, err)
		}
	}
}

// Errors say what the header says of them.
func TestErrorText(t *testing.T) {
	_, err := ringbuf.NewMemoryRing(1000)
	want := "ringbuf: memory ring create: ring_size is zero, not a power of two"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Fatalf("got %q instead of %q", err, want)
	}
}

// Producer and reader have descriptors of their own; a ring that was closed has none.
func TestMemoryRingIsClosed(t *testing.T) {
	ring, producer := newRing(t)
	reader, err := ringbuf.NewReader(ring)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := errors.Join(ring.Close(), ring.Close()); err != nil {
		t.Fatal(err)
	}
	if err := producer.Output([]byte("content"), 0); err != nil {
		t.Fatal(err)
	}
	record, err := reader.Read()
	if err != nil || string(record.RawSample) != "content" {
		t.Fatalf("got %q, %v", record.RawSample, err)
	}
	_, err = ringbuf.NewReader(ring)
	wants(t, err, syscall.EINVAL)
}

func TestMemoryRingFromFDs(t *testing.T) {
	ring, producer := newRing(t)
	memory, err := syscall.Dup(ring.FD())
	if err != nil {
		t.Fatal(err)
	}
	event, err := syscall.Dup(ring.EventFD())
	if err != nil {
		t.Fatal(err)
	}
	same := ringbuf.MemoryRingFromFDs(memory, event)
	defer same.Close()
	reader, err := ringbuf.NewReader(same)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := producer.Output([]byte("content"), 0); err != nil {
		t.Fatal(err)
	}
	record, err := reader.Read()
	if err != nil || string(record.RawSample) != "content" {
		t.Fatalf("got %q, %v", record.RawSample, err)
	}
}

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
	stats, err := reader.Stats()
	if err != nil || stats.Abandoned != 1 {
		t.Fatalf("%d abandoned, %v", stats.Abandoned, err)
	}
}

// A ring whose head can never be is an error of each read, and no hang or crash.
func TestBrokenRing(t *testing.T) {
	ring, producer := newRing(t)
	reader, err := ringbuf.NewReader(ring)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := producer.Output(make([]byte, 8), 0); err != nil {
		t.Fatal(err)
	}
	// The length in the first header: consumer page, producer page, data.
	if _, err := syscall.Pwrite(ring.FD(), []byte{0xff, 0xff, 0xff, 0x0f}, int64(2*os.Getpagesize())); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err = reader.Read()
		wants(t, err, syscall.EBADMSG)
	}
	stats, err := reader.Stats()
	if err != nil || !stats.Broken {
		t.Fatalf("broken: %v, %v", stats.Broken, err)
	}
}
