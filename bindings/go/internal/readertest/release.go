//go:build linux && cgo

// SPDX-License-Identifier: MIT

package readertest

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

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
	stats := ringStats(t, reader)
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
	equal(t, "available", reader.AvailableBytes(), 0)
	is(t, &records[0], 0)
	must(t, reader.Release(records[1]))
	_, err = ringbuf.NewReader(source)
	wants(t, err, syscall.EBUSY)
	if !strings.Contains(err.Error(), "in this process, still held by records that were not released") {
		t.Errorf("what has the ring: %v", err)
	}
	wants(t, reader.Release(records[1]), syscall.EINVAL)
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
	// Nor is the record held that has the position of the zero one, or of a copy.
	copied := ringbuf.Record{RawSample: record.RawSample}
	wants(t, reader.Release(ringbuf.Record{}, copied), syscall.EINVAL)
	is(t, &record, 1)
	must(t, reader.Release(record))
	wants(t, reader.Release(record), syscall.EINVAL)
	_, plain := both(t, newSource)
	wants(t, plain.Release(record), syscall.EINVAL)
}
