//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

// #include "shim.h"
import "C"

import "syscall"

// A MemoryRing is a ring buffer in memory, with the layout of the kernel's: for programs without BPF
// or root, between goroutines or processes, and for tests. Its two descriptors can be passed to other
// processes. A process that has them can overwrite the ring at any time: a reader survives that, but
// only Read and ReadInto hand out data that cannot change while it is looked at.
type MemoryRing struct {
	memory, event int
	isOpen        bool
}

// NewMemoryRing creates a ring of size bytes: a power of two and a multiple of the page size.
func NewMemoryRing(size int) (*MemoryRing, error) {
	return newMemoryRing(size, 0)
}

// NewOverwriteRing creates a memory ring in overwrite mode, as a BPF map with BPF_F_RB_OVERWRITE is:
// where it is full, new records overwrite the oldest. Readers of it are opened [WithOverwrite].
func NewOverwriteRing(size int) (*MemoryRing, error) {
	return newMemoryRing(size, C.RBCORE_MEMORY_RING_OVERWRITE)
}

func newMemoryRing(size int, flags C.uint32_t) (*MemoryRing, error) {
	var memory, event C.int
	if result := C.rbcore_memory_ring_create(&memory, &event, C.size_t(size), flags); result < 0 {
		return nil, failure("rbcore_memory_ring_create", result)
	}
	return MemoryRingFromFDs(int(memory), int(event)), nil
}

// MemoryRingFromFDs returns a ring that was created elsewhere. The descriptors belong to it from now on.
func MemoryRingFromFDs(fd, eventFD int) *MemoryRing {
	return &MemoryRing{memory: fd, event: eventFD, isOpen: fd >= 0}
}

// FD is the descriptor of the ring's memory, or -1 if the ring was closed.
func (m *MemoryRing) FD() int {
	if m == nil || !m.isOpen {
		return -1
	}
	return m.memory
}

// EventFD is the descriptor that wakes the ring's reader, or -1 if the ring was closed.
func (m *MemoryRing) EventFD() int {
	if m == nil || !m.isOpen {
		return -1
	}
	return m.event
}

// Close closes both descriptors. Readers and producers have their own. Closing twice is no error.
func (m *MemoryRing) Close() error {
	if m == nil || *m == (MemoryRing{}) {
		return errNoMemoryRing
	}
	if !m.isOpen {
		return nil
	}
	err := syscall.Close(m.memory)
	if failed := syscall.Close(m.event); err == nil {
		err = failed
	}
	m.memory, m.event, m.isOpen = -1, -1, false
	return err
}
