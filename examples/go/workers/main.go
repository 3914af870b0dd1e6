// SPDX-License-Identifier: MIT

// Records handed to goroutines, which hold them as long as they like and give them back in any order;
// nothing is copied.
//
//	go run ./workers
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

const (
	records  = 20000
	ringSize = 65536 // all records together would not fit
	workers  = 4
	queued   = 16 // batches
)

func must(err error) {
	if err != nil {
		log.Fatal("workers: ", err)
	}
}

func produce(ring *ringbuf.MemoryRing) {
	producer, err := ringbuf.NewProducer(ring)
	must(err)
	defer producer.Close()
	for number := range uint32(records) {
		data := binary.NativeEndian.AppendUint32(nil, number)
		// In a real program a full ring loses the record; here it is tried again.
		for err = producer.Output(data, 0); errors.Is(err, syscall.EAGAIN); err = producer.Output(data, 0) {
			time.Sleep(100 * time.Microsecond)
		}
		must(err)
	}
}

var sum, furthest, outOfOrder atomic.Uint64

func noteOrder(position uint64) {
	seen := furthest.Load()
	if position < seen {
		outOfOrder.Add(1)
	}
	for position > seen && !furthest.CompareAndSwap(seen, position) {
		seen = furthest.Load()
	}
}

func work(reader *ringbuf.Reader, queue <-chan []ringbuf.Record) {
	for batch := range queue {
		for i := range batch {
			number := binary.NativeEndian.Uint32(batch[i].RawSample)
			if number%100 == 0 {
				time.Sleep(100 * time.Microsecond) // some records are more work than others
			}
			sum.Add(uint64(number))
			noteOrder(batch[i].Position())
		}
		must(reader.Release(batch...))
	}
}

func main() {
	ring, err := ringbuf.NewMemoryRing(ringSize)
	must(err)
	defer ring.Close()
	reader, err := ringbuf.NewReader(ring, ringbuf.WithRelease())
	must(err)
	defer reader.Close()

	go produce(ring)
	queue := make(chan []ringbuf.Record, queued)
	var group sync.WaitGroup
	for range workers {
		group.Add(1)
		go func() {
			defer group.Done()
			work(reader, queue)
		}()
	}
	for seen := 0; seen < records; {
		batch := make([]ringbuf.Record, 16)
		n, err := reader.ReadBatch(batch)
		must(err)
		queue <- batch[:n]
		seen += n
	}
	close(queue)
	group.Wait()

	stats, err := reader.Stats()
	must(err)
	given := "NOT all"
	if stats.UserPos == stats.ProducerPos {
		given = "all"
	}
	fmt.Printf("%d records by %d workers, sum %d, %s given back\n", stats.Records, workers, sum.Load(), given)
	fmt.Printf("released out of order: %d\n", outOfOrder.Load())
}
