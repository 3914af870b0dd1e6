//go:build linux && cgo

// SPDX-License-Identifier: MIT

// Package behaviour holds the tests of a reader that are the same for each kind of ring: they run
// on memory rings beside the package, and on rings of the kernel in a module of their own.
package behaviour

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// A Source is a ring with its producer.
type Source interface {
	ringbuf.Ring
	// Produce writes a record, unless the ring is full; flags are NoWakeup or ForceWakeup or 0.
	Produce(data []byte, flags uint32) (bool, error)
	// Discard reserves a record and discards it.
	Discard() error
}

// A Maker makes a source with a ring of size bytes, and gives it back at the end of the test.
type Maker func(t testing.TB, size int) Source

const (
	ringSize = 1 << 16
	watchdog = 30 * time.Second // longer than any test, on any machine
)

// Run runs all tests.
func Run(t *testing.T, newSource Maker) {
	tests := []struct {
		name string
		run  func(*testing.T, Maker)
	}{
		{"Single", single},
		{"Sizes", sizes},
		{"Discards", discards},
		{"Remaining", remaining},
		{"ReadIntoReuses", readIntoReuses},
		{"ReadGivesBack", readGivesBack},
		{"CommitReleasesSpace", commitReleasesSpace},
		{"CommitGivesBackWhatWasSeen", commitGivesBackWhatWasSeen},
		{"CommitOfNothing", commitOfNothing},
		{"CommitTo", commitTo},
		{"Mixed", mixed},
		{"ViewOutlivesClose", viewOutlivesClose},
		{"WriteIsFault", writeIsFault},
		{"BigRing", bigRing},
		{"Deadline", deadline},
		{"DeadlineOfBlockedRead", deadlineOfBlockedRead},
		{"DeadlineIsTakenBack", deadlineIsTakenBack},
		{"CloseWhileBlocked", closeWhileBlocked},
		{"CloseTwice", closeTwice},
		{"CloseOfReadRecords", closeOfReadRecords},
		{"Flush", flush},
		{"FlushOfBlockedRead", flushOfBlockedRead},
		{"TwoReaders", twoReaders},
		{"Latest", latest},
		{"Many", many},
		{"BusyRing", busyRing},
		{"SlowProducer", slowProducer},
		{"Batch", batch},
		{"Spans", spans},
		{"SpansOfMany", spansOfMany},
		{"Records", records},
		{"RecordsIsLeft", recordsIsLeft},
		{"RecordsIsCancelled", recordsIsCancelled},
		{"Contexts", contexts},
		{"ContextOfOneOfTwo", contextOfOneOfTwo},
		{"ContextsOfMany", contextsOfMany},
		{"Release", release},
		{"ReleaseAfterClose", releaseAfterClose},
		{"ReleaseOfNothing", releaseOfNothing},
		{"Snapshot", snapshot},
		{"SnapshotConsumes", snapshotConsumes},
		{"SnapshotAsFile", snapshotAsFile},
		{"Tap", tap},
		{"SeveralReaders", severalReaders},
		{"Stats", stats},
		{"Allocations", allocations},
		{"Leaks", leaks},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dog := time.AfterFunc(watchdog, func() {
				panic(fmt.Sprintf("%s hangs", t.Name()))
			})
			defer dog.Stop()
			test.run(t, newSource)
		})
	}
}

// ---- What the tests share ----

func open(t testing.TB, source Source, options ...ringbuf.Option) *ringbuf.Reader {
	t.Helper()
	reader, err := ringbuf.NewReader(source, options...)
	must(t, err)
	t.Cleanup(func() { reader.Close() })
	return reader
}

func both(t testing.TB, newSource Maker, options ...ringbuf.Option) (Source, *ringbuf.Reader) {
	t.Helper()
	source := newSource(t, ringSize)
	return source, open(t, source, options...)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v instead of %v", err, want)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: got %v instead of %v", what, got, want)
	}
}

// A numbered record: 8 bytes of its number, and size-8 bytes that follow from it.
func numbered(number uint64, size int) []byte {
	data := binary.NativeEndian.AppendUint64(nil, number)
	for len(data) < size {
		data = append(data, byte(number+uint64(len(data))))
	}
	return data
}

func produce(t testing.TB, source Source, numbers ...uint64) {
	t.Helper()
	for _, number := range numbers {
		done, err := source.Produce(numbered(number, 24), 0)
		must(t, err)
		if !done {
			t.Fatalf("record %d: the ring is full", number)
		}
	}
}

// Produces one by one until the ring is full, and returns how many that were.
func fillUp(t testing.TB, source Source, size int) uint64 {
	t.Helper()
	for number := uint64(0); ; number++ {
		done, err := source.Produce(numbered(number, size), 0)
		must(t, err)
		if !done {
			return number
		}
	}
}

func is(t testing.TB, record *ringbuf.Record, number uint64) {
	t.Helper()
	if !bytes.Equal(record.RawSample, numbered(number, max(8, len(record.RawSample)))) {
		t.Fatalf("got % x instead of record %d", record.RawSample, number)
	}
}

