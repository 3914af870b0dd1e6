//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// ringOf is a ring with these samples in it: what in most programs is an *ebpf.Map, which a BPF program
// fills.
func ringOf(samples ...string) *ringbuf.MemoryRing {
	ring, err := ringbuf.NewMemoryRing(1 << 16)
	if err != nil {
		log.Fatal(err)
	}
	producer, err := ringbuf.NewProducer(ring)
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()
	for _, sample := range samples {
		if err := producer.Output([]byte(sample), 0); err != nil {
			log.Fatal(err)
		}
	}
	return ring
}

// readerOf is a reader of such a ring.
func readerOf(samples ...string) *ringbuf.Reader {
	reader, err := ringbuf.NewReader(ringOf(samples...))
	if err != nil {
		log.Fatal(err)
	}
	return reader
}

// A reader of any ring that has a file descriptor, such as an *ebpf.Map of cilium/ebpf.
func ExampleNewReader() {
	ring := ringOf("one", "two")
	reader, err := ringbuf.NewReader(ring, ringbuf.WithMaxLatency(500*time.Microsecond))
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	for range 2 {
		record, err := reader.Read()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s at %d\n", record.RawSample, record.Position())
	}
	// Output:
	// one at 0
	// two at 16
}

// The memory of a record is used again.
func ExampleReader_ReadInto() {
	reader := readerOf("one", "two")
	defer reader.Close()
	var record ringbuf.Record
	for range 2 {
		if err := reader.ReadInto(&record); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s, %d bytes behind it\n", record.RawSample, record.Remaining)
	}
	// Output:
	// one, 16 bytes behind it
	// two, 0 bytes behind it
}

