//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// A Producer writes records into a memory ring, or into a user ring (BPF_MAP_TYPE_USER_RINGBUF), which
// a BPF program drains. Its methods may be called by any goroutine, several at once.
type Producer struct {
	life   sync.RWMutex
	owned  *ownedProducer
	closes atomic.Bool // ReserveWait ends, which has life
}

// How long ReserveWait may take to notice that the producer is closed.
const longestReserve = 50 * time.Millisecond

// ownedProducer is freed when the producer can no longer be reached.
type ownedProducer struct {
	core *C.rbcore_producer
}

func (o *ownedProducer) free() {
	C.rbcore_producer_free(o.core)
	o.core = nil
}

// A ProducerOption changes how a producer is opened.
type ProducerOption func(*producerOptions)

type producerOptions struct {
	insist bool
}

// WithProducerInsist opens a user ring although another producer has it. Use it only if that producer is
// known to be dead or hung. Records that it left unfinished are discarded.
func WithProducerInsist() ProducerOption {
	return func(o *producerOptions) { o.insist = true }
}

// NewProducer opens a producer of a [MemoryRing], or of a user ring: anything that has the file
// descriptor of such a map. A user ring has one producer at a time; the error is syscall.EBUSY if
// there is another one.
func NewProducer(ring Ring, with ...ProducerOption) (*Producer, error) {
	var o producerOptions
	for _, option := range with {
		if option == nil {
			return nil, errNilOption
		}
		option(&o)
	}
	source, err := sourceOf(ring)
	if err != nil {
		return nil, err
	}
	if o.insist {
		source.flags |= C.RBCORE_SOURCE_INSIST
	}
	var core *C.rbcore_producer
	result := C.rbcore_producer_open(&core, &source)
	runtime.KeepAlive(ring)
	if result < 0 {
		return nil, failure("rbcore_producer_open", result)
	}
	p := &Producer{owned: &ownedProducer{core: core}}
	runtime.AddCleanup(p, (*ownedProducer).free, p.owned)
	return p, nil
}

// use calls the library. Close waits until the call is over.
func (p *Producer) use(function string, call func(core *C.rbcore_producer) C.int) error {
	if p == nil || p.owned == nil {
		return errNoProducer
	}
	p.life.RLock()
	defer p.life.RUnlock()
	if p.owned.core == nil {
		return ErrClosed
	}
	if result := call(p.owned.core); result < 0 {
		return failure(function, result)
	}
	return nil
}

// Reserve reserves a record of size bytes and returns its memory in the ring. Fill it, and hand it to Submit
// or Discard: until then the reader stops before the record. It must not be used after Close.
//
// The error is syscall.EAGAIN if the ring is full. A memory ring then counts the record as lost, a user ring
// does not count. The error is syscall.EMSGSIZE if the record can never fit.
func (p *Producer) Reserve(size int) ([]byte, error) {
	return p.reserve("rbcore_producer_reserve", size, func(core *C.rbcore_producer) C.ringbuf_reserved {
		return C.ringbuf_reserve(core, C.size_t(size))
	})
}

// ReserveWait is Reserve, but waits for room in a full ring, at most for timeout, or without end if that is
// negative. The wait takes a thread. Close ends it with [ErrClosed].
func (p *Producer) ReserveWait(size int, timeout time.Duration) ([]byte, error) {
	deadline := time.Now().Add(timeout)
	return p.reserve("rbcore_producer_reserve_wait", size, func(core *C.rbcore_producer) C.ringbuf_reserved {
		for {
			if p.closes.Load() {
				return C.ringbuf_reserved{result: -C.ESHUTDOWN}
			}
			left, isLast := longestReserve, false
			if timeout >= 0 && time.Until(deadline) <= left {
				left, isLast = max(time.Until(deadline), 0), true
			}
			reserved := C.ringbuf_reserve_wait(core, C.size_t(size), C.int64_t(left))
			// The runtime itself sends signals to its threads.
			if reserved.result != -C.EINTR && (isLast || reserved.result != -C.EAGAIN) {
				return reserved
			}
		}
	})
}