func readIs(t testing.TB, reader *ringbuf.Reader, numbers ...uint64) {
	t.Helper()
	for _, number := range numbers {
		record, err := reader.Read()
		must(t, err)
		is(t, &record, number)
	}
}

func viewIs(t testing.TB, reader *ringbuf.Reader, numbers ...uint64) {
	t.Helper()
	var record ringbuf.Record
	for _, number := range numbers {
		must(t, reader.ReadZeroCopy(&record))
		is(t, &record, number)
	}
}

// The ring has nothing more to read.
func isEmpty(t testing.TB, reader *ringbuf.Reader) {
	t.Helper()
	reader.SetDeadline(time.Unix(1, 0))
	record, err := reader.Read()
	if err == nil {
		t.Fatalf("an unexpected record: % x", record.RawSample)
	}
	wants(t, err, os.ErrDeadlineExceeded)
	reader.SetDeadline(time.Time{})
}

// Reads in another goroutine, which is most likely blocked when this returns.
func blocked(reader *ringbuf.Reader) <-chan error {
	result := make(chan error, 1)
	go func() {
		_, err := reader.Read()
		result <- err
	}()
	time.Sleep(20 * time.Millisecond)
	return result
}

// ---- Reading ----

func single(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	equal(t, "size", reader.BufferSize(), ringSize)
	equal(t, "available", reader.AvailableBytes(), 0)
	produce(t, source, 7)
	equal(t, "available", reader.AvailableBytes(), 32)
	record, err := reader.Read()
	must(t, err)
	equal(t, "length", len(record.RawSample), 24)
	is(t, &record, 7)
	equal(t, "remaining", record.Remaining, 0)
	equal(t, "position", record.Position(), 0)
	equal(t, "available", reader.AvailableBytes(), 0)
	isEmpty(t, reader)
}

func sizes(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	var record ringbuf.Record
	// Several times around the ring, so that records wrap.
	for i := range 600 {
		size := rand.IntN(1000)
		data := make([]byte, size)
		for j := range data {
			data[j] = byte(i + j)
		}
		done, err := source.Produce(data, 0)
		must(t, err)
		equal(t, "produced", done, true)
		must(t, reader.ReadZeroCopy(&record))
		if !bytes.Equal(record.RawSample, data) {
			t.Fatalf("record %d of %d bytes: got %d others", i, size, len(record.RawSample))
		}
		must(t, reader.Commit())
	}
}

func discards(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	must(t, source.Discard())
	produce(t, source, 1)
	must(t, source.Discard())
	must(t, source.Discard())
	produce(t, source, 2, 3)
	must(t, source.Discard())
	readIs(t, reader, 1)
	viewIs(t, reader, 2, 3)
	isEmpty(t, reader)
	must(t, reader.Commit())
	stats, err := reader.Stats()
	must(t, err)
	equal(t, "discards", stats.Discards, 4)
	equal(t, "given back", stats.UserPos, stats.ProducerPos)
}

func remaining(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	produce(t, source, 0, 1, 2)
	for i := range 3 {
		equal(t, "available", reader.AvailableBytes(), 32*(3-i))
		record, err := reader.Read()
		must(t, err)
		equal(t, "remaining", record.Remaining, 32*(2-i))
		equal(t, "position", record.Position(), uint64(32*i))
	}
}

func readIntoReuses(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	produce(t, source, 1, 2, 3, 4)
	record := ringbuf.Record{RawSample: make([]byte, 100)}
	memory := &record.RawSample[0]
	must(t, reader.ReadInto(&record))
	is(t, &record, 1)
	equal(t, "memory", &record.RawSample[0], memory)
	// Memory of the ring is nothing to copy into: that would fault, it is read-only.
	must(t, reader.ReadZeroCopy(&record))
	inRing := &record.RawSample[0]
	must(t, reader.ReadInto(&record))
	is(t, &record, 3)
	if &record.RawSample[0] == inRing {
		t.Fatal("copied into the ring")
	}
	memory = &record.RawSample[0]
	must(t, reader.ReadInto(&record))
	is(t, &record, 4)
	equal(t, "memory", &record.RawSample[0], memory)
}

// ---- Giving back ----

func readGivesBack(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	count := fillUp(t, source, 1000)
	var record ringbuf.Record
	// Half of the ring is free after half of the records, whatever was fetched with them.
	for number := range count / 2 {
		must(t, reader.ReadInto(&record))
		is(t, &record, number)
	}
	for i := range count / 4 {
		done, err := source.Produce(numbered(count+i, 1000), 0)
		must(t, err)
		equal(t, "room", done, true)
	}
	for number := count / 2; number < count+count/4; number++ {
		must(t, reader.ReadInto(&record))
		is(t, &record, number)
	}
	stats, err := reader.Stats()
	must(t, err)
	equal(t, "given back", stats.UserPos, stats.ProducerPos)
}

