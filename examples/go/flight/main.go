// SPDX-License-Identifier: MIT

// A flight recorder: a ring in overwrite mode always holds the newest records, and nobody has to keep
// up with them. When something happens that is worth a look, one call copies the ring, and the last
// records before it are printed.
//
//	go run ./flight [-n RECORDS] [PATH]
//
// PATH: where a ring in overwrite mode is pinned (load -o PATH of the examples in C); what triggers is
// the next program that is started. Without it: a memory ring, and a process that writes into it and
// ends with a fault.
package main

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"syscall"
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
	execed = 1
	swap   = 2
	madeUp = 3
)

var kinds = map[uint32]string{execed: "exec", swap: "switch", madeUp: "made up"}

const (
	ringSize = 65536
	bursts   = 100 // of 100 records: several times what the ring holds
)

func must(err error) {
	if err != nil {
		log.Fatal("flight: ", err)
	}
}

func eventOf(record *ringbuf.Record) event {
	var e event
	_, err := binary.Decode(record.RawSample, binary.NativeEndian, &e)
	must(err)
	return e
}

func (e *event) name() string {
	name, _, _ := bytes.Cut(e.Name[:], []byte{0})
	return string(name)
}

func output(producer *ringbuf.Producer, kind uint32, name string) {
	var now unix.Timespec
	must(unix.ClockGettime(unix.CLOCK_MONOTONIC, &now))
	e := event{TimeNS: uint64(now.Nano()), Kind: kind, PID: uint32(os.Getpid())}
	copy(e.Name[:], name)
	data, err := binary.Append(nil, binary.NativeEndian, &e)
	must(err)
	must(producer.Output(data, 0))
}

// produceUntilFault is the producing process: in overwrite mode no record is refused, the oldest make
// room.
func produceUntilFault(ring *ringbuf.MemoryRing) {
	producer, err := ringbuf.NewProducer(ring)
	must(err)
	defer producer.Close()
	for range bursts {
		for range 100 {
			output(producer, madeUp, "producer")
		}
		time.Sleep(time.Millisecond)
	}
	output(producer, execed, "fault")
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

// waitForTrigger follows the ring, and returns where the trigger is.
func waitForTrigger(reader *ringbuf.Reader) uint64 {
	for {
		var record ringbuf.Record
		must(reader.ReadInto(&record))
		if e := eventOf(&record); e.Kind == execed {
			return record.Position()
		}
	}
}

// printFlight prints the last records of the snapshot before the trigger, and the trigger.
func printFlight(snapshot *ringbuf.Snapshot, trigger uint64, most int) {
	var records []ringbuf.Record
	for record := range snapshot.Records() {
		records = append(records, record)
		if record.Position() == trigger {
			break
		}
	}
	must(snapshot.Err())
	before := len(records) - 1
	if before < 0 || records[before].Position() != trigger {
		log.Fatal("flight: the trigger was overwritten before it was copied")
	}
	count := min(before, most)
	for i := range records[before-count : before] {
		record := &records[before-count+i]
		e := eventOf(record)
		fmt.Printf("%14.6f  cpu %-3d %-7s %s[%d] at %d\n", float64(e.TimeNS)/1e9, e.CPU, kinds[e.Kind], e.name(),
			e.PID, record.Position())
	}
	e := eventOf(&records[before])
	fmt.Printf("trigger: %s at %d, the last %d of %d records before it\n", e.name(), trigger, count, before)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "producer" {
		produceUntilFault(ringbuf.MemoryRingFromFDs(3, 4))
		return
	}
	most := flag.Int("n", 10, "how many records")
	flag.Parse()

	var source ringbuf.Ring
	var producer *exec.Cmd
	if path := flag.Arg(0); path != "" {
		pinned, err := ebpf.LoadPinnedMap(path, nil)
		must(err)
		defer pinned.Close()
		source = pinned
	} else {
		ring, err := ringbuf.NewOverwriteRing(ringSize)
		must(err)
		defer ring.Close()
		source, producer = ring, start(ring)
	}
	reader, err := ringbuf.NewReader(source, ringbuf.WithOverwrite())
	must(err)
	trigger := waitForTrigger(reader)
	snapshot, err := reader.Snapshot()
	must(err)
	must(reader.Close())
	printFlight(snapshot, trigger, max(*most, 1))
	must(snapshot.Close())
	if producer != nil {
		must(producer.Wait())
	}
}