func (p *Producer) reserve(function string, size int, call func(*C.rbcore_producer) C.ringbuf_reserved) ([]byte, error) {
	if size < 0 {
		return nil, invalid(fmt.Sprintf("reserve: a record of %d bytes", size))
	}
	var data []byte
	err := p.use(function, func(core *C.rbcore_producer) C.int {
		reserved := call(core)
		if reserved.result >= 0 {
			data = unsafe.Slice((*byte)(reserved.data), size)
		}
		return reserved.result
	})
	if errors.Is(err, syscall.ESHUTDOWN) {
		err = ErrClosed
	}
	return data, err
}

// Submit hands a reserved record to the reader; flags are 0, [NoWakeup] or [ForceWakeup].
func (p *Producer) Submit(data []byte, flags uint32) error {
	return p.use("rbcore_producer_submit", func(core *C.rbcore_producer) C.int {
		return C.rbcore_producer_submit(core, unsafe.Pointer(unsafe.SliceData(data)), C.uint32_t(flags))
	})
}

// Discard gives up a reserved record, which the reader then skips.
func (p *Producer) Discard(data []byte, flags uint32) error {
	return p.use("rbcore_producer_discard", func(core *C.rbcore_producer) C.int {
		return C.rbcore_producer_discard(core, unsafe.Pointer(unsafe.SliceData(data)), C.uint32_t(flags))
	})
}

// Output reserves, copies data and submits. Errors are those of [Producer.Reserve].
func (p *Producer) Output(data []byte, flags uint32) error {
	return p.use("rbcore_producer_output", func(core *C.rbcore_producer) C.int {
		if len(data) == 0 {
			return C.rbcore_producer_output(core, nil, 0, C.uint32_t(flags))
		}
		// Written like this, cgo checks only the bytes, and not what else they are part of.
		return C.rbcore_producer_output(core, unsafe.Pointer(&data[0]), C.size_t(len(data)), C.uint32_t(flags))
	})
}

// OutputBatch writes records in a row: none of another goroutine comes between them, and the reader gets all
// at once. It returns how many were written: fewer than all if the next one did not fit. The others are then
// neither lost nor counted as lost. The error says why the first was not written, as that of
// [Producer.Reserve] does.
func (p *Producer) OutputBatch(records [][]byte, flags uint32) (int, error) {
	if len(records) == 0 {
		return 0, p.use("", func(*C.rbcore_producer) C.int { return 0 })
	}
	bytes := 0
	for _, record := range records {
		bytes += len(record)
	}
	// This is memory of C, because memory that is handed to C may have no pointers to that of Go.
	head := len(records) * C.sizeof_rbcore_slice
	memory := C.malloc(C.size_t(head + bytes))
	defer C.free(memory)
	slices := unsafe.Slice((*C.rbcore_slice)(memory), len(records))
	at := unsafe.Add(memory, head)
	for i, record := range records {
		slices[i] = C.rbcore_slice{data: at, size: C.size_t(len(record))}
		copy(unsafe.Slice((*byte)(at), len(record)), record)
		at = unsafe.Add(at, len(record))
	}
	written := 0
	err := p.use("rbcore_producer_output_batch", func(core *C.rbcore_producer) C.int {
		result := C.rbcore_producer_output_batch(core, &slices[0], C.size_t(len(slices)), C.uint32_t(flags))
		written = max(int(result), 0)
		return result
	})
	return written, err
}

// Close closes the producer. The reader skips records that are reserved and neither submitted nor discarded.
// Closing twice is no error.
func (p *Producer) Close() error {
	if p == nil || p.owned == nil {
		return errNoProducer
	}
	// A wait for life keeps others out, such as the Submit that would make room.
	p.closes.Store(true)
	p.life.Lock()
	defer p.life.Unlock()
	if p.owned.core != nil {
		p.owned.free()
	}
	return nil
}