func commitReleasesSpace(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	count := fillUp(t, source, 1000)
	var record ringbuf.Record
	for number := range count {
		must(t, reader.ReadZeroCopy(&record))
		is(t, &record, number)
	}
	done, err := source.Produce(numbered(count, 1000), 0)
	must(t, err)
	equal(t, "room before commit", done, false)
	stats, err := reader.Stats()
	must(t, err)
	equal(t, "given back", stats.UserPos, 0)
	must(t, reader.Commit())
	done, err = source.Produce(numbered(count, 1000), 0)
	must(t, err)
	equal(t, "room after commit", done, true)
	stats, err = reader.Stats()
	must(t, err)
	equal(t, "commits", stats.Commits, 1)
	viewIs(t, reader, count)
}

// Others were fetched with it, but only what was seen is given back: the next reader gets the rest.
func commitGivesBackWhatWasSeen(t *testing.T, newSource Maker) {
	source := newSource(t, ringSize)
	reader := open(t, source)
	produce(t, source, 0, 1, 2, 3, 4, 5)
	viewIs(t, reader, 0, 1)
	must(t, reader.Commit())
	viewIs(t, reader, 2)
	must(t, reader.Close())
	reader = open(t, source)
	viewIs(t, reader, 2, 3, 4)
	must(t, reader.Commit())
	must(t, reader.Close())
	reader = open(t, source)
	readIs(t, reader, 5)
	isEmpty(t, reader)
}

func commitOfNothing(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	must(t, reader.Commit())
	produce(t, source, 1, 2)
	must(t, reader.Commit())
	readIs(t, reader, 1)
	must(t, reader.Commit())
	viewIs(t, reader, 2)
	must(t, reader.Commit())
	must(t, reader.Commit())
	stats, err := reader.Stats()
	must(t, err)
	equal(t, "given back", stats.UserPos, stats.ProducerPos)
	must(t, reader.Close())
	must(t, reader.Commit())
}

func commitTo(t *testing.T, newSource Maker) {
	source := newSource(t, ringSize)
	reader := open(t, source)
	produce(t, source, 0, 1, 2, 3)
	records := make([]ringbuf.Record, 4)
	n, err := reader.ReadBatch(records)
	must(t, err)
	equal(t, "records", n, 4)
	must(t, reader.CommitTo(&records[1]))
	wants(t, reader.CommitTo(&records[0]), syscall.EINVAL)
	wants(t, reader.CommitTo(&ringbuf.Record{}), syscall.EINVAL)
	must(t, reader.CommitTo(&records[2]))
	is(t, &records[3], 3)
	must(t, reader.Close())
	reader = open(t, source)
	viewIs(t, reader, 3)
	must(t, reader.Commit())
	isEmpty(t, reader)
}

func mixed(t *testing.T, newSource Maker) {
	source := newSource(t, ringSize)
	reader := open(t, source)
	produce(t, source, 0, 1, 2, 3, 4, 5)
	readIs(t, reader, 0)
	var record ringbuf.Record
	must(t, reader.ReadZeroCopy(&record))
	readIs(t, reader, 2, 3, 4, 5)
	is(t, &record, 1) // Read did not give it back, though it came to the end of the batch
	stats, err := reader.Stats()
	must(t, err)
	equal(t, "given back", stats.UserPos, 32) // but record 0 was, before record 1 was handed out
	must(t, reader.Commit())
	produce(t, source, 6, 7)
	readIs(t, reader, 6)
	must(t, reader.Close())
	// What Read has copied does not come again, though it was fetched with others.
	reader = open(t, source)
	readIs(t, reader, 7)
	isEmpty(t, reader)
}

// A use after Close is wrong, but no fault as long as the reader is reachable.
func viewOutlivesClose(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	produce(t, source, 1)
	var record ringbuf.Record
	must(t, reader.ReadZeroCopy(&record))
	must(t, reader.Close())
	runtime.GC()
	runtime.GC()
	is(t, &record, 1)
	runtime.KeepAlive(reader)
}

// ---- Waiting ----

func deadline(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	produce(t, source, 1, 2)
	reader.SetDeadline(time.Now().Add(-time.Second))
	readIs(t, reader, 1) // what is there comes first
	viewIs(t, reader, 2)
	for range 3 {
		_, err := reader.Read()
		wants(t, err, os.ErrDeadlineExceeded)
		wants(t, reader.ReadZeroCopy(new(ringbuf.Record)), os.ErrDeadlineExceeded)
	}
	produce(t, source, 3)
	readIs(t, reader, 3)
	begin := time.Now()
	reader.SetDeadline(begin.Add(30 * time.Millisecond))
	_, err := reader.Read()
	wants(t, err, os.ErrDeadlineExceeded)
	if waited := time.Since(begin); waited < 30*time.Millisecond {
		t.Fatalf("waited for %v only", waited)
	}
	reader.SetDeadline(time.Time{})
	produce(t, source, 4)
	readIs(t, reader, 4)
}

