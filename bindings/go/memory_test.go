//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
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

// An error is one sentence, in words of Go.
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
	_, size := ringbuf.NewMemoryRing(1000)
	_, large := producer.Reserve(1 << 20)
	for want, err := range map[string]error{
		"ringbuf: open: another reader has the ring":                                                                              twice,
		"ringbuf: open: the memory ring is in overwrite mode: see WithOverwrite (operation not supported)":                        mode,
		"ringbuf: open: WithPolling needs a latency, and WithMaxLatency(0) is none (invalid argument)":                            latency,
		"ringbuf: create a memory ring: the size is no power of two, smaller than a page or larger than 1 GiB (invalid argument)": size,
		"ringbuf: reserve: the record can never fit: size is more than the ring's size - 16 (message too long)":                   large,
		"ringbuf: submit: data is not a record that this producer has reserved, or a flag is unknown (invalid argument)":          producer.Submit(nil, 0),
	} {
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %q instead of %q", err, want)
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
		stats, err := reader.Stats()
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

func newOverwriting(t *testing.T, records int) (*ringbuf.MemoryRing, *ringbuf.Producer) {
	t.Helper()
	ring, err := ringbuf.NewOverwriteRing(os.Getpagesize())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ring.Close() })
	producer, err := ringbuf.NewProducer(ring)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { producer.Close() })
	outputNumbers(t, producer, 0, records)
	return ring, producer
}

func outputNumbers(t *testing.T, producer *ringbuf.Producer, from, to int) {
	t.Helper()
	for number := from; number < to; number++ {
		if err := producer.Output(binary.NativeEndian.AppendUint64(nil, uint64(number)), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func number(sample []byte) int {
	return int(binary.NativeEndian.Uint64(sample))
}

// Of many more records than the ring holds the newest come, the others are counted.
func TestOverwriteMode(t *testing.T) {
	const count = 10000
	ring, producer := newOverwriting(t, count)
	_, err := ringbuf.NewReader(ring)
	wants(t, err, syscall.EOPNOTSUPP)
	plain, _ := newRing(t)
	_, err = ringbuf.NewReader(plain, ringbuf.WithOverwrite())
	wants(t, err, syscall.EMEDIUMTYPE)
	reader, err := ringbuf.NewReader(ring, ringbuf.WithOverwrite())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()

	records := make([]ringbuf.Record, 1000)
	n := 0
	for n < os.Getpagesize()/16-2 { // a call takes a quarter of the ring
		more, err := reader.ReadBatch(records[n:])
		if err != nil {
			t.Fatalf("%d records, then %v", n, err)
		}
		n += more
	}
	if !records[0].LostBefore() || records[1].LostBefore() {
		t.Fatal("the first record follows a loss, and it alone")
	}
	for i := range records[:n] {
		if got := number(records[i].RawSample); got != count-n+i {
			t.Fatalf("record %d is %d of %d", i, got, count)
		}
		if records[i].Position() != uint64(16*(count-n+i)) {
			t.Fatalf("record %d is at %d", i, records[i].Position())
		}
	}
	// What was handed out stays as it is, whatever the producers do, until it is given back.
	outputNumbers(t, producer, count, 2*count)
	for i := range records[:n] {
		if got := number(records[i].RawSample); got != count-n+i {
			t.Fatalf("record %d became %d", i, got)
		}
	}
	if err := reader.Commit(); err != nil {
		t.Fatal(err)
	}
	span, err := reader.ReadSpan(5)
	if err != nil || !span.LostBefore || span.Count != 5 {
		t.Fatalf("a span of %d, lost before: %v, %v", span.Count, span.LostBefore, err)
	}
	first := number(span.Sample(0))
	record := span.Record(0)
	if next := span.Record(1); !record.LostBefore() || next.LostBefore() {
		t.Fatal("the first record follows the loss, and it alone")
	}
	// A copy is not made into the copy.
	if err := reader.ReadInto(&record); err != nil || number(record.RawSample) != first+5 || record.LostBefore() {
		t.Fatal(number(record.RawSample), err)
	}
	if err := reader.ReadZeroCopy(&record); err != nil || number(record.RawSample) != first+6 {
		t.Fatal(number(record.RawSample), err)
	}
	stats, err := reader.Stats()
	if err != nil || stats.StartPos+16*stats.Records+stats.PassedBytes+stats.LostBytes != stats.ReadPos {
		t.Fatalf("the accounts are wrong: %+v, %v", stats, err)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	for i := range span.Count {
		if got := number(span.Sample(i)); got != first+i { // wrong to look at, but no crash
			t.Fatalf("record %d became %d", i, got)
		}
	}
	runtime.KeepAlive(reader)
}

// Overwritten again and again while it is read: nothing comes twice, and the accounts are right.
func TestOverwriteModeLapped(t *testing.T) {
	ring, producer := newOverwriting(t, 0)
	reader, err := ringbuf.NewReader(ring, ringbuf.WithOverwrite())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	last, lost := -1, 0
	for i := range 50 {
		outputNumbers(t, producer, 1000*i, 1000*(i+1))
		for record := range reader.Records(t.Context()) {
			got := number(record.RawSample)
			if got <= last || record.LostBefore() != (got != last+1) {
				t.Fatalf("record %d after %d, lost before: %v", got, last, record.LostBefore())
			}
			lost += got - last - 1
			if last = got; got == 1000*(i+1)-1 {
				break
			}
		}
	}
	stats, err := reader.Stats()
	if err != nil || stats.LostBytes != uint64(16*lost) || lost == 0 {
		t.Fatalf("%d bytes lost, %d records missing, %v", stats.LostBytes, lost, err)
	}
}

// The flight recorder: the newest records, by a reader that reads none.
func TestOverwriteModeSnapshot(t *testing.T) {
	const count = 10000
	ring, _ := newOverwriting(t, count)
	reader, err := ringbuf.NewReader(ring, ringbuf.WithOverwrite(), ringbuf.WithTap())
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	snapshot, err := reader.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	want := -1
	for record := range snapshot.Records() {
		if got := number(record.RawSample); want >= 0 && got != want {
			t.Fatalf("record %d instead of %d", got, want)
		} else {
			want = got + 1
		}
	}
	info, err := snapshot.Info()
	if err != nil || want != count || info.EndPos != 16*count || info.Kind != ringbuf.SourceMemoryRing {
		t.Fatalf("the last is %d of %d; %+v, %v", want-1, count, info, err)
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
	snapshot, err := reader.Snapshot()
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
		must(t, reader.SnapshotInto(snapshot)) // what follows would be read from freed memory
	}
	if seen != 1 {
		t.Fatalf("%d records of a snapshot that was taken anew", seen)
	}
}

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
