//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf_test

import (
	"encoding/binary"
	"os"
	"runtime"
	"syscall"
	"testing"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

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
	stats, err := reader.RingStats(0)
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
	stats, err := reader.RingStats(0)
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
	snapshot, err := reader.Snapshot(0)
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
