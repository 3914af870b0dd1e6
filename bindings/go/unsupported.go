//go:build !linux || !cgo

// SPDX-License-Identifier: MIT

package ringbuf

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"
)

var errUnsupported = fmt.Errorf("ringbuf: needs Linux and cgo: %w", errors.ErrUnsupported)

// Supports says that there is no feature on this platform.
func Supports(uint32) (bool, error) { return false, nil }

// A Reader reads one or more rings. There are none on this platform: [NewReader] returns an error.
type Reader struct{}

// NewReader returns an error that is errors.ErrUnsupported: the package was built without cgo, or
// for another system than Linux.
func NewReader(Ring, ...Option) (*Reader, error) { return nil, errUnsupported }

// StatsOf is not supported on this platform.
func StatsOf(Ring, ...RingOption) (RingStats, error) { return RingStats{}, errUnsupported }

// Add is not supported on this platform.
func (*Reader) Add(Ring, ...RingOption) (int, error) { return -1, errUnsupported }

// Remove is not supported on this platform.
func (*Reader) Remove(int) error { return errUnsupported }

// Rings is empty on this platform.
func (*Reader) Rings() iter.Seq[int] { return func(func(int) bool) {} }

// Read is not supported on this platform.
func (*Reader) Read() (Record, error) { return Record{}, errUnsupported }

// ReadContext is not supported on this platform.
func (*Reader) ReadContext(context.Context) (Record, error) { return Record{}, errUnsupported }

// ReadInto is not supported on this platform.
func (*Reader) ReadInto(*Record) error { return errUnsupported }

// ReadIntoContext is not supported on this platform.
func (*Reader) ReadIntoContext(context.Context, *Record) error { return errUnsupported }

// ReadZeroCopy is not supported on this platform.
func (*Reader) ReadZeroCopy(*Record) error { return errUnsupported }

// ReadZeroCopyContext is not supported on this platform.
func (*Reader) ReadZeroCopyContext(context.Context, *Record) error { return errUnsupported }

// ReadBatch is not supported on this platform.
func (*Reader) ReadBatch([]Record) (int, error) { return 0, errUnsupported }

// ReadBatchContext is not supported on this platform.
func (*Reader) ReadBatchContext(context.Context, []Record) (int, error) { return 0, errUnsupported }

// ReadSpan is not supported on this platform.
func (*Reader) ReadSpan(int) (Span, error) { return Span{}, errUnsupported }

// ReadSpanContext is not supported on this platform.
func (*Reader) ReadSpanContext(context.Context, int) (Span, error) { return Span{}, errUnsupported }

// Records is empty on this platform.
func (*Reader) Records(context.Context) iter.Seq[Record] { return func(func(Record) bool) {} }

func (*Reader) each(context.Context, func(*Record) bool) error { return errUnsupported }

func (*Reader) releaseSeen(*Record) error { return errUnsupported }

// Err tells why the last loop over [Reader.Records] ended.
func (*Reader) Err() error { return errUnsupported }

// Commit is not supported on this platform.
func (*Reader) Commit() error { return errUnsupported }

// CommitNow is not supported on this platform.
func (*Reader) CommitNow() error { return errUnsupported }

// CommitTo is not supported on this platform.
func (*Reader) CommitTo(*Record) error { return errUnsupported }

// Release is not supported on this platform.
func (*Reader) Release(...Record) error { return errUnsupported }

// SetDeadline has no effect on this platform.
func (*Reader) SetDeadline(time.Time) {}

// Flush is not supported on this platform.
func (*Reader) Flush() error { return errUnsupported }

// Close does nothing on this platform.
func (*Reader) Close() error { return nil }

// BufferSize is 0 on this platform.
func (*Reader) BufferSize() int { return 0 }

// AvailableBytes is 0 on this platform.
func (*Reader) AvailableBytes() int { return 0 }

