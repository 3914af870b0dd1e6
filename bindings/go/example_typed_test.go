//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"time"
	"unsafe"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// An Open is what a BPF program writes as struct open { __u64 time; __u32 pid; char name[12]; }.
type Open struct {
	Time uint64
	PID  uint32
	Name [12]byte
}

func outputOpens(ring *ringbuf.MemoryRing) {
	producer, err := ringbuf.NewProducer(ring)
	if err != nil {
		log.Fatal(err)
	}
	defer producer.Close()
	for i, name := range []string{"cat", "ls"} {
		data, err := producer.Reserve(int(unsafe.Sizeof(Open{})))
		if err != nil {
			log.Fatal(err)
		}
		open, err := ringbuf.As[Open](data)
		if err != nil {
			log.Fatal(err)
		}
		*open = Open{Time: uint64(1000 * i), PID: uint32(100 + i)}
		copy(open.Name[:], name)
		if err := producer.Submit(data, 0); err != nil {
			log.Fatal(err)
		}
	}
}

// Samples as values of a struct, in a loop that gives them back.
func ExampleRecords() {
	ring := ringOf()
	outputOpens(ring)
	reader, err := ringbuf.NewReader(ring)
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	for open, err := range ringbuf.Records[Open](ctx, reader) {
		if err != nil {
			fmt.Println(err)
			break
		}
		fmt.Printf("%s[%d] at %d\n", bytes.TrimRight(open.Name[:], "\x00"), open.PID, open.Time)
	}
	// Output:
	// cat[100] at 0
	// ls[101] at 1000
	// context deadline exceeded
}

// The type is checked when the program starts.
func ExampleTypedOf() {
	_, err := ringbuf.TypedOf[struct {
		PID  uint32
		Time uint64
	}]()
	fmt.Println(err)
	// Output: ringbuf: struct { PID uint32; Time uint64 }.Time has padding before it, which must be a field: _ [4]byte (invalid argument)
}

// A span of values.
func ExampleTyped_Span() {
	typed, err := ringbuf.TypedOf[Open]()
	if err != nil {
		log.Fatal(err)
	}
	ring := ringOf()
	outputOpens(ring)
	reader, err := ringbuf.NewReader(ring)
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	span, err := reader.ReadSpan(512)
	if err != nil {
		log.Fatal(err)
	}
	opens, err := typed.Span(&span)
	if err != nil {
		log.Fatal(err)
	}
	for i, open := range opens {
		fmt.Println(i, open.PID)
	}
	if err := reader.Commit(); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 0 100
	// 1 101
}

// One sample; if records have several types that begin alike, it tells which.
func ExampleAs() {
	ring := ringOf()
	outputOpens(ring)
	reader, err := ringbuf.NewReader(ring)
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	record, err := reader.Read()
	if err != nil {
		log.Fatal(err)
	}
	open, err := ringbuf.As[Open](record.RawSample)
	fmt.Println(open.PID, err)
	_, err = ringbuf.As[Open](record.RawSample[:20])
	fmt.Println(err)
	// Output:
	// 100 <nil>
	// ringbuf: a sample of 20 bytes is too short for ringbuf_test.Open, which has 24 (invalid argument)
}
