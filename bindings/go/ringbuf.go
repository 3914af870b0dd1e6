// SPDX-License-Identifier: MIT

package ringbuf

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

var (
	// ErrClosed is returned by a reader that was closed. It is os.ErrClosed.
	ErrClosed = os.ErrClosed

	// ErrFlushed is returned once after [Reader.Flush], when all that was in the ring was read.
	ErrFlushed = errors.New("ringbuf: flushed")
)

func invalid(text string) error {
	return fmt.Errorf("ringbuf: %s (%w)", text, syscall.EINVAL)
}

// A Ring is anything that has the file descriptor of a BPF ring buffer map. A reader makes a descriptor of
// its own: the ring's may be closed as soon as the reader is open.
//
// A ring that also has a method EventFD() int is a memory ring, see [MemoryRing].
type Ring interface {
	FD() int
}

// A Record is one sample of a ring.
type Record struct {
	// RawSample is what the producer wrote. Read and ReadInto make a copy of it. All other reads return memory
	// of the ring: it can be read until the record is given back, and writing to it is a fault that ends the
	// program.
	RawSample []byte

	// Remaining is how many bytes at least were left in the record's ring behind it. The reader's other rings
	// do not count.
	Remaining int

	position   uint64 // of its header
	size       uint32
	ring       uint16
	inRing     bool // or in the reader's copy of it, or a snapshot: nothing to write to
	lostBefore bool
}

// Ring is the index of the record's ring, as [Reader.Add] returned it. It is 0 for the ring of [NewReader]. In a
// [Snapshot] it is the ring that the snapshot was taken of, and 0 if the snapshot was read from a file.
func (r *Record) Ring() int {
	return int(r.ring)
}

// Position is where the record's header is in its ring, counted in bytes since the ring was created. No other
// record of the ring has the same position.
func (r *Record) Position() uint64 {
	return r.position
}

// LostBefore tells whether records were lost between the one before and this one. It is for readers opened
// [WithOverwrite] or [WithTap]. [RingStats] counts the loss.
func (r *Record) LostBefore() bool {
	return r.lostBefore
}

// A Span is a run of records of one size that follow each other in one ring.
type Span struct {
	Data   []byte // memory of the ring: of all its records, with the bytes between them
	Size   int    // of each sample
	Stride int    // from one to the next in Data
	Count  int    // of records
	Ring   int    // as Record.Ring of each

	LostBefore bool // as Record.LostBefore of the first one

	position uint64 // of the first one's header
}

// Sample is the RawSample of record i.
func (s *Span) Sample(i int) []byte {
	begin := i * s.Stride
	return s.Data[begin : begin+s.Size : begin+s.Size]
}

// Record is record i, for [Reader.CommitTo] and [Reader.Release]. Its Remaining counts only the rest of the
// span.
func (s *Span) Record(i int) Record {
	return Record{
		RawSample: s.Sample(i),
		Remaining: (s.Count - 1 - i) * s.Stride,
		position:  s.position + uint64(i*s.Stride),
		size:      uint32(s.Size),
		ring:      uint16(s.Ring),
		inRing:    true,

		lostBefore: i == 0 && s.LostBefore,
	}
}

// SnapshotHeaderSize is the size of the header that [Reader.SnapshotHeader] makes.
const SnapshotHeaderSize = 128

// Time is when the snapshot was taken, by the clock of the machine.
func (i *SnapshotInfo) Time() time.Time {
	return time.Unix(0, int64(i.RealtimeNS))
}

// An Option changes how a reader is opened. A [RingOption] is one, too.
type Option interface {
	apply(*options)
}

// A RingOption changes how a ring is read. [NewReader] takes it for its ring, [Reader.Add] for the ring that is
// added.
type RingOption interface {
	Option
	applyToRing(*ringOptions)
}

type options struct {
	release    bool
	poll       bool
	maxLatency time.Duration // negative: the library's default
	ring       ringOptions
}

type ringOptions struct {
	latest     bool
	insist     bool
	overwrite  bool
	tap        bool
	lossMap    Ring
	hasLossMap bool
}

type readerOption func(*options)

func (f readerOption) apply(o *options) { f(o) }

type ringOption func(*ringOptions)

func (f ringOption) apply(o *options) { f(&o.ring) }

func (f ringOption) applyToRing(o *ringOptions) { f(o) }

// WithRelease opens the reader for records that are given back one by one by [Reader.Release], in any order
// and by any goroutine. [Reader.Commit] is an error then, and Read and ReadInto release their record when
// they have copied it. Records read singly are fetched singly: [Reader.ReadBatch] fetches as many as it is
// asked for.
func WithRelease() Option {
	return readerOption(func(o *options) { o.release = true })
}

// WithMaxLatency sets how long a record of a paced ring may wait for others, so that the reader gets them
// together. Records of an idle ring come at once. With 0 each record of an idle ring wakes the reader,
// however many come. The default is a millisecond, which suits a program that collects: one that has to
// answer sooner asks for less. With up to a millisecond, a read that waits for more records of a paced
// ring sleeps in a call of C: see the package's description.
func WithMaxLatency(latency time.Duration) Option {
	return readerOption(func(o *options) { o.maxLatency = max(latency, 0) })
}

// WithPolling makes the reader look at its rings by a timer alone, once in the maximal latency, for
// BPF programs that never wake it (BPF_RB_NO_WAKEUP).
func WithPolling() Option {
	return readerOption(func(o *options) { o.poll = true })
}

// WithLatest skips the records that are complete when the ring is opened. Without it the reader
// begins where the last one stopped.
func WithLatest() RingOption {
	return ringOption(func(o *ringOptions) { o.latest = true })
}

// WithInsist opens the ring although another reader has it. Use it only if that reader is known to be dead or
// hung.
func WithInsist() RingOption {
	return ringOption(func(o *ringOptions) { o.insist = true })
}

// WithOverwrite reads a ring in overwrite mode (BPF_F_RB_OVERWRITE, or [NewOverwriteRing]), whose producers
// overwrite the oldest records when it is full. Without this option such a ring is refused
// (syscall.EOPNOTSUPP). The reader copies the ring, and its records lie in the copy. What was overwritten
// before it was copied is lost, and counted: see [Record.LostBefore]. Everything else is as with other rings.
func WithOverwrite() RingOption {
	return ringOption(func(o *ringOptions) { o.overwrite = true })
}

// WithTap reads a ring beside its reader and takes nothing from it: no position of the ring is moved. Records
// lie in a copy, as with [WithOverwrite], and both options may be given together. What the ring's reader gave
// back and producers used again before it was copied is lost, and counted.
func WithTap() RingOption {
	return ringOption(func(o *ringOptions) { o.tap = true })
}

// WithLossMap names the map in which the BPF program counts the records that a full ring refused
// (see rbcore_bpf.h and package bpfheader), so that [Reader.RingStats] has them. A nil map is an error.
func WithLossMap(lossMap Ring) RingOption {
	return ringOption(func(o *ringOptions) { o.lossMap, o.hasLossMap = lossMap, true })
}