// Stats is not supported on this platform.
func (*Reader) Stats() (ReaderStats, error) { return ReaderStats{}, errUnsupported }

// RingStats is not supported on this platform.
func (*Reader) RingStats(int) (RingStats, error) { return RingStats{}, errUnsupported }

// Snapshot is not supported on this platform.
func (*Reader) Snapshot(int) (*Snapshot, error) { return nil, errUnsupported }

// SnapshotInto is not supported on this platform.
func (*Reader) SnapshotInto(int, *Snapshot) error { return errUnsupported }

// ConsumeInto is not supported on this platform.
func (*Reader) ConsumeInto(int, *Snapshot) error { return errUnsupported }

// SnapshotHeader is not supported on this platform.
func (*Reader) SnapshotHeader(_, _ *Record) (header [SnapshotHeaderSize]byte, content []byte, err error) {
	return header, nil, errUnsupported
}

// A Snapshot is a copy of what a ring held at one moment. There are none on this platform.
type Snapshot struct{}

// ReadSnapshot is not supported on this platform.
func ReadSnapshot(io.Reader) (*Snapshot, error) { return nil, errUnsupported }

// Records is empty on this platform.
func (*Snapshot) Records() iter.Seq[Record] { return func(func(Record) bool) {} }

// Err tells why the last loop over [Snapshot.Records] ended.
func (*Snapshot) Err() error { return errUnsupported }

// Info is not supported on this platform.
func (*Snapshot) Info() (SnapshotInfo, error) { return SnapshotInfo{}, errUnsupported }

// WriteTo is not supported on this platform.
func (*Snapshot) WriteTo(io.Writer) (int64, error) { return 0, errUnsupported }

// Close does nothing on this platform.
func (*Snapshot) Close() error { return nil }

// A MemoryRing is a ring buffer in memory. There are none on this platform.
type MemoryRing struct{}

// NewMemoryRing returns an error that is errors.ErrUnsupported.
func NewMemoryRing(int) (*MemoryRing, error) { return nil, errUnsupported }

// NewOverwriteRing returns an error that is errors.ErrUnsupported.
func NewOverwriteRing(int) (*MemoryRing, error) { return nil, errUnsupported }

// MemoryRingFromFDs is a ring that nothing can be done with on this platform.
func MemoryRingFromFDs(_, _ int) *MemoryRing { return &MemoryRing{} }

// FD is -1 on this platform.
func (*MemoryRing) FD() int { return -1 }

// EventFD is -1 on this platform.
func (*MemoryRing) EventFD() int { return -1 }

// Close does nothing on this platform.
func (*MemoryRing) Close() error { return nil }

// A Producer writes records into a memory ring. There are none on this platform.
type Producer struct{}

// A ProducerOption changes nothing on this platform.
type ProducerOption func(*producerOptions)

type producerOptions struct{}

// WithProducerInsist does nothing on this platform.
func WithProducerInsist() ProducerOption { return func(*producerOptions) {} }

// NewProducer returns an error that is errors.ErrUnsupported.
func NewProducer(Ring, ...ProducerOption) (*Producer, error) { return nil, errUnsupported }

// Reserve is not supported on this platform.
func (*Producer) Reserve(int) ([]byte, error) { return nil, errUnsupported }

// ReserveWait is not supported on this platform.
func (*Producer) ReserveWait(int, time.Duration) ([]byte, error) { return nil, errUnsupported }

// OutputBatch is not supported on this platform.
func (*Producer) OutputBatch([][]byte, uint32) (int, error) { return 0, errUnsupported }

// Submit is not supported on this platform.
func (*Producer) Submit([]byte, uint32) error { return errUnsupported }

// Discard is not supported on this platform.
func (*Producer) Discard([]byte, uint32) error { return errUnsupported }

// Output is not supported on this platform.
func (*Producer) Output([]byte, uint32) error { return errUnsupported }

// Close does nothing on this platform.
func (*Producer) Close() error { return nil }