func deadlineOfBlockedRead(t *testing.T, newSource Maker) {
	_, reader := both(t, newSource)
	result := blocked(reader)
	reader.SetDeadline(time.Unix(1, 0))
	wants(t, <-result, os.ErrDeadlineExceeded)
	reader.SetDeadline(time.Now().Add(time.Hour))
	result = blocked(reader)
	reader.SetDeadline(time.Now().Add(20 * time.Millisecond))
	wants(t, <-result, os.ErrDeadlineExceeded)
}

func deadlineIsTakenBack(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	reader.SetDeadline(time.Now().Add(time.Minute))
	result := blocked(reader)
	reader.SetDeadline(time.Time{})
	produce(t, source, 1)
	must(t, <-result)
}

func closeWhileBlocked(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	results := []<-chan error{blocked(reader), blocked(reader)}
	must(t, reader.Close())
	for _, result := range results {
		wants(t, <-result, ringbuf.ErrClosed)
	}
	produce(t, source, 1)
	_, err := reader.Read()
	wants(t, err, os.ErrClosed)
}

func closeTwice(t *testing.T, newSource Maker) {
	_, reader := both(t, newSource)
	must(t, reader.Close())
	must(t, reader.Close())
	wants(t, reader.Flush(), ringbuf.ErrClosed)
	wants(t, reader.ReadZeroCopy(new(ringbuf.Record)), ringbuf.ErrClosed)
	_, err := reader.ReadBatch(make([]ringbuf.Record, 1))
	wants(t, err, ringbuf.ErrClosed)
	_, err = reader.Stats()
	wants(t, err, ringbuf.ErrClosed)
	reader.SetDeadline(time.Now())
	equal(t, "available", reader.AvailableBytes(), 0)
	equal(t, "size", reader.BufferSize(), ringSize)
	for range reader.Records(t.Context()) {
		t.Fatal("a record of a closed reader")
	}
	wants(t, reader.Err(), ringbuf.ErrClosed)
}

// What was fetched and not read is left to the next reader, what Read returned is not.
func closeOfReadRecords(t *testing.T, newSource Maker) {
	source := newSource(t, ringSize)
	reader := open(t, source)
	produce(t, source, 0, 1, 2, 3)
	readIs(t, reader, 0, 1)
	must(t, reader.Close())
	readIs(t, open(t, source), 2, 3)
}

func flush(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	must(t, reader.Flush())
	_, err := reader.Read()
	wants(t, err, ringbuf.ErrFlushed)
	for number := range uint64(3) {
		done, err := source.Produce(numbered(number, 24), ringbuf.NoWakeup)
		must(t, err)
		equal(t, "produced", done, true)
	}
	must(t, reader.Flush())
	readIs(t, reader, 0)
	viewIs(t, reader, 1, 2)
	wants(t, reader.ReadZeroCopy(new(ringbuf.Record)), ringbuf.ErrFlushed)
	must(t, reader.Commit())
	produce(t, source, 3)
	readIs(t, reader, 3)
	isEmpty(t, reader)
	reader.SetDeadline(time.Unix(1, 0))
	must(t, reader.Flush())
	_, err = reader.Read()
	wants(t, err, ringbuf.ErrFlushed)
}

func flushOfBlockedRead(t *testing.T, newSource Maker) {
	_, reader := both(t, newSource)
	result := blocked(reader)
	must(t, reader.Flush())
	wants(t, <-result, ringbuf.ErrFlushed)
}

// ---- Opening ----

func twoReaders(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	_, err := ringbuf.NewReader(source)
	wants(t, err, syscall.EBUSY)
	produce(t, source, 1)
	readIs(t, reader, 1)
	must(t, reader.Close())
	produce(t, source, 2)
	readIs(t, open(t, source), 2)
}

func latest(t *testing.T, newSource Maker) {
	source := newSource(t, ringSize)
	produce(t, source, 1, 2)
	reader := open(t, source, ringbuf.WithLatest())
	produce(t, source, 3)
	readIs(t, reader, 3)
	stats, err := reader.Stats()
	must(t, err)
	equal(t, "skipped", stats.Skipped, 2)
}

// ---- Many records ----

const manyRecords = 20000

// produceMany writes manyRecords records, and waits where the ring is full.
func produceMany(source Source) error {
	for number := uint64(0); number < manyRecords; {
		done, err := source.Produce(numbered(number, 8+int(number%40)), 0)
		if err != nil {
			return err
		}
		if !done {
			time.Sleep(50 * time.Microsecond)
			continue
		}
		number++
	}
	return nil
}

// All sequence numbers come once and in order, by each way to read, with the ring full and empty.
func many(t *testing.T, newSource Maker) {
	options := map[string][]ringbuf.Option{
		"default": nil,
		"armed":   {ringbuf.WithMaxLatency(0)},
		"polling": {ringbuf.WithPolling()},
	}
	for name, options := range options {
		t.Run(name, func(t *testing.T) {
			source, reader := both(t, newSource, options...)
			result := make(chan error, 1)
			go func() { result <- produceMany(source) }()
			var record ringbuf.Record
			for number := uint64(0); number < manyRecords; number++ {
				if number/100%2 == 0 {
					must(t, reader.ReadInto(&record))
				} else {
					must(t, reader.ReadZeroCopy(&record))
				}
				is(t, &record, number)
				if number%37 == 0 {
					must(t, reader.Commit())
				}
			}
			must(t, <-result)
			isEmpty(t, reader)
		})
	}
}

