// SPDX-License-Identifier: MIT

// cilium reads with github.com/cilium/ebpf:
//
//	cilium readinto   ringbuf.Reader.ReadInto as its documentation shows it
//	cilium paced      the same, and a sleep whenever the ring was found empty behind a record
package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/ringbuf"

	"rbcore.example/bench/peers/reader"
)

// As long as rbcore's max_latency in the benchmark.
const pause = 500 * time.Microsecond

func run(arguments []string) error {
	var paced bool

	if len(arguments) == 0 {
		return errors.New("which reader: readinto or paced?")
	}
	switch arguments[0] {
	case "readinto":
	case "paced":
		paced = true
	default:
		return fmt.Errorf("%s is no reader: readinto or paced", arguments[0])
	}
	accounts, err := reader.Open(arguments[1:])
	if err != nil {
		return err
	}
	ring, err := ebpf.NewMapFromFD(accounts.FD)
	if err != nil {
		return err
	}
	defer ring.Close()
	records, err := ringbuf.NewReader(ring)
	if err != nil {
		return err
	}
	defer records.Close()
	accounts.Ready()
	wakeups, err := read(records, accounts, paced)
	if err != nil {
		return err
	}
	return accounts.Report(wakeups)
}

// Waits within ReadInto cannot be seen from here: those that come after the ring was empty are
// counted, though a record that came in between makes them return at once.
func read(records *ringbuf.Reader, accounts *reader.Reader, paced bool) (uint64, error) {
	var record ringbuf.Record
	var wakeups uint64

	for {
		if err := records.ReadInto(&record); err != nil {
			return 0, err
		}
		accounts.Record(record.RawSample)
		if accounts.Ended {
			return wakeups, nil
		}
		if record.Remaining == 0 {
			wakeups++
			if paced {
				time.Sleep(pause)
			}
		}
	}
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cilium:", err)
		os.Exit(1)
	}
}
