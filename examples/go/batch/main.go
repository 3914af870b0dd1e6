// SPDX-License-Identifier: MIT

// Batches and deferred commit: records are given back only after they are safe in a file, so that a
// reader that dies repeats records, and never loses one.
//
//	go run ./batch FILE
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

const (
	records   = 1000
	batchSize = 64
)

func must(err error) {
	if err != nil {
		log.Fatal("batch: ", err)
	}
}

func produce(ring *ringbuf.MemoryRing) {
	producer, err := ringbuf.NewProducer(ring)
	must(err)
	defer producer.Close()
	for number := range uint32(records) {
		must(producer.Output(binary.NativeEndian.AppendUint32(nil, number), 0))
	}
}

// save makes records safe.
func save(file *os.File, records []ringbuf.Record) {
	for i := range records {
		_, err := fmt.Fprintln(file, binary.NativeEndian.Uint32(records[i].RawSample))
		must(err)
	}
	must(file.Sync())
}

// drain saves and commits until the ring is empty or room records are saved. Returns their number.
func drain(ring *ringbuf.MemoryRing, file *os.File, room int) int {
	reader, err := ringbuf.NewReader(ring)
	must(err)
	defer reader.Close()
	reader.SetDeadline(time.Now()) // what is there, and no wait for more
	var batch [batchSize]ringbuf.Record
	total := 0
	for total < room {
		n, err := reader.ReadBatch(batch[:])
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		must(err)
		saved := min(n, room-total)
		save(file, batch[:saved])
		must(reader.CommitTo(&batch[saved-1]))
		total += saved
	}
	return total
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: batch FILE")
	}
	file, err := os.Create(os.Args[1])
	must(err)
	ring, err := ringbuf.NewMemoryRing(65536)
	must(err)
	defer ring.Close()
	produce(ring)

	// The first reader has room for 300 records: it stops within a batch, and commits up to there.
	fmt.Printf("the first reader saved %d records and stopped within a batch\n", drain(ring, file, 300))
	// The second one gets exactly what was not committed.
	fmt.Printf("the second reader saved the other %d\n", drain(ring, file, records))
	must(file.Close())
}
