//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// Several rings in one reader. What is known of each is found by its index.
func ExampleReader_Add() {
	reader, err := ringbuf.NewReader(ringOf("exec", "exit"))
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	names := map[int]string{0: "processes"}
	index, err := reader.Add(ringOf("open", "close"))
	if err != nil {
		log.Fatal(err)
	}
	names[index] = "files"
	if err := reader.Flush(); err != nil { // so that the loop ends
		log.Fatal(err)
	}
	for record := range reader.Records(context.Background()) {
		fmt.Printf("%s: %s\n", names[record.Ring()], record.RawSample)
	}
	if err := reader.Err(); !errors.Is(err, ringbuf.ErrFlushed) {
		log.Fatal(err)
	}
	for ring := range reader.Rings() {
		stats, err := reader.RingStats(ring)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(stats.Records, "records of", names[ring])
	}
	// Output:
	// processes: exec
	// processes: exit
	// files: open
	// files: close
	// 2 records of processes
	// 2 records of files
}

// What was not read stays in the ring, for its next reader.
func ExampleReader_Remove() {
	first, second := ringOf("one"), ringOf("two")
	reader, err := ringbuf.NewReader(first)
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	index, err := reader.Add(second)
	if err != nil {
		log.Fatal(err)
	}
	if err := reader.Remove(index); err != nil {
		log.Fatal(err)
	}
	next, err := ringbuf.NewReader(second)
	if err != nil {
		log.Fatal(err)
	}
	defer next.Close()
	for _, reader := range []*ringbuf.Reader{reader, next} {
		record, err := reader.Read()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", record.RawSample)
	}
	// Output:
	// one
	// two
}
