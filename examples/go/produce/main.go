// SPDX-License-Identifier: MIT

// A memory ring between two processes: the reader makes it and hands its two file descriptors to the
// producer, which writes records. Neither needs BPF or root.
//
//	go run ./produce
package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"os/exec"
	"syscall"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

const records = 100000

func must(err error) {
	if err != nil {
		log.Fatal("produce: ", err)
	}
}

// produce is the producing process. A full ring refuses the record, as it does in the kernel.
func produce(ring *ringbuf.MemoryRing) {
	producer, err := ringbuf.NewProducer(ring)
	must(err)
	defer producer.Close()
	for number := range uint64(records) {
		data, err := producer.Reserve(8)
		if errors.Is(err, syscall.EAGAIN) {
			continue
		}
		must(err)
		binary.NativeEndian.PutUint64(data, number)
		must(producer.Submit(data, 0))
	}
}

// start runs this program as the producer, with the ring's descriptors as its third and fourth.
func start(ring *ringbuf.MemoryRing) *exec.Cmd {
	self, err := os.Executable()
	must(err)
	command := exec.Command(self, "producer")
	command.Stderr = os.Stderr
	for _, fd := range []int{ring.FD(), ring.EventFD()} {
		copied, err := syscall.Dup(fd)
		must(err)
		command.ExtraFiles = append(command.ExtraFiles, os.NewFile(uintptr(copied), "ring"))
	}
	must(command.Start())
	return command
}

// receive reads until the flush, and returns the number of records. Their numbers must rise.
func receive(reader *ringbuf.Reader) uint64 {
	var total, next uint64
	var record ringbuf.Record
	for {
		err := reader.ReadInto(&record)
		if errors.Is(err, ringbuf.ErrFlushed) {
			return total
		}
		must(err)
		number := binary.NativeEndian.Uint64(record.RawSample)
		if number < next {
			log.Fatal("produce: a record came twice or out of order")
		}
		next = number + 1
		total++
	}
}

func main() {
	if len(os.Args) > 1 {
		produce(ringbuf.MemoryRingFromFDs(3, 4))
		return
	}
	ring, err := ringbuf.NewMemoryRing(1 << 20)
	must(err)
	defer ring.Close()
	reader, err := ringbuf.NewReader(ring)
	must(err)
	defer reader.Close()

	producer := start(ring)
	go func() {
		must(producer.Wait())
		must(reader.Flush()) // ErrFlushed comes after the last record
	}()
	received := receive(reader)
	stats, err := reader.RingStats(0)
	must(err)
	fmt.Printf("%d produced = %d received + %d lost\n", records, received, stats.Lost)
	if received+stats.Lost != records {
		os.Exit(1)
	}
}
