//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

// #include "shim.h"
import "C"

import (
	"fmt"
	"iter"
	"runtime"
	"slices"
)

// Add adds a ring and returns its index, which [Record.Ring] tells of each of its records. Any goroutine may call
// it: a read that waits sees the new ring, too. What the reader was opened with holds for all its rings, such as
// [WithRelease] and [WithMaxLatency].
//
// Indexes count from 0, which is that of the ring of [NewReader]. The index of a removed ring is given to another
// one as late as possible.
//
// Errors are those of NewReader, and [ErrClosed] after Close. The error is syscall.ENOSPC if the reader has as many
// rings as it can have. The index is -1 then, which no ring has.
func (r *Reader) Add(ring Ring, opts ...RingOption) (int, error) {
	if !r.isMade() {
		return -1, errNoReader
	}
	var o ringOptions
	for _, option := range opts {
		if option == nil {
			return -1, errNilOption
		}
		option.applyToRing(&o)
	}
	r.lock()
	defer r.mu.Unlock()
	if r.closed.Load() {
		return -1, ErrClosed
	}
	return r.add("add", ring, &o)
}

// add is called with mu, or when no other goroutine knows the reader.
func (r *Reader) add(what string, ring Ring, o *ringOptions) (int, error) {
	source, err := sourceOf(ring)
	if err != nil {
		return -1, err
	}
	if err := o.applyTo(&source); err != nil {
		return -1, err
	}
	index := C.rbcore_reader_add(r.core, &source)
	switch {
	case index == -C.ESHUTDOWN:
		return -1, ErrClosed
	case index < 0:
		return -1, r.failure(what, index)
	}
	own := &ownedRing{index: uint16(index), isCopied: o.overwrite || o.tap, fd: -1}
	err = r.openRing(own, C.int(source.fd))
	runtime.KeepAlive(ring)
	runtime.KeepAlive(o.lossMap)
	if err != nil {
		own.free()
		C.rbcore_reader_remove(r.core, C.uint(index))
		return -1, err
	}
	r.install(own)
	return int(index), nil
}

// applyTo sets what the options say of a source.
func (o *ringOptions) applyTo(source *C.rbcore_source) error {
	if o.latest {
		source.flags |= C.RBCORE_SOURCE_LATEST
	}
	if o.insist {
		source.flags |= C.RBCORE_SOURCE_INSIST
	}
	if o.overwrite {
		source.flags |= C.RBCORE_SOURCE_OVERWRITE
	}
	if o.tap {
		source.flags |= C.RBCORE_SOURCE_TAP
	}
	if o.hasLossMap {
		fd, err := descriptorOf(o.lossMap)
		if err != nil {
			return fmt.Errorf("%w of WithLossMap", err)
		}
		source.loss_fd = C.int32_t(fd)
	}
	return nil
}

func (r *Reader) openRing(own *ownedRing, fd C.int) error {
	stats, err := r.ringStats(own.index)
	if err != nil {
		return err
	}
	own.size = uintptr(stats.ring_size)
	own.mask = uint64(stats.ring_size) - 1
	own.position = uint64(stats.read_pos)
	return own.open(fd)
}

// install makes a ring known by its index. One that had the index before may still be mapped.
func (r *Reader) install(own *ownedRing) {
	r.life.Lock()
	defer r.life.Unlock()
	o, index := r.owned, int(own.index)
	if before := o.ring(index); before != nil {
		r.setLeaving(slices.DeleteFunc(r.leaving, func(ring *ownedRing) bool { return ring == before }))
		r.forget(before)
	}
	if index >= len(o.rings) {
		o.rings = append(o.rings, make([]*ownedRing, index+1-len(o.rings))...)
	}
	o.rings[index] = own
	r.size.Add(int64(own.size))
}

// Remove takes a ring out of the reader. What was not read stays in it for its next reader. Any goroutine may call
// it.
//
// The ring leaves at once if no record of it is held. Otherwise it leaves when all that were fetched are given
// back: a reader fetches some ahead, and they come after Remove, too. While a program holds others across reads,
// even more may come. Until then the ring and its index stay taken. Of a reader opened [WithRelease] no record
// comes after Remove, and the ring leaves with the last Release.
//
// When the ring has left, RawSample of its records that were not copied is no memory any more: to look at it is a
// fault.
//
// The error is syscall.EINVAL if the reader has no ring of this index, or it was removed before, and [ErrClosed]
// after Close. A reader without rings waits until one is added.
func (r *Reader) Remove(ring int) error {
	if !r.isMade() {
		return errNoReader
	}
	r.lock()
	defer r.mu.Unlock()
	own, err := r.present(ring)
	if err != nil {
		return err
	}
	if r.isRelease {
		if result := C.rbcore_reader_remove(r.core, C.uint(own.index)); result < 0 {
			return r.failure("remove", result)
		}
	} else if !r.isBorrowed {
		if err := r.commit(); err != nil {
			return err
		}
	}
	r.life.Lock()
	own.isLeaving = true
	r.setLeaving(append(r.leaving, own))
	r.life.Unlock()
	r.size.Add(-int64(own.size))
	r.leave()
	return nil
}

