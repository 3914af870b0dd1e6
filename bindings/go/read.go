//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

// #include "shim.h"
import "C"

import (
	"context"
	"fmt"
	"iter"
	"unsafe"
)

// Read waits for the next record and returns a copy of it. See [Reader.ReadInto], which can reuse
// the memory.
func (r *Reader) Read() (Record, error) {
	return r.ReadContext(context.Background())
}

// ReadContext is Read, and stops waiting when ctx is done. See [Reader.ReadIntoContext].
func (r *Reader) ReadContext(ctx context.Context) (Record, error) {
	var rec Record
	err := r.ReadIntoContext(ctx, &rec)
	return rec, err
}

// ReadInto waits for the next record and copies it into rec, whose RawSample it reuses if that is
// large enough and not memory of the ring.
//
// The record's space is given back with the last record of its batch, or earlier when an eighth of its ring was
// read. While records of ReadZeroCopy or ReadBatch are not committed, it is given back with those.
//
// The error is os.ErrDeadlineExceeded if the deadline passed and the rings are empty, [ErrFlushed]
// once after [Reader.Flush], and [ErrClosed] after [Reader.Close]. It is syscall.EBADMSG if the content of a ring is
// impossible and no other ring has records: [RingStats] tells which, and after [Reader.Remove] the others are read
// on. It is syscall.ENOBUFS if records of several rings were not committed, from more than 1024 turns a ring.
func (r *Reader) ReadInto(rec *Record) error {
	return r.ReadIntoContext(context.Background(), rec)
}

// ReadIntoContext is ReadInto, and stops waiting when ctx is done: the error is context.Cause of it. If ctx
// is done already, it does not look for a record. No record is lost: one that comes at the same time is there
// for the next read.
//
// A call that does not have to wait allocates nothing for ctx. One that waits starts no goroutine for ctx if
// it is from package context, or has a method AfterFunc as those have.
func (r *Reader) ReadIntoContext(ctx context.Context, rec *Record) error {
	if err := r.canRead(rec); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.ready(ctx, 1); err != nil {
		return err
	}
	into := rec.RawSample[:0]
	if rec.inRing {
		into = nil
	}
	r.take(rec, r.run.ring.inCore)
	if into == nil {
		into = make([]byte, 0, (len(rec.RawSample)+7)&^7) // so that it is aligned, see [Typed.As]
	}
	rec.RawSample = append(into, rec.RawSample...)
	rec.inRing = false
	if r.isRelease {
		last := r.last.ring.held(rec.position, rec.size)
		return r.release(&last, 1)
	}
	if !r.isBorrowed && (r.run.count == 0 || r.isMuchHandedOut()) {
		return r.commit()
	}
	return nil
}

// ReadZeroCopy waits for the next record and hands it out as it lies in the ring: rec.RawSample is
// valid until [Reader.Commit], and must not be written. The ring's space is taken until then.
//
// After Close RawSample can still be read without a fault for as long as the Reader is reachable
// (runtime.KeepAlive), but shows whatever the ring holds by then.
//
// Errors are those of [Reader.ReadInto].
func (r *Reader) ReadZeroCopy(rec *Record) error {
	return r.ReadZeroCopyContext(context.Background(), rec)
}

// ReadZeroCopyContext is ReadZeroCopy, and stops waiting when ctx is done. See [Reader.ReadIntoContext].
func (r *Reader) ReadZeroCopyContext(ctx context.Context, rec *Record) error {
	if err := r.canRead(rec); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.ready(ctx, 1); err != nil {
		return err
	}
	if err := r.borrow(); err != nil {
		return err
	}
	r.take(rec, r.run.ring.samples)
	return nil
}

// isMuchHandedOut tells whether what was handed out would fill the part of the last record's ring that is given back
// before the batch ends.
func (r *Reader) isMuchHandedOut() bool {
	return r.handedOut > 0 && r.handedOut >= uint64(r.last.ring.size)/partGivenBack
}

// ReadBatch waits until there are records and hands out what there is, at most len(records), each as
// ReadZeroCopy does. It returns how many: 0 only with an error, or if records is empty. There may be more in
// the rings. 128 to 512 records are fastest to read, and one call takes at most a quarter of each ring, but always one
// record. The records of each ring lie together in the batch.
func (r *Reader) ReadBatch(records []Record) (int, error) {
	return r.ReadBatchContext(context.Background(), records)
}