// A busy ring is read by the timer in the reader's descriptor, which ends its waits.
func busyRing(t *testing.T, newSource Maker) {
	source := newSource(t, 1<<24)
	reader := open(t, source, ringbuf.WithMaxLatency(10*time.Millisecond))
	paced := 0
	for number := uint64(0); number < 1000; number += 20 {
		for i := range uint64(20) {
			produce(t, source, number+i)
		}
		for i := range uint64(20) {
			readIs(t, reader, number+i)
		}
		must(t, reader.Commit())
		stats, err := reader.Stats()
		must(t, err)
		if stats.Paced {
			paced++
		}
	}
	if paced == 0 {
		t.Fatal("20 records at once do not make the ring busy")
	}
}

// Each record finds the reader waiting.
func slowProducer(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	seen := make(chan struct{})
	go func() {
		for number := uint64(0); number < 200; number++ {
			if number%10 == 0 {
				time.Sleep(time.Millisecond)
			}
			if done, err := source.Produce(numbered(number, 24), 0); err != nil || !done {
				panic(fmt.Sprint("produce: ", done, err))
			}
			<-seen
		}
	}()
	for number := range uint64(200) {
		viewIs(t, reader, number)
		must(t, reader.Commit())
		seen <- struct{}{}
	}
}

func batch(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	n, err := reader.ReadBatch(nil)
	must(t, err)
	equal(t, "records", n, 0)
	result := make(chan error, 1)
	go func() { result <- produceMany(source) }()
	records := make([]ringbuf.Record, 300)
	for number := uint64(0); number < manyRecords; {
		n, err := reader.ReadBatch(records[:1+rand.IntN(300)])
		must(t, err)
		if n == 0 {
			t.Fatal("no records, and no error")
		}
		for i := range records[:n] {
			is(t, &records[i], number)
			number++
		}
		must(t, reader.Commit())
	}
	must(t, <-result)
	isEmpty(t, reader)
}

func spans(t *testing.T, newSource Maker) {
	source := newSource(t, ringSize)
	reader := open(t, source)
	_, err := reader.ReadSpan(0)
	wants(t, err, syscall.EINVAL)
	produce(t, source, 0, 1, 2, 3)
	done, err := source.Produce(numbered(4, 40), 0)
	must(t, err)
	equal(t, "produced", done, true)
	span, err := reader.ReadSpan(3)
	must(t, err)
	equal(t, "records", span.Count, 3)
	equal(t, "bytes", len(span.Data), 2*32+24)
	for i := range span.Count {
		record := span.Record(i)
		is(t, &record, uint64(i))
		equal(t, "position", record.Position(), uint64(32*i))
		equal(t, "remaining", record.Remaining, 32*(2-i))
		equal(t, "sample", &span.Sample(i)[0], &record.RawSample[0])
	}
	span, err = reader.ReadSpan(100) // it ends where the next record has another size
	must(t, err)
	equal(t, "records", span.Count, 1)
	record := span.Record(0)
	is(t, &record, 3)
	must(t, reader.CommitTo(&record))
	span, err = reader.ReadSpan(100)
	must(t, err)
	equal(t, "size", span.Size, 40)
	must(t, reader.Close()) // the last one was not given back
	reader = open(t, source, ringbuf.WithRelease())
	produce(t, source, 5)
	for _, number := range []uint64{4, 5} {
		span, err := reader.ReadSpan(1)
		must(t, err)
		record := span.Record(0)
		is(t, &record, number)
		must(t, reader.Release(record))
	}
}

// All records come by spans, around the ring many times.
func spansOfMany(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	result := make(chan error, 1)
	go func() { result <- produceMany(source) }()
	for number := uint64(0); number < manyRecords; {
		span, err := reader.ReadSpan(1 + rand.IntN(1000))
		must(t, err)
		for i := range span.Count {
			record := span.Record(i)
			is(t, &record, number)
			number++
		}
		must(t, reader.Commit())
	}
	must(t, <-result)
	isEmpty(t, reader)
	// Of one size, and over the ring's end.
	for range 3 {
		count := fillUp(t, source, 40)
		for number := uint64(0); number < count; {
			span, err := reader.ReadSpan(300)
			must(t, err)
			if number == 0 {
				equal(t, "records of the first span", span.Count, 300)
			}
			for i := range span.Count {
				record := span.Record(i)
				is(t, &record, number)
				number++
			}
		}
		must(t, reader.Commit())
	}
}

func records(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	result := make(chan error, 1)
	go func() {
		err := produceMany(source)
		reader.Flush()
		result <- err
	}()
	number := uint64(0)
	for record := range reader.Records(t.Context()) {
		is(t, &record, number)
		number++
	}
	wants(t, reader.Err(), ringbuf.ErrFlushed)
	equal(t, "records", number, manyRecords)
	must(t, <-result)
	stats, err := reader.Stats()
	must(t, err)
	equal(t, "given back", stats.UserPos, stats.ProducerPos)
}

