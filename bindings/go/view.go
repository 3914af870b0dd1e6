//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

// #include "shim.h"
import "C"

import (
	"fmt"
	"syscall"
	"unsafe"
)

// owned is freed when the Reader can no longer be reached. The view is part of it: each RawSample in the ring
// can be read until then, also after Close.
//
// Copies are made from the library's own mapping of the ring. The view is made when the first record is
// handed out without a copy, because each mapping of a kernel's ring counts as memory of the process. For the
// same reason the part beyond the ring's end, where records that wrap go on, is mapped only as far as it is
// needed.
type owned struct {
	core     *C.rbcore_reader
	batch    *C.ringbuf_batch
	producer unsafe.Pointer // the page with the producers' position
	view     unsafe.Pointer // the data, and once more as far as is needed; of a copy, if the reader has one
	beyond   uintptr        // bytes of the second time
	fd       C.int          // the ring, while more of it may have to be mapped; else -1
	page     uintptr
	size     uintptr
}

// Beyond the ring's end at least leastBeyond is mapped at once, and all of a ring of up to smallIsMapped.
const (
	leastBeyond   = 1 << 16
	smallIsMapped = 1 << 20
)

func (o *owned) free() {
	o.closeFD()
	if o.producer != nil {
		C.ringbuf_unmap(o.producer, C.size_t(o.page))
	}
	if o.view != nil {
		C.ringbuf_unmap(o.view, C.size_t(2*o.size))
	}
	C.free(unsafe.Pointer(o.batch))
	C.rbcore_reader_free(o.core)
}

func (o *owned) closeFD() {
	if o.fd >= 0 {
		syscall.Close(int(o.fd))
		o.fd = -1
	}
}

// open maps what each reader needs of the ring with this descriptor.
func (o *owned) open(fd C.int, size uintptr) error {
	o.size = size
	var err error
	if o.producer, err = C.ringbuf_map_producer(fd, C.size_t(o.page)); o.producer == nil {
		return notMapped(err)
	}
	if o.fd, err = C.ringbuf_duplicate(fd); o.fd < 0 {
		return notMapped(err)
	}
	// Memory of C: each call would look through an array of Go, for pointers that it must not have.
	o.batch = (*C.ringbuf_batch)(C.calloc(1, C.sizeof_ringbuf_batch))
	return nil
}

func notMapped(err error) error {
	return fmt.Errorf("ringbuf: the ring cannot be mapped: %w", err)
}

// openView makes the view. If records lie in the library's copy of the ring, it shows the copy at this
// address.
func (o *owned) openView(isCopied bool, copied uintptr) error {
	view, err := C.ringbuf_reserve_view(C.size_t(o.size))
	if view == nil {
		return notMapped(err)
	}
	result := C.int(0)
	if isCopied {
		result = C.ringbuf_view_copy(view, C.size_t(o.size), C.uintptr_t(copied))
		o.beyond = o.size
	} else {
		result = C.ringbuf_view_part(view, o.fd, C.size_t(o.page), C.size_t(o.size), 0, C.size_t(o.size))
	}
	if result < 0 {
		C.ringbuf_unmap(view, C.size_t(2*o.size))
		return notMapped(syscall.Errno(-result))
	}
	o.view = view
	return nil
}

// reach maps so many bytes beyond the ring's end, unless they are mapped.
func (o *owned) reach(bytes uintptr) error {
	if bytes <= o.beyond {
		return nil
	}
	to := max((bytes+o.page-1)&^(o.page-1), leastBeyond)
	if to > o.size || o.size <= smallIsMapped {
		to = o.size
	}
	result := C.ringbuf_view_part(o.view, o.fd, C.size_t(o.page), C.size_t(o.size), C.size_t(o.size+o.beyond),
		C.size_t(o.size+to))
	if result < 0 {
		return notMapped(syscall.Errno(-result))
	}
	if o.beyond = to; to == o.size {
		o.closeFD()
	}
	return nil
}

// show makes the view show what was fetched and not handed out. It is called with mu, for each record.
func (r *Reader) show() error {
	if r.isShown {
		return nil
	}
	return r.extendView()
}

// extendView maps what the view lacks for show.
func (r *Reader) extendView() error {
	o := r.owned
	if o.view == nil {
		if err := o.openView(r.isCopied, r.base-8); err != nil {
			return err
		}
		r.samples = unsafe.Add(o.view, 8)
	}
	size, position := uint64(o.size), r.run.position
	if position&r.mask+(r.fetched-position) > size+uint64(o.beyond) {
		// One of them wraps, with those behind it in its span.
		furthest := position&r.mask + uint64(r.run.count)*r.run.stride
		for i := range r.spans {
			span := &r.spans[i]
			furthest = max(furthest, uint64(span.position)&r.mask+uint64(span.count)*uint64(span.stride))
		}
		if err := o.reach(uintptr(max(furthest, size) - size)); err != nil {
			return err
		}
	}
	r.isShown = true
	return nil
}
