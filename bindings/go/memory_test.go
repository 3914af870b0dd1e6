//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
	"github.com/rbcore/rbcore/bindings/go/internal/readertest"
)

type memorySource struct {
	*ringbuf.MemoryRing
	producer *ringbuf.Producer
}

func newMemorySource(t testing.TB, size int) readertest.Source {
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
	readertest.Run(t, newMemorySource)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
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

// An error is one sentence, in words of Go, and says nothing twice.
func TestErrorTexts(t *testing.T) {
	ring, producer := newRing(t)
	overwriting, err := ringbuf.NewOverwriteRing(os.Getpagesize())
	must(t, err)
	defer overwriting.Close()
	reader, err := ringbuf.NewReader(ring)
	must(t, err)
	defer reader.Close()
	_, twice := ringbuf.NewReader(ring)
	_, mode := ringbuf.NewReader(overwriting)
	_, latency := ringbuf.NewReader(overwriting, ringbuf.WithOverwrite(), ringbuf.WithPolling(), ringbuf.WithMaxLatency(0))
	_, number := ringbuf.NewReader(descriptor(9999))
	_, size := ringbuf.NewMemoryRing(1000)
	_, large := producer.Reserve(1 << 20)
	for want, err := range map[string]error{
		"ringbuf: open: another reader has the ring":                                                       twice,
		"ringbuf: open: the memory ring is in overwrite mode: see WithOverwrite (operation not supported)": mode,
		"ringbuf: open: WithPolling needs a latency, and WithMaxLatency(0) is none (invalid argument)":     latency,
		"ringbuf: open: fd 9999 (bad file descriptor)":                                                     number,
		"ringbuf: create a memory ring: the size must be a power of two, from a page to 1 GiB":             size,
		"ringbuf: reserve: the record can never fit into the ring (message too long)":                      large,
		"ringbuf: submit: the record is not reserved by this producer, or a flag is unknown":               producer.Submit(nil, 0),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %q instead of %q", err, want)
			continue
		}
		text := strings.ToLower(strings.TrimSuffix(err.Error(), ")"))
		clauses := strings.Split(strings.ReplaceAll(text, " (", ": "), ": ")
		slices.Sort(clauses)
		if len(slices.Compact(slices.Clone(clauses))) != len(clauses) || strings.Contains(text, ". ") || len(text) > 160 {
			t.Errorf("not a sentence to be read aloud: %q", err)
		}
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

// The last record of a paced ring is held back, unless its space is wanted now.
func TestCommitNow(t *testing.T) {
	ring, producer := newRing(t)
	reader, err := ringbuf.NewReader(ring, ringbuf.WithPolling())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	heldBack := func() uint64 {
		t.Helper()
		stats, err := reader.RingStats(0)
		if err != nil {
			t.Fatal(err)
		}
		return stats.UserPos - stats.ConsumerPos
	}
	records := make([]ringbuf.Record, 10)
	for range 3 {
		outputNumbers(t, producer, 0, 4)
		if n, err := reader.ReadBatch(records); n != 4 || err != nil {
			t.Fatal(n, err)
		}
		if err := reader.Commit(); err != nil || heldBack() != 16 {
			t.Fatalf("%d bytes held back, %v", heldBack(), err)
		}
		if err := reader.CommitNow(); err != nil || heldBack() != 0 {
			t.Fatalf("%d bytes held back, %v", heldBack(), err)
		}
	}
	if err := errors.Join(reader.Close(), reader.CommitNow()); err != nil {
		t.Fatal(err)
	}
}

// Records that go on beyond the ring's end, by ever more.
func TestLargeRecordsWrap(t *testing.T) {
	const size = 4 << 20
	source := newMemorySource(t, size).(*memorySource)
	reader, err := ringbuf.NewReader(source)
	must(t, err)
	defer reader.Close()
	for i := 1; i < 40; i++ {
		data := bytes.Repeat([]byte{byte(i)}, i*100000%(size-16))
		must(t, source.producer.Output(data, 0))
		var record ringbuf.Record
		must(t, reader.ReadZeroCopy(&record))
		if !bytes.Equal(record.RawSample, data) {
			t.Fatalf("record %d of %d bytes is another", i, len(data))
		}
		must(t, reader.Commit())
	}
}

// A ring with an impossible header makes each read fail, and does not hang or crash it.
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
	stats, err := reader.RingStats(0)
	if err != nil || !stats.Broken {
		t.Fatalf("broken: %v, %v", stats.Broken, err)
	}
}

func TestSpansOfAReleasingReader(t *testing.T) {
	ring, producer := newRing(t)
	for range 3 {
		must(t, producer.Output([]byte("record"), 0))
	}
	reader, err := ringbuf.NewReader(ring, ringbuf.WithRelease())
	must(t, err)
	span, err := reader.ReadSpan(3)
	must(t, err)
	for i := range span.Count {
		must(t, reader.Release(span.Record(i)))
	}
	must(t, reader.Close())
	next, err := ringbuf.NewReader(ring) // nothing is held that was not handed out
	must(t, err)
	record, err := next.Read()
	must(t, err)
	if record.Position() != uint64(span.Count)*16 {
		t.Fatalf("the next record is at %d", record.Position())
	}
	must(t, next.Close())
}

func TestLoopsOverASnapshot(t *testing.T) {
	ring, producer := newRing(t)
	for i := range 20 {
		must(t, producer.Output([]byte{byte(i)}, 0))
	}
	reader, err := ringbuf.NewReader(ring)
	must(t, err)
	defer reader.Close()
	snapshot, err := reader.Snapshot(0)
	must(t, err)
	pairs := 0
	for outer := range snapshot.Records() {
		if outer.RawSample[0] != byte(pairs/20) {
			t.Fatalf("record %d of the outer loop is %d", pairs/20, outer.RawSample[0])
		}
		for range snapshot.Records() {
			pairs++
		}
	}
	if pairs != 400 {
		t.Fatalf("%d pairs of 20 records", pairs)
	}
	seen := 0
	for range snapshot.Records() {
		seen++
		must(t, reader.SnapshotInto(0, snapshot)) // what follows would be read from freed memory
	}
	if seen != 1 {
		t.Fatalf("%d records of a snapshot that was taken anew", seen)
	}
}