func recordsIsLeft(t *testing.T, newSource Maker) {
	source := newSource(t, ringSize)
	reader := open(t, source)
	produce(t, source, 0, 1, 2, 3)
	for record := range reader.Records(t.Context()) {
		if record.Position() == 32 {
			break
		}
	}
	must(t, reader.Err())
	viewIs(t, reader, 2)
	must(t, reader.Close())
	readIs(t, open(t, source), 2, 3)
}

func recordsIsCancelled(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	why := errors.New("a reason")
	ctx, cancel := context.WithCancelCause(t.Context())
	// Another goroutine that waits, before and behind the loop, does not keep it from ending.
	other := blocked(reader)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range reader.Records(ctx) {
		}
	}()
	time.Sleep(20 * time.Millisecond)
	cancel(why)
	<-done
	wants(t, reader.Err(), why)
	for range reader.Records(ctx) {
		t.Fatal("a record, though the context is done")
	}
	produce(t, source, 1)
	must(t, <-other)
	// Alone, waiting in the runtime.
	ctx, cancel = context.WithCancelCause(t.Context())
	time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
	for range reader.Records(ctx) {
		t.Fatal("an unexpected record")
	}
	wants(t, reader.Err(), why)
	produce(t, source, 2)
	readIs(t, reader, 2)
}

// ---- Release ----

func release(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource, ringbuf.WithRelease())
	wants(t, reader.Commit(), syscall.EINVAL)
	result := make(chan error, 1)
	go func() { result <- produceMany(source) }()

	queue := make(chan []ringbuf.Record, 16)
	var sum atomic.Uint64
	var workers sync.WaitGroup
	for range 4 {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for batch := range queue {
				rand.Shuffle(len(batch), func(i, j int) { batch[i], batch[j] = batch[j], batch[i] })
				for i := range batch {
					is(t, &batch[i], binary.NativeEndian.Uint64(batch[i].RawSample))
					sum.Add(binary.NativeEndian.Uint64(batch[i].RawSample))
				}
				half := len(batch) / 2
				if err := errors.Join(reader.Release(batch[:half]...), reader.Release(batch[half:]...)); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	for seen := 0; seen < manyRecords; {
		// Singly, by batches and by copies.
		if seen%3 == 0 && seen < manyRecords-1 {
			var record ringbuf.Record
			must(t, reader.ReadZeroCopy(&record))
			queue <- []ringbuf.Record{record}
			copied, err := reader.Read()
			must(t, err)
			sum.Add(binary.NativeEndian.Uint64(copied.RawSample))
			seen += 2
		} else {
			records := make([]ringbuf.Record, 1+rand.IntN(100))
			n, err := reader.ReadBatch(records)
			must(t, err)
			queue <- records[:n]
			seen += n
		}
	}
	close(queue)
	workers.Wait()
	must(t, <-result)
	equal(t, "sum", sum.Load(), manyRecords*(manyRecords-1)/2)
	stats, err := reader.Stats()
	must(t, err)
	equal(t, "given back", stats.UserPos, stats.ProducerPos)
}

// The ring stays taken until the last record is back; what was not handed out stays in it.
func releaseAfterClose(t *testing.T, newSource Maker) {
	source := newSource(t, ringSize)
	reader := open(t, source, ringbuf.WithRelease())
	produce(t, source, 0, 1, 2)
	records := make([]ringbuf.Record, 2)
	n, err := reader.ReadBatch(records[:1])
	must(t, err)
	equal(t, "records", n, 1)
	must(t, reader.ReadZeroCopy(&records[1]))
	must(t, reader.Close())
	_, err = reader.Read()
	wants(t, err, ringbuf.ErrClosed)
	is(t, &records[0], 0)
	must(t, reader.Release(records[1]))
	_, err = ringbuf.NewReader(source)
	wants(t, err, syscall.EBUSY)
	is(t, &records[0], 0)
	must(t, reader.Release(records[0]))
	wants(t, reader.Release(records[0]), ringbuf.ErrClosed)
	readIs(t, open(t, source), 2)
}

func releaseOfNothing(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource, ringbuf.WithRelease())
	must(t, reader.Release())
	wants(t, reader.Release(ringbuf.Record{}), syscall.EINVAL)
	produce(t, source, 1)
	var record ringbuf.Record
	must(t, reader.ReadZeroCopy(&record))
	must(t, reader.Release(record))
	wants(t, reader.Release(record), syscall.EINVAL)
	_, plain := both(t, newSource)
	wants(t, plain.Release(record), syscall.EINVAL)
}

// ---- Looking without taking ----

