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
	"time"
	"unsafe"
)

// Records fetched by one call: as many as the library walks over fastest.
const batchMax = C.RINGBUF_BATCH_MAX

// A run of records of one size that follow each other in one ring.
type run struct {
	ring     *ownedRing
	position uint64 // of the next one's header
	stride   uint64 // from one to the next
	size     uint32
	count    int
	lost     bool // others before it
}

// A mark is a record that was handed out. A mark without a ring is none.
type mark struct {
	ring     *ownedRing
	position uint64
	size     uint32
}

// window is what was fetched from the rings, and how far it was handed out and given back. Reader.mu guards it. A
// fetch needs the turn as well, so the goroutine that has the turn may look at batch without mu.
type window struct {
	batch       *C.ringbuf_batch
	spans       []C.rbcore_span // of the batch, behind the run
	run         run             // fetched and not handed out; empty only if there is nothing more
	fetchedRing *ownedRing      // of the batch's last span
	fetched     uint64          // the end of that
	isShown     bool            // what was fetched of the run's ring, by its view
	reserved    uint64          // by producers, when the first record of the run's ring was to be handed out

	last       mark   // was handed out last
	seen       mark   // a loop went past it
	handedOut  uint64 // bytes, since nothing was held last: 0 if nothing is held
	isBorrowed bool   // some of them without being copied: only Commit gives them back

	leaving []*ownedRing // were removed, and records of them are held
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
		leftSome := r.leftSome()
		r.mu.Unlock()
		if err := r.wait(ctx, most, leftSome); err != nil {
			return err
		}
	}
	if r.closed.Load() {
		return ErrClosed
	}
	return nil
}

// leftSome tells whether the last fetch left records, as far as its last ring tells. It is called with mu.
func (r *Reader) leftSome() bool {
	return r.batch.is_full != 0 && r.fetchedRing.producerPosition() != r.fetched
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
	} else if !r.isBorrowed && r.handedOut > 0 {
		if len(r.leaving) > 0 { // they leave before more of them is fetched
			if err := r.commit(); err != nil {
				return err
			}
		} else {
			how |= C.RINGBUF_COMMIT
			r.handedOut = 0
		}
	}
	if strict {
		how |= C.RINGBUF_STRICT
	}
	core, batch := address(unsafe.Pointer(r.core)), address(unsafe.Pointer(r.batch))
	result := C.ringbuf_fetch(core, batch, C.size_t(most), how, C.int64_t(sleep))
	switch {
	case result > 0:
		r.spans = r.batch.spans[:result]
		last := &r.spans[result-1]
		r.fetchedRing = r.owned.rings[last.ring]
		r.fetched = uint64(last.position) + uint64(last.count)*uint64(last.stride)
		r.run.ring = nil
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
	ring := r.run.ring
	if ring == nil || ring.index != uint16(span.ring) {
		ring = r.owned.rings[span.ring]
		r.beginTurn(ring, span)
	}
	r.run = run{
		ring:     ring,
		position: uint64(span.position),
		stride:   uint64(span.stride),
		size:     uint32(span.size),
		count:    int(span.count),
		lost:     span.flags&C.RBCORE_RECORD_LOST_BEFORE != 0,
	}
}

// beginTurn begins the spans of a ring in the batch.
func (r *Reader) beginTurn(ring *ownedRing, span *C.rbcore_span) {
	r.isShown = false
	r.reserved = ring.producerPosition()
	if ring.base == 0 {
		offset := uintptr(uint64(span.position) & ring.mask)
		ring.inCore = unsafe.Add(span.data, -int(offset))
		ring.base = uintptr(ring.inCore)
	}
}

// set makes rec the record at a position of a ring, with its sample there. rest is how many bytes were reserved from
// its header on.
func (rec *Record) set(sample unsafe.Pointer, ring uint16, position uint64, size uint32, rest, stride uint64) {
	rec.RawSample = unsafe.Slice((*byte)(sample), int(size))
	rec.Remaining = int(rest - stride)
	rec.position, rec.size, rec.ring, rec.inRing, rec.lostBefore = position, size, ring, true, false
}

// take hands out the next record, with its sample in samples, which are of its ring. There must be one.
func (r *Reader) take(rec *Record, samples unsafe.Pointer) {
	run := &r.run
	sample := unsafe.Add(samples, run.position&run.ring.mask)
	rec.set(sample, run.ring.index, run.position, run.size, r.reserved-run.position, run.stride)
	rec.lostBefore = run.lost
	r.taken(1)
}

// takeBatch hands out the next records of the batch, as many as fit, and returns how many. Of a ring that cannot be
// shown it leaves them for the next read, which has the error.
func (r *Reader) takeBatch(records []Record) int {
	n := 0
	for n < len(records) && r.run.count > 0 && r.show() == nil {
		some := records[n:min(len(records), n+r.run.count)]
		ring, position := r.run.ring, r.run.position
		r.run.list(some, unsafe.Add(ring.samples, position&ring.mask), r.reserved-position)
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
	first, stride, size, ring := run.position, run.stride, run.size, run.ring.index
	offset := uint64(0)
	for i := range records {
		records[i].set(unsafe.Add(sample, offset), ring, first+offset, size, rest-offset, stride)
		offset += stride
	}
}

// taken notes that so many records of the run were handed out.
func (r *Reader) taken(count int) {
	run, ring := &r.run, r.run.ring
	run.lost = false
	end := run.position + uint64(count)*run.stride
	r.last = mark{ring, end - run.stride, run.size}
	r.handedOut += end - ring.position
	ring.position, run.position = end, end
	if run.count -= count; run.count == 0 {
		r.nextRun()
	}
}
