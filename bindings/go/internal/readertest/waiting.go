//go:build linux && cgo

// SPDX-License-Identifier: MIT

package readertest

import (
	"os"
	"syscall"
	"testing"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

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
	stats := ringStats(t, reader)
	equal(t, "skipped", stats.Skipped, 2)
}