// The snapshot has these records, each time that it is looped over.
func snapshotIs(t testing.TB, snapshot *ringbuf.Snapshot, numbers ...uint64) {
	t.Helper()
	for range 2 {
		i := 0
		for record := range snapshot.Records() {
			if i == len(numbers) {
				t.Fatalf("an unexpected record: % x", record.RawSample)
			}
			is(t, &record, numbers[i])
			equal(t, "remaining", record.Remaining, 32*(len(numbers)-1-i))
			i++
		}
		must(t, snapshot.Err())
		equal(t, "records", i, len(numbers))
	}
}

func snapshot(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	before := time.Now()
	first, err := reader.Snapshot()
	must(t, err)
	snapshotIs(t, first)
	produce(t, source, 0, 1)
	viewIs(t, reader, 0) // not given back: it is still in the ring
	produce(t, source, 2)
	must(t, reader.SnapshotInto(first))
	must(t, reader.Commit())
	second, err := reader.Snapshot()
	must(t, err)
	produce(t, source, 3)
	readIs(t, reader, 1, 2) // they come all the same
	third, err := reader.Snapshot()
	must(t, err)
	snapshotIs(t, third, 3)
	readIs(t, reader, 3)
	isEmpty(t, reader)
	must(t, reader.Close())
	snapshotIs(t, first, 0, 1, 2)
	snapshotIs(t, second, 1, 2)
	info, err := second.Info()
	must(t, err)
	equal(t, "ring size", info.RingSize, ringSize)
	equal(t, "first", info.FirstPos, 32)
	equal(t, "end", info.EndPos, 96)
	equal(t, "produced", info.ProducerPos, 96)
	equal(t, "missed", info.Missed, 0)
	if taken := info.Time(); taken.Before(before) || taken.After(time.Now()) {
		t.Fatalf("taken at %v", taken)
	}
	for range second.Records() {
		must(t, second.Close()) // within its loop
	}
	snapshotIs(t, second)
	_, err = second.Info()
	wants(t, err, syscall.ENODATA)
	wants(t, reader.SnapshotInto(second), ringbuf.ErrClosed)
}

func snapshotConsumes(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	produce(t, source, 0, 1)
	var snapshot ringbuf.Snapshot
	must(t, reader.ConsumeInto(&snapshot))
	snapshotIs(t, &snapshot, 0, 1)
	produce(t, source, 2)
	viewIs(t, reader, 2)
	wants(t, reader.ConsumeInto(&snapshot), syscall.EBUSY)
	must(t, reader.Commit())
	produce(t, source, 3)
	readIs(t, reader, 3)
	must(t, reader.ConsumeInto(&snapshot))
	snapshotIs(t, &snapshot)
	isEmpty(t, reader)
}

// A writer that is full after so many bytes.
type small int

func (s *small) Write(data []byte) (int, error) {
	if len(data) > int(*s) {
		return 0, syscall.ENOSPC
	}
	*s -= small(len(data))
	return len(data), nil
}

func snapshotAsFile(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	count := fillUp(t, source, 24)
	all, err := reader.Snapshot()
	must(t, err)
	for range count {
		must(t, reader.ReadInto(new(ringbuf.Record)))
	}
	produce(t, source, 7)
	one, err := reader.Snapshot()
	must(t, err)

	var file bytes.Buffer
	n, err := all.WriteTo(&file)
	must(t, err)
	equal(t, "bytes", n, int64(128+32*count))
	_, err = one.WriteTo(&file)
	must(t, err)
	equal(t, "bytes", file.Len(), int(128+32*count+128+32))
	saved := bytes.Clone(file.Bytes())
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	full := small(1000)
	_, err = all.WriteTo(&full)
	wants(t, err, syscall.ENOSPC)
	select {
	case <-broken:
		t.Fatal("a signal for a pipe that is no matter of the program")
	case <-time.After(20 * time.Millisecond):
	}

	same, err := ringbuf.ReadSnapshot(&file)
	must(t, err)
	number := uint64(0)
	for record := range same.Records() {
		is(t, &record, number)
		number++
	}
	equal(t, "records", number, count)
	want, err := all.Info()
	must(t, err)
	info, err := same.Info()
	must(t, err)
	equal(t, "information", info, want)
	same, err = ringbuf.ReadSnapshot(&file) // behind the first
	must(t, err)
	snapshotIs(t, same, 7)
	_, err = ringbuf.ReadSnapshot(&file)
	wants(t, err, io.EOF)
	for _, length := range []int{1, 127, 128, 1000} {
		_, err = ringbuf.ReadSnapshot(bytes.NewReader(saved[:length]))
		wants(t, err, syscall.EBADMSG)
	}
	for _, at := range []int{0, 64, 100, 1000} {
		damaged := bytes.Clone(saved)
		damaged[at] ^= 1
		_, err = ringbuf.ReadSnapshot(bytes.NewReader(damaged))
		wants(t, err, syscall.EBADMSG)
	}
	_, err = ringbuf.ReadSnapshot(iotest.ErrReader(syscall.EIO))
	wants(t, err, syscall.EIO)
	_, err = new(ringbuf.Snapshot).WriteTo(&file)
	wants(t, err, syscall.ENODATA)
}

