// SPDX-License-Identifier: MIT

// A program that uses all of cilium's reader. The test runs it once as it is and once with its
// import changed, and looks whether it can tell. Its standard input is the map.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"
)

func say(what string, record *ringbuf.Record, err error) {
	fmt.Println(what, string(record.RawSample), record.Remaining,
		errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, ringbuf.ErrFlushed),
		errors.Is(err, ringbuf.ErrClosed))
}

func main() {
	m, err := ebpf.NewMapFromFD(0)
	if err != nil {
		log.Fatal(err)
	}
	reader, err := ringbuf.NewReader(m)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reader.BufferSize(), reader.AvailableBytes())
	record, err := reader.Read()
	say("Read", &record, err)
	fmt.Println(reader.AvailableBytes())
	for err == nil && record.Remaining > 0 {
		err = reader.ReadInto(&record)
		say("ReadInto", &record, err)
	}
	reader.SetDeadline(time.Now().Add(10 * time.Millisecond))
	record, err = reader.Read()
	say("the deadline", &record, err)
	reader.SetDeadline(time.Time{})
	err = reader.Flush()
	say("Flush", &record, err)
	record, err = reader.Read()
	say("the flush", &record, err)
	closed := make(chan error)
	time.AfterFunc(10*time.Millisecond, func() { closed <- reader.Close() })
	record, err = reader.Read()
	say("Close", &record, err)
	fmt.Println(<-closed)
	say("closed", &record, reader.ReadInto(&record))
	fmt.Println(errors.Is(reader.Flush(), ringbuf.ErrClosed), reader.Close())
}
