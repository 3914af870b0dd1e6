//go:build linux && cgo

// SPDX-License-Identifier: MIT

package readertest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

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
		stats := ringStats(t, reader)
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
	stats := ringStats(t, reader)
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

// Close within a loop, as a goroutine that waits for a signal calls it: what the loop went past is given
// back, and the record that it is at comes again, with those that were read in the body.
func recordsIsClosed(t *testing.T, newSource Maker) {
	source := newSource(t, ringSize)
	produce(t, source, 0, 1)
	must(t, source.Discard())
	produce(t, source, 2, 3, 4)
	reader := open(t, source)
	for record := range reader.Records(t.Context()) {
		if is(t, &record, record.Position()/32); record.Position() == 32 {
			must(t, reader.Close())
		}
	}
	wants(t, reader.Err(), ringbuf.ErrClosed)
	reader = open(t, source)
	viewIs(t, reader, 1)
	for range reader.Records(t.Context()) {
		viewIs(t, reader, 3)
		must(t, reader.Close())
	}
	reader = open(t, source)
	for range reader.Records(t.Context()) {
		must(t, reader.CommitNow())
		viewIs(t, reader, 3)
		must(t, reader.Close())
	}
	reader = open(t, source)
	viewIs(t, reader, 3)
	must(t, reader.Close())
	readIs(t, open(t, source), 3, 4)
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
