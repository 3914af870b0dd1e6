//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

/*
#cgo noescape ringbuf_fetch
#cgo nocallback ringbuf_fetch
#include "shim.h"
*/
import "C"

import (
	"context"
	"sync/atomic"
	"time"
	"unsafe"
)

// Records fetched by one call: as many as the library walks over fastest.
const batchMax = C.RINGBUF_BATCH_MAX

// A run of records of one size that follow each other in the ring.
type run struct {
	position uint64 // of the next one's header
	stride   uint64 // from one to the next
	size     uint32
	count    int
	lost     bool // others before it
}

// window is what was fetched from the ring, and how far it was handed out and given back. Reader.mu guards
// it. A fetch needs the turn as well, so the goroutine that has the turn may look at batch and fetched
// without mu.
type window struct {
	// Where the sample of a record at position 0 begins: in the view, once that is made, and in the
	// library's mapping, once there was a record.
	samples unsafe.Pointer
	inCore  unsafe.Pointer
	base    uintptr // inCore
	mask    uint64

	batch   *C.ringbuf_batch
	spans   []C.rbcore_span // of the batch, behind the run
	run     run             // fetched and not handed out; empty only if there is nothing more
	fetched uint64          // the end of the batch
	isShown bool            // by the view

	// The record that was handed out last, its end, and what producers had reserved at the last fetch.
	lastPosition       uint64
	lastSize           uint32
	position, reserved uint64
	pending            uint64 // bytes handed out and not given back
	isBorrowed         bool   // some of them without being copied: only Commit gives them back
	// What a loop went past: the last record's position and size, and its end.
	seenPosition, seenEnd uint64
	seenSize              uint32
}

// ready waits until there is a record to hand out, or the context is done. It is called with mu, which it
// releases while it waits.
func (r *Reader) ready(ctx context.Context, most int) error {
	if ctx == nil {
		return errNoContext
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if r.run.count != 0 && !r.closed.Load() {
		return nil
	}
	return r.fillWithin(ctx, most)
}

// fillWithin is fill, and a context that is done ends its wait.
func (r *Reader) fillWithin(ctx context.Context, most int) error {
	if ctx.Done() != nil {
		stop := context.AfterFunc(ctx, r.interrupt)
		defer stop()
	}
	return r.fill(ctx, most)
}

// fill waits until there is a record to hand out. It is called with mu, which it releases while it waits.
func (r *Reader) fill(ctx context.Context, most int) error {
	if most == 1 && !r.isRelease {
		// Reads of one record are served from a batch. A releasing reader does not fetch ahead: what it has fetched
		// can only be released, and not be left to the next reader.
		most = batchMax
	}
	for r.run.count == 0 {
		if r.closed.Load() {
			return ErrClosed
		}
		r.mu.Unlock()
		if err := r.wait(ctx, most); err != nil {
			return err
		}
	}
	if r.closed.Load() {
		return ErrClosed
	}
	return nil
}

// fetch replaces the batch that was handed out by the next one, if there is one. It may sleep until there is.
// It is called with mu.
func (r *Reader) fetch(most int, strict bool, sleep time.Duration) error {
	if r.closed.Load() {
		return ErrClosed
	}
	how := C.int(0)
	if r.isRelease {
		how |= C.RINGBUF_RELEASE
	} else if !r.isBorrowed && r.pending > 0 {
		how |= C.RINGBUF_COMMIT
		r.pending = 0
	}
	if strict {
		how |= C.RINGBUF_STRICT
	}
	core, batch := address(unsafe.Pointer(r.core)), address(unsafe.Pointer(r.batch))
	result := C.ringbuf_fetch(core, batch, C.size_t(most), how, C.int64_t(sleep))
	switch {
	case result > 0:
		r.isShown = false
		r.reserved = r.producerPosition()
		r.spans = r.batch.spans[:result]
		last := &r.spans[result-1]
		r.fetched = uint64(last.position) + uint64(last.count)*uint64(last.stride)
		if r.base == 0 {
			offset := uintptr(uint64(r.spans[0].position) & r.mask)
			r.inCore = unsafe.Add(r.spans[0].data, -int(offset))
			r.base = uintptr(r.inCore)
		}
		r.nextRun()
		return nil
	case result == 0:
		return nil
	case result == -C.ENODATA:
		return ErrFlushed
	case result == -C.ESHUTDOWN:
		return ErrClosed
	default:
		return r.failure("read", result)
	}
}

// address is a pointer to memory of C as a number: cgo looks at each pointer for what it points to.
func address(pointer unsafe.Pointer) C.uintptr_t {
	return C.uintptr_t(uintptr(pointer))
}

// nextRun begins the next span of the batch.
func (r *Reader) nextRun() {
	if len(r.spans) == 0 {
		return
	}
	span := &r.spans[0]
	r.spans = r.spans[1:]
	r.run = run{
		position: uint64(span.position),
		stride:   uint64(span.stride),
		size:     uint32(span.size),
		count:    int(span.count),
		lost:     span.flags&C.RBCORE_RECORD_LOST_BEFORE != 0,
	}
}

func (r *Reader) producerPosition() uint64 {
	return atomic.LoadUint64((*uint64)(r.owned.producer))
}

// set makes rec the record at a position, with its sample in the ring. rest is how many bytes were reserved
// from its header on.
func (rec *Record) set(sample unsafe.Pointer, position uint64, size uint32, rest, stride uint64) {
	rec.RawSample = unsafe.Slice((*byte)(sample), int(size))
	rec.Remaining = int(rest - stride)
	rec.position, rec.size, rec.inRing, rec.lostBefore = position, size, true, false
}

// take hands out the next record, with its sample in samples. There must be one.
func (r *Reader) take(rec *Record, samples unsafe.Pointer) {
	run := &r.run
	sample := unsafe.Add(samples, run.position&r.mask)
	rec.set(sample, run.position, run.size, r.reserved-run.position, run.stride)
	rec.lostBefore = run.lost
	r.taken(1)
}

// takeBatch hands out the next records of the batch, as many as fit, and returns how many.
func (r *Reader) takeBatch(records []Record) int {
	n := 0
	for n < len(records) && r.run.count > 0 {
		some := records[n:min(len(records), n+r.run.count)]
		r.run.list(some, unsafe.Add(r.samples, r.run.position&r.mask), r.reserved-r.run.position)
		some[0].lostBefore = r.run.lost
		r.taken(len(some))
		n += len(some)
	}
	return n
}

// list sets records of a run. Its samples lie without a gap, because the data is mapped twice.
//
//go:noinline
func (run *run) list(records []Record, sample unsafe.Pointer, rest uint64) {
	first, stride, size := run.position, run.stride, run.size
	offset := uint64(0)
	for i := range records {
		records[i].set(unsafe.Add(sample, offset), first+offset, size, rest-offset, stride)
		offset += stride
	}
}

// taken notes that so many records of the run were handed out.
func (r *Reader) taken(count int) {
	run := &r.run
	run.lost = false
	end := run.position + uint64(count)*run.stride
	r.lastPosition, r.lastSize = end-run.stride, run.size
	r.pending += end - r.position
	r.position, run.position = end, end
	if run.count -= count; run.count == 0 {
		r.nextRun()
	}
}