// ReadBatchContext is ReadBatch, and stops waiting when ctx is done. See [Reader.ReadIntoContext].
func (r *Reader) ReadBatchContext(ctx context.Context, records []Record) (int, error) {
	if !r.isMade() {
		return 0, errNoReader
	}
	if len(records) == 0 {
		return 0, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.ready(ctx, len(records)); err != nil {
		return 0, err
	}
	if err := r.borrow(); err != nil {
		return 0, err
	}
	return r.takeBatch(records), nil
}

// ReadSpan waits until there are records and hands out the next ones that have one size and lie together, at
// most so many, each as ReadZeroCopy does. Where records have one size this is the fastest way to read,
// because nothing is written down for each of them.
func (r *Reader) ReadSpan(most int) (Span, error) {
	return r.ReadSpanContext(context.Background(), most)
}

// ReadSpanContext is ReadSpan, and stops waiting when ctx is done. See [Reader.ReadIntoContext].
func (r *Reader) ReadSpanContext(ctx context.Context, most int) (Span, error) {
	if !r.isMade() {
		return Span{}, errNoReader
	}
	if most <= 0 {
		return Span{}, invalid(fmt.Sprintf("read: a span of %d records", most))
	}
	if r.isRelease {
		most = 1 // spans have one record, and others that were fetched with it would be held for good
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.ready(ctx, most); err != nil {
		return Span{}, err
	}
	if err := r.borrow(); err != nil {
		return Span{}, err
	}
	count, ring := min(most, r.run.count), r.run.ring
	span := Span{Size: int(r.run.size), Stride: int(r.run.stride), Count: count, Ring: int(ring.index)}
	span.position, span.LostBefore = r.run.position, r.run.lost
	sample := unsafe.Add(ring.samples, r.run.position&ring.mask)
	span.Data = unsafe.Slice((*byte)(sample), (count-1)*span.Stride+span.Size)
	r.taken(count)
	return span, nil
}

func (r *Reader) canRead(rec *Record) error {
	if !r.isMade() {
		return errNoReader
	}
	if rec == nil {
		return errNoRecord
	}
	return nil
}

// borrow prepares for a record that is not copied. It gives back those that were copied before, so that they
// do not come again if this one is never committed.
func (r *Reader) borrow() error {
	if err := r.show(); err != nil {
		return err
	}
	if r.isRelease || r.isBorrowed {
		return nil
	}
	err := r.commit()
	r.isBorrowed = err == nil
	return err
}

// Records is a loop over the records of the reader's rings:
//
//	for record := range reader.Records(ctx) {
//
// Each record is as ReadZeroCopy hands it out, and valid until the loop goes on or is left. The loop then
// gives it back, in batches, together with all that was read without a copy before. If the reader was opened
// [WithRelease], the records are valid until Release.
//
// The loop ends when ctx is done, and with each error of a read. [Reader.Err] returns that error.
func (r *Reader) Records(ctx context.Context) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		if !r.isMade() {
			return
		}
		r.setErr(nil)
		r.setErr(r.each(ctx, func(rec *Record) bool { return yield(*rec) }))
	}
}

// each is the loop of [Reader.Records]. It returns why it ended, nil if it was left.
func (r *Reader) each(ctx context.Context, yield func(*Record) bool) error {
	if !r.isMade() {
		return errNoReader
	}
	if ctx == nil {
		return errNoContext
	}
	stop := context.AfterFunc(ctx, r.interrupt)
	defer stop()
	var rec Record
	for {
		if err := r.nextOf(ctx, &rec); err != nil {
			return err
		}
		if !yield(&rec) {
			r.lock()
			r.endLoop()
			r.mu.Unlock()
			return nil
		}
	}
}

// Err tells why the last loop over [Reader.Records] ended: context.Cause of its context, ErrClosed,
// ErrFlushed, os.ErrDeadlineExceeded or another error of a read. It is nil if the program left the loop.
func (r *Reader) Err() error {
	if !r.isMade() {
		return errNoReader
	}
	r.lock()
	defer r.mu.Unlock()
	return r.lost
}

func (r *Reader) setErr(err error) {
	r.lock()
	r.lost = err
	r.mu.Unlock()
}

// nextOf hands out the next record of a loop, which is done with those before it.
func (r *Reader) nextOf(ctx context.Context, rec *Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		r.endLoop()
		return context.Cause(ctx)
	}
	if !r.isRelease {
		// With the next batch, in the same call.
		r.isBorrowed = false
		if r.run.count != 0 && r.isMuchHandedOut() {
			if err := r.commit(); err != nil {
				return err
			}
		}
	}
	err := r.fill(ctx, 1)
	if err == nil {
		err = r.show()
	}
	if err != nil {
		r.endLoop()
		return err
	}
	if !r.isRelease {
		r.isBorrowed = true
	}
	r.seen = r.last
	r.take(rec, r.run.ring.samples)
	return nil
}

// endLoop gives back what a loop has seen.
func (r *Reader) endLoop() {
	if !r.isRelease && r.core != nil {
		r.commit()
	}
}
