// SPDX-License-Identifier: MIT

// rbcore-go reads with rbcore's package ringbuf:
//
//	rbcore-go batch      ReadBatch and Commit
//	rbcore-go spans      ReadSpan and Commit
//	rbcore-go zerocopy   ReadZeroCopy, and Commit with the last record that is known of
//	rbcore-go records    the loop over Records
//	rbcore-go readinto   ReadInto, which copies: cilium's reader with another import
//
// With a number before the arguments of the producer it is the maximal latency in microseconds.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"

	"rbcore.example/bench/peers/reader"
)

// As many as the reader in C asks for.
const batchSize = 256

type ring int

func (r ring) FD() int { return int(r) }

// A way to read, until the end. Returns how often there may have been a wait.
type way func(*ringbuf.Reader, *reader.Reader) (uint64, error)

func batch(records *ringbuf.Reader, accounts *reader.Reader) (uint64, error) {
	var array [batchSize]ringbuf.Record
	var wakeups uint64

	for {
		n, err := records.ReadBatch(array[:])
		if err != nil {
			return 0, err
		}
		for i := range array[:n] {
			accounts.Record(array[i].RawSample)
		}
		if n < batchSize {
			wakeups++
		}
		if err := records.Commit(); err != nil || accounts.Ended {
			return wakeups, err
		}
	}
}

func spans(records *ringbuf.Reader, accounts *reader.Reader) (uint64, error) {
	var wakeups uint64

	for {
		span, err := records.ReadSpan(batchSize)
		if err != nil {
			return 0, err
		}
		for i := range span.Count {
			accounts.Record(span.Sample(i))
		}
		if span.Count < batchSize {
			wakeups++
		}
		if err := records.Commit(); err != nil || accounts.Ended {
			return wakeups, err
		}
	}
}

// single looks at records one by one; behind gives back what has to be given back.
func single(read func(*ringbuf.Record) error, behind func() error, accounts *reader.Reader) (uint64, error) {
	var record ringbuf.Record
	var wakeups uint64

	for {
		if err := read(&record); err != nil {
			return 0, err
		}
		accounts.Record(record.RawSample)
		if accounts.Ended {
			return wakeups, behind()
		}
		if record.Remaining == 0 {
			wakeups++
			if err := behind(); err != nil {
				return 0, err
			}
		}
	}
}

// Remaining is of the time of the fetch: 0 comes with the last record of a batch at most. While the
// ring never empties, it is given back now and then.
func zeroCopy(records *ringbuf.Reader, accounts *reader.Reader) (uint64, error) {
	seen := 0
	read := func(record *ringbuf.Record) error {
		if seen++; seen%batchSize == 0 {
			if err := records.Commit(); err != nil {
				return err
			}
		}
		return records.ReadZeroCopy(record)
	}
	return single(read, records.Commit, accounts)
}

func readInto(records *ringbuf.Reader, accounts *reader.Reader) (uint64, error) {
	return single(records.ReadInto, func() error { return nil }, accounts)
}

func loop(records *ringbuf.Reader, accounts *reader.Reader) (uint64, error) {
	var wakeups uint64

	for record := range records.Records(context.Background()) {
		accounts.Record(record.RawSample)
		if accounts.Ended {
			break
		}
		if record.Remaining == 0 {
			wakeups++
		}
	}
	return wakeups, records.Err()
}

var ways = map[string]way{"batch": batch, "spans": spans, "zerocopy": zeroCopy, "records": loop, "readinto": readInto}

func run(arguments []string) error {
	if len(arguments) == 0 || ways[arguments[0]] == nil {
		return errors.New("which way: batch, spans, zerocopy, records or readinto?")
	}
	read, arguments := ways[arguments[0]], arguments[1:]
	var options []ringbuf.Option
	if len(arguments) == 3 {
		latency, err := strconv.Atoi(arguments[0])
		if err != nil {
			return err
		}
		options = append(options, ringbuf.WithMaxLatency(time.Duration(latency)*time.Microsecond))
		arguments = arguments[1:]
	}
	accounts, err := reader.Open(arguments)
	if err != nil {
		return err
	}
	records, err := ringbuf.NewReader(ring(accounts.FD), options...)
	if err != nil {
		return err
	}
	defer records.Close()
	accounts.Ready()
	wakeups, err := read(records, accounts)
	if err != nil {
		return err
	}
	return accounts.Report(wakeups)
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "rbcore-go:", err)
		os.Exit(1)
	}
}