// Whoever taps sees what the ring's reader sees, and takes nothing from it.
func tap(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	produce(t, source, 0, 1)
	tap := open(t, source, ringbuf.WithTap())
	viewIs(t, tap, 0, 1)
	must(t, tap.Commit())
	stats, err := reader.Stats()
	must(t, err)
	equal(t, "given back", stats.ConsumerPos, 0)
	readIs(t, reader, 0, 1)
	isEmpty(t, reader)
	produce(t, source, 2)
	readIs(t, tap, 2)
	readIs(t, reader, 2)
	isEmpty(t, tap)
	// It sees what comes while it waits.
	result := blocked(tap)
	produce(t, source, 3)
	must(t, <-result)
	var record ringbuf.Record
	produce(t, source, 4)
	must(t, tap.ReadZeroCopy(&record))
	is(t, &record, 4)
	equal(t, "lost before", record.LostBefore(), false)
	must(t, tap.Close())
	is(t, &record, 4) // memory of the copy, still there
	readIs(t, reader, 3, 4)
}

// ---- Everything else ----

func severalReaders(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	result := make(chan error, 1)
	go func() {
		err := produceMany(source)
		reader.Flush()
		result <- err
	}()
	numbers := make([][]uint64, 4)
	var readers sync.WaitGroup
	for i := range numbers {
		readers.Add(1)
		go func() {
			defer readers.Done()
			for {
				record, err := reader.Read()
				if errors.Is(err, ringbuf.ErrFlushed) || errors.Is(err, ringbuf.ErrClosed) {
					reader.Close() // the others wait for records that will not come
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				numbers[i] = append(numbers[i], binary.NativeEndian.Uint64(record.RawSample))
			}
		}()
	}
	readers.Wait()
	must(t, <-result)
	all := slices.Concat(numbers...)
	slices.Sort(all)
	equal(t, "records", len(all), manyRecords)
	for i, number := range all {
		equal(t, "number", number, uint64(i))
	}
}

func stats(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	produce(t, source, 0, 1, 2)
	readIs(t, reader, 0)
	viewIs(t, reader, 1)
	stats, err := reader.Stats()
	must(t, err)
	equal(t, "records", stats.Records, 3) // fetched together
	equal(t, "bytes", stats.Bytes, 72)
	equal(t, "batches", stats.Batches, 1)
	equal(t, "ring size", stats.RingSize, ringSize)
	equal(t, "produced", stats.ProducerPos, 96)
	equal(t, "read", stats.ReadPos, 96)
	equal(t, "given back", stats.UserPos, 32)
	equal(t, "broken", stats.Broken, false)
	equal(t, "unguarded", stats.Unguarded, false)
}

func allocations(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	var record ringbuf.Record
	data := numbered(1, 24)
	perRecord := func(read func(*ringbuf.Record) error) float64 {
		return testing.AllocsPerRun(500, func() {
			if done, err := source.Produce(data, 0); err != nil || !done {
				t.Fatal("produce", done, err)
			}
			must(t, read(&record))
			must(t, reader.Commit())
		})
	}
	producing := testing.AllocsPerRun(100, func() {
		if _, err := source.Produce(data, 0); err != nil {
			t.Fatal(err)
		}
	})
	// From here on each record is fetched alone.
	reader.SetDeadline(time.Unix(1, 0))
	for reader.ReadInto(&record) == nil {
	}
	reader.SetDeadline(time.Time{})
	equal(t, "allocations by ReadZeroCopy", perRecord(reader.ReadZeroCopy), producing)
	equal(t, "allocations by ReadInto", perRecord(reader.ReadInto), producing)
}

func openFiles(t testing.TB) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(files)
}

// settles waits until a number is what it should be: what ends in the background may take a moment.
func settles(t testing.TB, what string, number func() int, want int) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); number() > want; {
		if time.Now().After(end) {
			t.Fatalf("%s: %d instead of %d", what, number(), want)
		}
		runtime.GC()
		time.Sleep(10 * time.Millisecond)
	}
}

// Nothing is left of readers: neither those that were closed nor those that were forgotten.
func leaks(t *testing.T, newSource Maker) {
	source := newSource(t, ringSize)
	use := func(end func(*ringbuf.Reader)) {
		reader, err := ringbuf.NewReader(source)
		must(t, err)
		result := blocked(reader)
		produce(t, source, 1)
		must(t, <-result)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		for range reader.Records(ctx) {
		}
		end(reader)
	}
	use(func(reader *ringbuf.Reader) { reader.Close() })
	files := openFiles(t)
	goroutines := runtime.NumGoroutine()
	for range 5 {
		use(func(reader *ringbuf.Reader) { reader.Close() })
		if now := openFiles(t); now > files {
			t.Fatalf("%d open files instead of %d", now, files)
		}
	}
	use(func(*ringbuf.Reader) {})
	settles(t, "open files", func() int { return openFiles(t) }, files)
	settles(t, "goroutines", runtime.NumGoroutine, goroutines)
	open(t, source) // the ring is free
}
