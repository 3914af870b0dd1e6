//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

// #include "shim.h"
import "C"

import (
	"fmt"
	"syscall"
)

// Copied records are given back with the last record of a batch, and as soon as they would fill this part of the
// ring that was read last.
const partGivenBack = 8

// Commit gives back all records that were handed out, of all rings, in one step. RawSample of those that were not
// copied is invalid from then on. Records that were fetched and not handed out stay. If there is nothing to give
// back, Commit does nothing.
func (r *Reader) Commit() error {
	if !r.isMade() {
		return errNoReader
	}
	r.lock()
	defer r.mu.Unlock()
	return r.commitInOrder()
}

// CommitNow is Commit, and frees the space at once. Commit may free that of the last small record of a paced
// ring only with the next read that finds a record, which spares producers wakeups.
func (r *Reader) CommitNow() error {
	if !r.isMade() {
		return errNoReader
	}
	r.lock()
	defer r.mu.Unlock()
	err := r.commitInOrder()
	if err != nil || r.core == nil || r.run.count > 0 {
		return err // nothing is held back before records that are still to be given back
	}
	if result := C.rbcore_reader_commit(r.core, nil, C.RBCORE_COMMIT_NOW); result < 0 {
		return r.failure("commit", result)
	}
	return nil
}

func (r *Reader) commitInOrder() error {
	if r.isRelease {
		return invalid("commit: the reader was opened WithRelease")
	}
	return r.commit()
}

// CommitTo gives back the records that were handed out up to and including rec, also those of other rings, and
// leaves those behind it as they are. The error is syscall.EINVAL if rec is not a record of this reader that was not
// copied and not given back yet.
func (r *Reader) CommitTo(rec *Record) error {
	if !r.isMade() {
		return errNoReader
	}
	if rec == nil {
		return errNotHeld
	}
	r.lock()
	defer r.mu.Unlock()
	ring := r.owned.ring(int(rec.ring))
	if r.core == nil || !rec.inRing || ring == nil {
		return errNotHeld
	}
	end := rec.position + (uint64(rec.size)+15)&^7
	if ring.position-end > r.handedOut {
		return errNotHeld
	}
	to := mark{ring, rec.position, rec.size}
	if to == r.last && !r.isRelease {
		return r.commit()
	}
	if err := r.commitUpTo(to); err != nil {
		return err
	}
	r.leave()
	return nil
}

// commit gives back what was handed out. It is called with mu.
func (r *Reader) commit() error {
	if r.handedOut == 0 {
		r.isBorrowed = false
		return nil
	}
	if r.core == nil {
		return ErrClosed
	}
	if r.run.count != 0 {
		if err := r.commitUpTo(r.last); err != nil {
			return err
		}
	} else if result := C.rbcore_reader_commit(r.core, nil, 0); result < 0 { // looks at no record
		return r.failure("commit", result)
	}
	r.handedOut, r.isBorrowed = 0, false
	r.leave()
	return nil
}

// commitUpTo gives back the records up to and including this one. It is called with mu.
func (r *Reader) commitUpTo(to mark) error {
	if result := C.ringbuf_commit_to(r.core, to.ring.held(to.position, to.size)); result < 0 {
		return r.failure("commit", result)
	}
	return nil
}

// commitSeen gives back what a loop went past, for Close. It is called with mu.
func (r *Reader) commitSeen() error {
	seen := r.seen
	if r.core == nil || r.handedOut == 0 || seen.ring == nil || r.owned.ring(int(seen.ring.index)) != seen.ring {
		return nil // given back already
	}
	result := C.ringbuf_commit_to(r.core, seen.ring.held(seen.position, seen.size))
	if result < 0 && result != -C.EINVAL { // by CommitTo in the loop's body
		return r.failure("commit", result)
	}
	return nil
}

// Release gives back records of a reader opened [WithRelease], in any order and by any goroutine, several at
// a time. Their RawSample is invalid from then on. It may be called after Close: the ring is free for other
// readers once all is given back.
//
// The error is syscall.EINVAL if some of the records are not held; the others were given back.
func (r *Reader) Release(records ...Record) error {
	if !r.isMade() {
		return errNoReader
	}
	var chunk [C.RINGBUF_HELD_MAX]C.ringbuf_held
	var failed error
	r.life.RLock()
	for len(records) > 0 {
		n, held := min(len(records), len(chunk)), 0
		for i := range records[:n] {
			rec := &records[i]
			// The zero Record has a position, too, and so has a copy.
			if ring := r.owned.ring(int(rec.ring)); ring != nil && rec.inRing {
				chunk[held] = ring.held(rec.position, rec.size)
				held++
			}
		}
		err := r.release(&chunk[0], held)
		if err == nil && held < n {
			err = errNotLent
		}
		if err != nil {
			failed = err
		}
		records = records[n:]
	}
	r.life.RUnlock()
	r.letGo()
	return failed
}

// letGo frees what only released records kept: the library's reader after Close, and rings that were removed.
func (r *Reader) letGo() {
	switch {
	case r.closed.Load():
		r.mu.Lock()
		r.freeCore()
		r.mu.Unlock()
	case r.leavers.Load() > 0:
		r.lock()
		if r.core != nil && !r.closed.Load() {
			r.leave()
		}
		r.mu.Unlock()
	}
}

// releaseSeen releases a record for a loop that hands out only its value, if the reader was opened
// WithRelease.
func (r *Reader) releaseSeen(rec *Record) error {
	if !r.isRelease {
		return nil
	}
	return r.Release(*rec)
}

// release is called with one of the locks that keep the library's reader.
func (r *Reader) release(records *C.ringbuf_held, count int) error {
	if r.core == nil {
		return ErrClosed
	}
	if result := C.ringbuf_release(r.core, records, C.size_t(count)); result < 0 {
		return fmt.Errorf("ringbuf: release: a record is not held (%w)", syscall.Errno(-result))
	}
	return nil
}