// The sample is valid until it is given back.
func ExampleReader_ReadZeroCopy() {
	reader := readerOf("one", "two")
	defer reader.Close()
	var record ringbuf.Record
	for range 2 {
		if err := reader.ReadZeroCopy(&record); err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", record.RawSample)
		if err := reader.Commit(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// one
	// two
}

// Records of a batch are given back together, after they were handled.
func ExampleReader_ReadBatch() {
	reader := readerOf("one", "two", "three")
	defer reader.Close()
	records := make([]ringbuf.Record, 256)
	n, err := reader.ReadBatch(records)
	if err != nil {
		log.Fatal(err)
	}
	for _, record := range records[:n] {
		fmt.Printf("%s\n", record.RawSample)
	}
	if err := reader.Commit(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// one
	// two
	// three
}

// What was not given back is there for the next reader.
func ExampleReader_CommitTo() {
	ring := ringOf("one", "two", "three")
	reader, err := ringbuf.NewReader(ring)
	if err != nil {
		log.Fatal(err)
	}
	records := make([]ringbuf.Record, 256)
	n, err := reader.ReadBatch(records)
	if err != nil {
		log.Fatal(err)
	}
	if err := reader.CommitTo(&records[0]); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d read, 1 given back\n", n)
	reader.Close()

	if reader, err = ringbuf.NewReader(ring); err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	record, err := reader.Read()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("the next reader begins with %s\n", record.RawSample)
	// Output:
	// 3 read, 1 given back
	// the next reader begins with two
}

// Records of one size, at the least cost.
func ExampleReader_ReadSpan() {
	reader := readerOf("four", "five", "nine", "zero", "eleven")
	defer reader.Close()
	for range 2 {
		span, err := reader.ReadSpan(512)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d records of %d bytes:", span.Count, span.Size)
		for i := range span.Count {
			fmt.Printf(" %s", span.Sample(i))
		}
		fmt.Println()
		if err := reader.Commit(); err != nil {
			log.Fatal(err)
		}
	}
	// Output:
	// 4 records of 4 bytes: four five nine zero
	// 1 records of 6 bytes: eleven
}

// The loop gives back what it went through.
func ExampleReader_Records() {
	reader := readerOf("one", "two")
	defer reader.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for record := range reader.Records(ctx) {
		fmt.Printf("%s\n", record.RawSample)
		if record.Remaining == 0 {
			cancel()
		}
	}
	fmt.Println(reader.Err())
	// Output:
	// one
	// two
	// context canceled
}

// A read that waits no longer than its context lasts.
func ExampleReader_ReadBatchContext() {
	reader := readerOf()
	defer reader.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	n, err := reader.ReadBatchContext(ctx, make([]ringbuf.Record, 256))
	fmt.Println(n, err)
	// Output: 0 context deadline exceeded
}

// With a deadline that has passed, reads take what is there and wait for no more.
func ExampleReader_SetDeadline() {
	reader := readerOf("one")
	defer reader.Close()
	reader.SetDeadline(time.Now())
	for {
		record, err := reader.Read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			fmt.Println("the ring is empty")
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", record.RawSample)
	}
	// Output:
	// one
	// the ring is empty
}

// The end of a program: what is in the ring still comes, and then ErrFlushed.
func ExampleReader_Flush() {
	reader := readerOf("one", "two")
	defer reader.Close()
	if err := reader.Flush(); err != nil {
		log.Fatal(err)
	}
	for {
		record, err := reader.Read()
		if errors.Is(err, ringbuf.ErrFlushed) {
			fmt.Println("that was all")
			return
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", record.RawSample)
	}
	// Output:
	// one
	// two
	// that was all
}

// Records that are given back in any order, by any goroutine.
func ExampleReader_Release() {
	reader, err := ringbuf.NewReader(ringOf("one", "two", "three"), ringbuf.WithRelease())
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	records := make([]ringbuf.Record, 3)
	n, err := reader.ReadBatch(records)
	if err != nil {
		log.Fatal(err)
	}
	released := make(chan error)
	for i := range n {
		go func() { released <- reader.Release(records[i]) }()
	}
	for range n {
		if err := <-released; err != nil {
			log.Fatal(err)
		}
	}
	stats, err := reader.RingStats(0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(stats.ProducerPos-stats.UserPos, "bytes are not given back")
	// Output: 0 bytes are not given back
}

// A look at all that the ring has, which takes nothing from it; and as a file.
func ExampleReader_Snapshot() {
	reader := readerOf("one", "two")
	defer reader.Close()
	snapshot, err := reader.Snapshot(0)
	if err != nil {
		log.Fatal(err)
	}
	defer snapshot.Close()
	var file bytes.Buffer
	if _, err := snapshot.WriteTo(&file); err != nil {
		log.Fatal(err)
	}
	again, err := ringbuf.ReadSnapshot(&file)
	if err != nil {
		log.Fatal(err)
	}
	defer again.Close()
	for record := range again.Records() {
		fmt.Printf("%s\n", record.RawSample)
	}
	if err := again.Err(); err != nil {
		log.Fatal(err)
	}
	record, err := reader.Read()
	fmt.Printf("and read: %s, %v\n", record.RawSample, err)
	// Output:
	// one
	// two
	// and read: one, <nil>
}

// Statistics, among them what a full ring refused: a memory ring counts that itself, other rings in the
// map of WithLossMap.
func ExampleReader_RingStats() {
	ring, err := ringbuf.NewMemoryRing(65536)
	if err != nil {
		log.Fatal(err)
	}
	producer, err := ringbuf.NewProducer(ring)
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()
	written := 0
	for range 10 {
		if producer.Output(make([]byte, 16000), 0) == nil {
			written++
		}
	}
	reader, err := ringbuf.NewReader(ring)
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	stats, err := reader.RingStats(0)
	fmt.Println(written, "written,", stats.Lost, "lost,", err)
	// Output: 4 written, 6 lost, <nil>
}

// In overwrite mode the newest records make room for themselves.
func ExampleWithOverwrite() {
	ring, err := ringbuf.NewOverwriteRing(65536)
	if err != nil {
		log.Fatal(err)
	}
	producer, err := ringbuf.NewProducer(ring)
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()
	for number := range 10 {
		if err := producer.Output(bytes.Repeat([]byte{byte(number)}, 16000), 0); err != nil {
			log.Fatal(err)
		}
	}
	reader, err := ringbuf.NewReader(ring, ringbuf.WithOverwrite())
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	record, err := reader.Read()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("record", record.RawSample[0], "after a loss:", record.LostBefore())
	// Output: record 6 after a loss: true
}

// A tap sees what the ring's reader sees, and takes nothing from it.
func ExampleWithTap() {
	ring := ringOf("one")
	reader, err := ringbuf.NewReader(ring)
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	tap, err := ringbuf.NewReader(ring, ringbuf.WithTap())
	if err != nil {
		log.Fatal(err)
	}
	defer tap.Close()
	for _, reader := range []*ringbuf.Reader{tap, reader} {
		record, err := reader.Read()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", record.RawSample)
	}
	// Output:
	// one
	// one
}

// A record is filled where it lies in the ring.
func ExampleProducer_Reserve() {
	ring := ringOf()
	producer, err := ringbuf.NewProducer(ring)
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()
	data, err := producer.Reserve(5)
	if err != nil {
		log.Fatal(err) // syscall.EAGAIN: the ring is full
	}
	copy(data, "hello")
	if err := producer.Submit(data, 0); err != nil {
		log.Fatal(err)
	}
	reader, err := ringbuf.NewReader(ring)
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	record, err := reader.Read()
	fmt.Printf("%s, %v\n", record.RawSample, err)
	// Output: hello, <nil>
}

// Records in a row, which the reader gets at once.
func ExampleProducer_OutputBatch() {
	ring := ringOf()
	producer, err := ringbuf.NewProducer(ring)
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()
	n, err := producer.OutputBatch([][]byte{[]byte("one"), []byte("two")}, 0)
	fmt.Println(n, err)
	// Output: 2 <nil>
}
