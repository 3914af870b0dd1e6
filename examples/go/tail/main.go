// SPDX-License-Identifier: MIT

// Prints events as they happen: those of a ring that is pinned, or the records that a goroutine of our
// own writes into a memory ring. The ring of each exec and scheduler switch of the machine is pinned by
// load of the examples in C; cilium/ebpf opens it.
//
//	go run ./tail [-d SECONDS] [PATH]
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// The records of ../bpf/events.h.
type event struct {
	TimeNS   uint64
	Kind     uint32
	CPU      uint32
	PID      uint32
	Name     [16]byte
	Reserved uint32
}

const (
	eventSize = 40
	exec      = 1
	swap      = 2
	madeUp    = 3
)

// Lines printed of each kind in a tenth of a second: a terminal cannot keep up with all.
var linesMax = [4]int{exec: 4, swap: 1, madeUp: 1}

var start uint64 // what the printed times count from

func must(err error) {
	if err != nil {
		log.Fatal("tail: ", err)
	}
}

func nowNS() uint64 {
	var now unix.Timespec
	must(unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
	return uint64(now.Nano())
}

func text(data []byte) string {
	name, _, _ := bytes.Cut(data, []byte{0})
	return string(name)
}

func print(e *event, record *ringbuf.Record) {
	more := record.RawSample[eventSize:]
	fmt.Printf("%9.4f  cpu %-3d", float64(int64(e.TimeNS-start))/1e9, e.CPU)
	switch e.Kind {
	case exec:
		fmt.Printf(" exec    %s[%d] %s\n", text(e.Name[:]), e.PID, text(more))
	case swap:
		fmt.Printf(" switch  %s[%d] -> %s[%d]\n", text(e.Name[:]), e.PID, text(more[:16]),
			binary.NativeEndian.Uint32(more[16:]))
	default:
		fmt.Printf(" made up %s[%d] record at %d\n", text(e.Name[:]), e.PID, record.Position())
	}
}

// tail prints the first events of each kind in a tenth of a second, and leaves out the rest.
func tail(ctx context.Context, reader *ringbuf.Reader) error {
	var lines [4]int
	var tenth uint64
	for record := range reader.Records(ctx) {
		var e event
		if _, err := binary.Decode(record.RawSample, binary.NativeEndian, &e); err != nil {
			return err
		}
		if e.TimeNS/1e8 != tenth {
			tenth = e.TimeNS / 1e8
			lines = [4]int{}
		}
		if lines[e.Kind&3]++; lines[e.Kind&3] <= linesMax[e.Kind&3] {
			print(&e, &record)
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return reader.Err()
}

// report prints what was read in each second.
func report(reader *ringbuf.Reader) {
	var before ringbuf.Stats
	for second := 1; ; second++ {
		time.Sleep(time.Second)
		stats, err := reader.Stats()
		if err != nil {
			return // closed
		}
		fmt.Printf("-- second %d: %d records/s, %d batches/s, %d wakeups/s, %s lost so far\n", second,
			stats.Records-before.Records, stats.Batches-before.Batches, stats.Wakeups-before.Wakeups, lost(&stats))
		before = stats
	}
}

func lost(stats *ringbuf.Stats) string {
	if stats.Lost == ringbuf.Unknown {
		return "unknown"
	}
	return fmt.Sprint(stats.Lost)
}

// produce writes bursts of 100 records with pauses between, as long as the program runs.
func produce(producer *ringbuf.Producer) {
	name := [16]byte{}
	copy(name[:], "producer")
	for ; ; time.Sleep(2 * time.Millisecond) {
		for range 100 {
			data, err := producer.Reserve(eventSize)
			if err != nil {
				continue // full: the ring counts it
			}
			e := event{TimeNS: nowNS(), Kind: madeUp, PID: uint32(os.Getpid()), Name: name}
			_, err = binary.Encode(data, binary.NativeEndian, &e)
			must(err)
			must(producer.Submit(data, 0))
		}
	}
}

// open opens the ring that is pinned at path, or a memory ring with a producer.
func open(path string) *ringbuf.Reader {
	if path == "" {
		fmt.Println("No path given. Reading a memory ring that a goroutine fills.")
		ring, err := ringbuf.NewMemoryRing(1 << 20)
		must(err)
		producer, err := ringbuf.NewProducer(ring)
		must(err)
		reader, err := ringbuf.NewReader(ring)
		must(err)
		go produce(producer)
		return reader
	}
	pinned, err := ebpf.LoadPinnedMap(path, nil)
	must(err)
	defer pinned.Close()
	reader, err := ringbuf.NewReader(pinned)
	must(err)
	return reader
}

func main() {
	seconds := flag.Float64("d", 5, "how many seconds")
	flag.Parse()
	start = nowNS()
	reader := open(flag.Arg(0))
	defer reader.Close()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(*seconds*float64(time.Second))+100*time.Millisecond)
	defer cancel()
	go report(reader)
	must(tail(ctx, reader))
	stats, err := reader.Stats()
	must(err)
	fmt.Printf("%d records, %d batches, %d commits, %d wakeups, %s lost\n",
		stats.Records, stats.Batches, stats.Commits, stats.Wakeups, lost(&stats))
}