// present returns the ring with this index, unless it was removed. It is called with mu.
func (r *Reader) present(index int) (*ownedRing, error) {
	if r.closed.Load() {
		return nil, ErrClosed
	}
	ring := r.owned.ring(index)
	if ring == nil || ring.isLeaving {
		return nil, errNoSuchRing
	}
	return ring, nil
}

// leave lets go of removed rings of which no record is held any more. It is called with mu, when records were given
// back.
func (r *Reader) leave() {
	if len(r.leaving) == 0 {
		return
	}
	r.life.Lock()
	defer r.life.Unlock()
	r.setLeaving(slices.DeleteFunc(r.leaving, func(ring *ownedRing) bool {
		if !r.hasLeft(ring) {
			return false
		}
		r.forget(ring)
		return true
	}))
}

// setLeaving is called with both locks. letGo looks at their number without one.
func (r *Reader) setLeaving(rings []*ownedRing) {
	r.leaving = rings
	r.leavers.Store(int32(len(rings)))
}

// forget frees a ring that has left. It is called with both locks.
func (r *Reader) forget(ring *ownedRing) {
	r.owned.rings[ring.index] = nil
	ring.free()
	if r.fetchedRing == ring {
		r.batch.is_full = 0 // or the next read would look at its producers
	}
}

// hasLeft removes a ring from the library's reader, if it is not yet. It returns false while records are held.
func (r *Reader) hasLeft(ring *ownedRing) bool {
	if r.isRelease {
		_, err := r.ringStats(ring.index)
		return err != nil
	}
	return C.rbcore_reader_remove(r.core, C.uint(ring.index)) != -C.EBUSY
}

// hasLent tells whether records of a closed reader are still to be released. Its rings are removed first, so that
// those without such records are free, and the error of the next reader says what keeps the others. It is called
// with both locks.
func (r *Reader) hasLent() bool {
	for _, ring := range r.owned.rings {
		if ring != nil && !ring.isLeaving {
			C.rbcore_reader_remove(r.core, C.uint(ring.index))
			ring.isLeaving = true
			r.leaving = append(r.leaving, ring)
		}
	}
	for len(r.leaving) > 0 && r.hasLeft(r.leaving[0]) {
		r.leaving = r.leaving[1:]
	}
	return len(r.leaving) > 0
}

// Rings is a loop over the indexes of the reader's rings, as of the moment when it begins. Those that were removed
// are not among them. After Close there are none.
func (r *Reader) Rings() iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, index := range r.indexes() {
			if !yield(index) {
				return
			}
		}
	}
}

func (r *Reader) indexes() []int {
	if !r.isMade() {
		return nil
	}
	r.life.RLock()
	defer r.life.RUnlock()
	if r.closed.Load() {
		return nil
	}
	var indexes []int
	for index, ring := range r.owned.rings {
		if ring != nil && !ring.isLeaving {
			indexes = append(indexes, index)
		}
	}
	return indexes
}

// sourceOf is safe to pass on: it holds no pointers.
func sourceOf(ring Ring) (C.rbcore_source, error) {
	var source C.rbcore_source
	fd, err := descriptorOf(ring)
	if err != nil {
		return source, err
	}
	C.rbcore_source_init(&source, C.sizeof_rbcore_source)
	source.kind = C.RBCORE_SOURCE_MAP_FD
	source.fd = C.int32_t(fd)
	if memory, ok := ring.(interface{ EventFD() int }); ok {
		source.kind = C.RBCORE_SOURCE_MEMORY_RING
		source.event_fd = C.int32_t(memory.EventFD())
	}
	return source, nil
}

// descriptorOf asks a ring for its descriptor. FD panics for a nil pointer, such as the *ebpf.Map of a map
// that could not be loaded. The panic becomes an error.
func descriptorOf(ring Ring) (fd int, err error) {
	if ring == nil {
		return -1, errNoRing
	}
	defer func() {
		if recover() != nil {
			fd = -1
		}
		if fd < 0 {
			err = invalid(fmt.Sprintf("the %T is nil or was closed", ring))
		}
	}()
	return ring.FD(), nil
}
