//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

// #include "shim.h"
import "C"

import (
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// owned is freed when the Reader can no longer be reached. The views of rings are part of it: each RawSample in a
// ring can be read until then, also after Close.
type owned struct {
	core  *C.rbcore_reader
	batch *C.ringbuf_batch
	rings []*ownedRing // by index; nil: there is none
}

func (o *owned) free() {
	for _, ring := range o.rings {
		if ring != nil {
			ring.free()
		}
	}
	C.free(unsafe.Pointer(o.batch))
	C.rbcore_reader_free(o.core)
}

// ring returns the ring with this index, nil if there is none.
func (o *owned) ring(index int) *ownedRing {
	if index < 0 || index >= len(o.rings) {
		return nil
	}
	return o.rings[index]
}

// An ownedRing is one ring of a reader: how it is mapped, and how far it was handed out.
//
// Copies are made from the library's own mapping of the ring. The view is made when the first record is
// handed out without a copy, because each mapping of a kernel's ring counts as memory of the process. For the
// same reason the part beyond the ring's end, where records that wrap go on, is mapped only as far as it is
// needed.
type ownedRing struct {
	// Where the sample of a record at position 0 begins: in the view, once that is made, and in the
	// library's mapping, once there was a record.
	samples unsafe.Pointer
	inCore  unsafe.Pointer
	base    uintptr // inCore
	mask    uint64
	// The end of the record that was handed out last.
	position uint64

	producer  unsafe.Pointer // the page with the producers' position
	view      unsafe.Pointer // the data, and once more as far as is needed; of a copy, if the reader has one
	beyond    uintptr        // bytes of the second time
	fd        C.int          // the ring, while more of it may have to be mapped; else -1
	size      uintptr
	index     uint16
	isCopied  bool // records lie in the library's copy of the ring
	isLeaving bool // removed, but records of it are held
}

var pageSize = uintptr(os.Getpagesize())

// Beyond the ring's end at least leastBeyond is mapped at once, and all of a ring of up to smallIsMapped.
const (
	leastBeyond   = 1 << 16
	smallIsMapped = 1 << 20
)

func (r *ownedRing) free() {
	r.closeFD()
	if r.producer != nil {
		C.ringbuf_unmap(r.producer, C.size_t(pageSize))
	}
	if r.view != nil {
		C.ringbuf_unmap(r.view, C.size_t(2*r.size))
	}
	r.producer, r.view, r.samples = nil, nil, nil
}

func (r *ownedRing) closeFD() {
	if r.fd >= 0 {
		syscall.Close(int(r.fd))
		r.fd = -1
	}
}

// open maps what each reader needs of the ring with this descriptor.
func (r *ownedRing) open(fd C.int) error {
	var err error
	if r.producer, err = C.ringbuf_map_producer(fd, C.size_t(pageSize)); r.producer == nil {
		return notMapped(err)
	}
	if r.fd, err = C.ringbuf_duplicate(fd); r.fd < 0 {
		return notMapped(err)
	}
	return nil
}

func notMapped(err error) error {
	return fmt.Errorf("ringbuf: the ring cannot be mapped: %w", err)
}

func (r *ownedRing) producerPosition() uint64 {
	return atomic.LoadUint64((*uint64)(r.producer))
}

// openView makes the view. If records lie in the library's copy of the ring, it shows that.
func (r *ownedRing) openView() error {
	view, err := C.ringbuf_reserve_view(C.size_t(r.size))
	if view == nil {
		return notMapped(err)
	}
	result := C.int(0)
	if r.isCopied {
		result = C.ringbuf_view_copy(view, C.size_t(r.size), C.uintptr_t(r.base-8))
		r.beyond = r.size
	} else {
		result = C.ringbuf_view_part(view, r.fd, C.size_t(pageSize), C.size_t(r.size), 0, C.size_t(r.size))
	}
	if result < 0 {
		C.ringbuf_unmap(view, C.size_t(2*r.size))
		return notMapped(syscall.Errno(-result))
	}
	r.view, r.samples = view, unsafe.Add(view, 8)
	return nil
}

// reach maps so many bytes beyond the ring's end, unless they are mapped.
func (r *ownedRing) reach(bytes uintptr) error {
	if bytes <= r.beyond {
		return nil
	}
	to := max((bytes+pageSize-1)&^(pageSize-1), leastBeyond)
	if to > r.size || r.size <= smallIsMapped {
		to = r.size
	}
	result := C.ringbuf_view_part(r.view, r.fd, C.size_t(pageSize), C.size_t(r.size), C.size_t(r.size+r.beyond),
		C.size_t(r.size+to))
	if result < 0 {
		return notMapped(syscall.Errno(-result))
	}
	if r.beyond = to; to == r.size {
		r.closeFD()
	}
	return nil
}

// held is a record of the ring as the library knows it.
func (r *ownedRing) held(position uint64, size uint32) C.ringbuf_held {
	return C.ringbuf_held{
		position: C.uint64_t(position),
		data:     C.uintptr_t(r.base + uintptr(position&r.mask)),
		size:     C.uint32_t(size),
		ring:     C.uint16_t(r.index),
	}
}

// show makes the view show what was fetched of the run's ring and not handed out. It is called with mu, for each
// record.
func (r *Reader) show() error {
	if r.isShown {
		return nil
	}
	return r.extendView()
}

// extendView maps what the view lacks for show.
func (r *Reader) extendView() error {
	ring := r.run.ring
	if ring.view == nil {
		if err := ring.openView(); err != nil {
			return err
		}
	}
	if ring.beyond < ring.size {
		// A record that wraps goes on there, with those behind it in its span.
		furthest := r.run.position&ring.mask + uint64(r.run.count)*r.run.stride
		for i := range r.spans {
			span := &r.spans[i]
			if uint16(span.ring) != ring.index {
				break
			}
			furthest = max(furthest, uint64(span.position)&ring.mask+uint64(span.count)*uint64(span.stride))
		}
		if size := uint64(ring.size); furthest > size {
			if err := ring.reach(uintptr(furthest - size)); err != nil {
				return err
			}
		}
	}
	r.isShown = true
	return nil
}
