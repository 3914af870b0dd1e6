//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf_test

import (
	"context"
	"encoding/binary"
	"errors"
	"syscall"
	"testing"
	"unsafe"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

type pair struct {
	Number uint64
	Square uint32
	_      [4]byte
}

func outputPairs(t testing.TB, producer *ringbuf.Producer, from, to int) {
	t.Helper()
	for number := from; number < to; number++ {
		data := binary.NativeEndian.AppendUint64(nil, uint64(number))
		data = binary.NativeEndian.AppendUint32(data, uint32(number*number))
		if err := producer.Output(append(data, 0, 0, 0, 0), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func isPair(t *testing.T, value *pair, number int) {
	t.Helper()
	if value.Number != uint64(number) || value.Square != uint32(number*number) {
		t.Fatalf("got %v instead of %d", *value, number)
	}
}

// Around the ring, several times; the values are in the ring.
func TestTypedSpan(t *testing.T) {
	ring, producer := newRing(t)
	reader, err := ringbuf.NewReader(ring)
	must(t, err)
	defer reader.Close()
	typed, err := ringbuf.TypedOf[pair]()
	must(t, err)
	for number, to := 0, 0; number < 1000; {
		to += 100
		outputPairs(t, producer, number, to)
		for number < to {
			span, err := reader.ReadSpan(64)
			must(t, err)
			pairs, err := typed.Span(&span)
			must(t, err)
			first := number
			for i, value := range pairs {
				if i != number-first || unsafe.Pointer(value) != unsafe.Pointer(&span.Sample(i)[0]) {
					t.Fatalf("%d of the span that begins with %d", i, first)
				}
				isPair(t, value, number)
				number++
			}
			if number != first+span.Count {
				t.Fatalf("%d of %d", number-first, span.Count)
			}
			must(t, reader.Commit())
		}
	}
}

func TestTypedRecords(t *testing.T) {
	ring, producer := newRing(t)
	reader, err := ringbuf.NewReader(ring)
	must(t, err)
	outputPairs(t, producer, 0, 3)
	must(t, producer.Output([]byte("short"), 0))
	outputPairs(t, producer, 3, 6)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	why := errors.New("a reason")
	number, short := 0, 0
	var last error
	for value, err := range ringbuf.Records[pair](ctx, reader) {
		if last = err; errors.Is(err, syscall.EINVAL) {
			short++
			continue
		}
		if err != nil {
			continue
		}
		isPair(t, value, number)
		if number++; number == 5 {
			cancel(why)
		}
	}
	wants(t, last, why)
	if number != 5 || short != 1 {
		t.Fatalf("%d pairs, %d short", number, short)
	}
	// What the loop went through was given back, and no more; so it is where it is left.
	for value, err := range ringbuf.Records[pair](t.Context(), reader) {
		must(t, err)
		isPair(t, value, 5)
		break
	}
	stats, err := reader.RingStats(0)
	must(t, err)
	if stats.UserPos != stats.ProducerPos {
		t.Fatalf("given back up to %d of %d", stats.UserPos, stats.ProducerPos)
	}
	outputPairs(t, producer, 6, 7)
	must(t, reader.Close())
	for value, err := range ringbuf.Records[pair](t.Context(), reader) {
		if value != nil || !errors.Is(err, ringbuf.ErrClosed) {
			t.Fatal(value, err)
		}
	}
	for value, err := range ringbuf.Records[*int](t.Context(), reader) {
		if value != nil || !errors.Is(err, syscall.EINVAL) {
			t.Fatal(value, err)
		}
	}
	for value, err := range ringbuf.Records[pair](t.Context(), nil) {
		if value != nil || !errors.Is(err, syscall.EINVAL) {
			t.Fatal(value, err)
		}
	}
	for _, err := range ringbuf.Records[pair](nil, reader) { //nolint:staticcheck // that is what is tried
		wants(t, err, syscall.EINVAL)
	}
}

// A value cannot be released, so the loop does it.
func TestTypedRecordsOfRelease(t *testing.T) {
	ring, producer := newRing(t)
	reader, err := ringbuf.NewReader(ring, ringbuf.WithRelease())
	must(t, err)
	defer reader.Close()
	number := 0
	for range 10 { // more than the ring holds
		outputPairs(t, producer, number, number+100)
		for value, err := range ringbuf.Records[pair](t.Context(), reader) {
			must(t, err)
			isPair(t, value, number)
			if number++; number%100 == 0 {
				break
			}
		}
	}
	stats, err := reader.RingStats(0)
	must(t, err)
	if stats.UserPos != stats.ProducerPos {
		t.Fatalf("given back up to %d of %d", stats.UserPos, stats.ProducerPos)
	}
}

// Copies are aligned like what lies in the ring, whatever their size.
func TestCopiesAreAligned(t *testing.T) {
	ring, producer := newRing(t)
	reader, err := ringbuf.NewReader(ring)
	must(t, err)
	defer reader.Close()
	for size := 8; size < 100; size++ {
		must(t, producer.Output(make([]byte, size), 0))
		record, err := reader.Read()
		must(t, err)
		if _, err := ringbuf.As[uint64](record.RawSample); err != nil || len(record.RawSample) != size {
			t.Fatalf("%d bytes: %v", size, err)
		}
	}
}
