//go:build linux && cgo

// SPDX-License-Identifier: MIT

// Package readertest holds the tests of a reader that are the same for each kind of ring: they run
// on memory rings beside the package, and on rings of the kernel in a module of their own.
package readertest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
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
		{"RecordsIsClosed", recordsIsClosed},
		{"RecordsIsCancelled", recordsIsCancelled},
		{"Contexts", contexts},
		{"ContextCostsNothing", contextCostsNothing},
		{"ContextOfOneOfTwo", contextOfOneOfTwo},
		{"ContextsOfMany", contextsOfMany},
		{"Release", release},
		{"ReleaseAfterClose", releaseAfterClose},
		{"ReleaseOfNothing", releaseOfNothing},
		{"Snapshot", snapshot},
		{"SnapshotConsumes", snapshotConsumes},
		{"SnapshotAsFile", snapshotAsFile},
		{"SnapshotHeader", snapshotHeader},
		{"SnapshotHeaderOfReleased", snapshotHeaderOfReleased},
		{"Tap", tap},
		{"SeveralReaders", severalReaders},
		{"RingsOfMany", ringsOfMany},
		{"RingsInALoop", ringsInALoop},
		{"RingsTakeTurns", ringsTakeTurns},
		{"AddWhileBlocked", addWhileBlocked},
		{"AddOptions", addOptions},
		{"AddErrors", addErrors},
		{"RemoveOfIdle", removeOfIdle},
		{"RemoveOfHeld", removeOfHeld},
		{"RemoveOfFetched", removeOfFetched},
		{"RemoveOfLent", removeOfLent},
		{"CloseOfRings", closeOfRings},
		{"CommitOverRings", commitOverRings},
		{"TooManyTurns", tooManyTurns},
		{"FlushOfRings", flushOfRings},
		{"SizesOfRings", sizesOfRings},
		{"SnapshotsOfRings", snapshotsOfRings},
		{"RingsComeAndGo", ringsComeAndGo},
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

// The statistics of a reader's first ring.
func ringStats(t testing.TB, reader *ringbuf.Reader) ringbuf.RingStats {
	t.Helper()
	stats, err := reader.RingStats(0)
	must(t, err)
	return stats
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
	all, err := reader.Stats()
	must(t, err)
	equal(t, "records", all.Records, 3) // fetched together
	equal(t, "bytes", all.Bytes, 72)
	equal(t, "batches", all.Batches, 1)
	equal(t, "rings", all.Rings, 1)
	stats := ringStats(t, reader)
	equal(t, "records of the ring", stats.Records, 3)
	equal(t, "bytes of the ring", stats.Bytes, 72)
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
