//go:build linux && cgo

// SPDX-License-Identifier: MIT

package readertest

import (
	"bytes"
	"math/rand/v2"
	"syscall"
	"testing"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

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
	stats := ringStats(t, reader)
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
	stats := ringStats(t, reader)
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
	stats := ringStats(t, reader)
	equal(t, "given back", stats.UserPos, 0)
	must(t, reader.Commit())
	done, err = source.Produce(numbered(count, 1000), 0)
	must(t, err)
	equal(t, "room after commit", done, true)
	all, err := reader.Stats()
	must(t, err)
	equal(t, "commits", all.Commits, 1)
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
	stats := ringStats(t, reader)
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
	stats := ringStats(t, reader)
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
