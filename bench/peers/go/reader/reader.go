// SPDX-License-Identifier: MIT

// Package reader is what the benchmark's readers in Go have in common: what they do with each
// record, and their report.
package reader

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

const (
	recordEnd    = uint64(1) << 63 // set in the sequence of the last record
	recordSecond = uint64(1) << 62 // set in the sequences of the second producer
)

// Latencies beyond these are not kept; the memory is taken page by page as they come.
const latenciesMax = 1 << 22

// Reader keeps the accounts of one measurement.
type Reader struct {
	FD    int // of the ring buffer map
	Ended bool

	delivered  uint64 // known at the end
	lost       uint64
	expected   uint64 // the next sequence
	other      uint64 // the next sequence of the producer that the last record is not from
	sampleMask uint64
	base       time.Time
	baseNS     int64 // CLOCK_MONOTONIC at base
	endNS      int64
	cpuNS      int64
	latencies  []int64
}

type latency struct {
	P50  int64 `json:"p50"`
	P99  int64 `json:"p99"`
	P999 int64 `json:"p999"`
}

type report struct {
	Delivered uint64  `json:"delivered"`
	Lost      uint64  `json:"lost"`
	EndNS     int64   `json:"end_ns"`
	CPUNS     int64   `json:"cpu_ns"`
	Wakeups   uint64  `json:"wakeups"`
	Latency   latency `json:"latency_ns"`
}

// Open takes the two arguments that the producer gives.
func Open(arguments []string) (*Reader, error) {
	if len(arguments) != 2 {
		return nil, errors.New("call it by the producer: MAP_FD SAMPLE_EVERY")
	}
	fd, err := strconv.Atoi(arguments[0])
	if err != nil {
		return nil, fmt.Errorf("MAP_FD: %w", err)
	}
	every, err := strconv.ParseUint(arguments[1], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("SAMPLE_EVERY: %w", err)
	}
	if every == 0 || every&(every-1) != 0 {
		return nil, errors.New("SAMPLE_EVERY has to be a power of two")
	}
	return &Reader{
		FD:         fd,
		other:      recordSecond,
		sampleMask: every - 1,
		base:       time.Now(),
		baseNS:     clockNS(unix.CLOCK_MONOTONIC),
		latencies:  make([]int64, 0, latenciesMax),
	}, nil
}

// Ready tells the producer to begin; the CPU time counts from here.
func (r *Reader) Ready() {
	fmt.Println("ready")
	r.cpuNS = clockNS(unix.CLOCK_PROCESS_CPUTIME_ID)
}

// Record is the work on each record, equal for all readers: one word, and of a sample the second,
// too. Short, so that it is inlined.
func (r *Reader) Record(data []byte) {
	if binary.NativeEndian.Uint64(data) == r.expected && r.expected&r.sampleMask != 0 {
		r.expected++
	} else {
		r.rare(data)
	}
}

// A record that is a sample, or not the one expected.
func (r *Reader) rare(data []byte) {
	sequence := binary.NativeEndian.Uint64(data)
	if sequence != r.expected {
		r.gap(sequence)
		if r.Ended {
			return
		}
	}
	r.expected = sequence + 1
	if sequence&r.sampleMask == 0 {
		r.sample(data)
	}
}

// Report prints the result.
func (r *Reader) Report(wakeups uint64) error {
	slices.Sort(r.latencies)
	return json.NewEncoder(os.Stdout).Encode(report{
		Delivered: r.delivered,
		Lost:      r.lost,
		EndNS:     r.endNS,
		CPUNS:     r.cpuNS,
		Wakeups:   wakeups,
		Latency:   latency{r.percentile(0.5), r.percentile(0.99), r.percentile(0.999)},
	})
}

// A sequence that is not the one expected: of a record after lost ones, another producer, the end.
func (r *Reader) gap(sequence uint64) {
	if sequence&recordEnd != 0 {
		r.delivered = r.expected&^recordSecond + r.other&^recordSecond - r.lost
		r.lost = sequence&^recordEnd - r.delivered
		r.Ended = true
		r.endNS = clockNS(unix.CLOCK_MONOTONIC)
		r.cpuNS = clockNS(unix.CLOCK_PROCESS_CPUTIME_ID) - r.cpuNS
		return
	}
	if (sequence^r.expected)&recordSecond != 0 {
		r.expected, r.other = r.other, r.expected
	}
	if sequence < r.expected {
		fmt.Fprintln(os.Stderr, "reader: a record came twice or out of order")
		os.Exit(1)
	}
	r.lost += sequence - r.expected
}

// time.Since asks the clock without a system call, which unix.ClockGettime cannot.
func (r *Reader) sample(data []byte) {
	now := r.baseNS + int64(time.Since(r.base))
	if len(r.latencies) < cap(r.latencies) {
		r.latencies = append(r.latencies, now-int64(binary.NativeEndian.Uint64(data[8:])))
	}
}

func (r *Reader) percentile(fraction float64) int64 {
	if len(r.latencies) == 0 {
		return 0
	}
	return r.latencies[int(fraction*float64(len(r.latencies)))]
}

func clockNS(clock int32) int64 {
	var now unix.Timespec
	if err := unix.ClockGettime(clock, &now); err != nil {
		panic(err)
	}
	return now.Nano()
}
