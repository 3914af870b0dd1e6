//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

/*
#cgo rbcore_pkgconfig pkg-config: rbcore
#cgo rbcore_pkgconfig CFLAGS: -DRINGBUF_PKGCONFIG
#cgo CFLAGS: -Wall
#include "shim.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// A Reader reads the ring that it was opened with, and those that [Reader.Add] added. Its methods may be called by
// any goroutine; several that read share the records among them.
//
// Records of one ring come in its order. Between two rings there is no order, but they are read in turns: no ring
// has a second turn before each other ring with records had one. (Of more than 16 rings, the kernel tells of one that
// was idle within some 50 microseconds. Then it takes the last place.)
type Reader struct {
	waiting // by the goroutine that has the turn
	window  // guarded by mu

	owned     *owned // set by NewReader, as is isRelease; owned.rings is written under both locks
	isRelease bool
	closed    atomic.Bool
	size      atomic.Int64 // of all rings
	leavers   atomic.Int32 // how many rings are leaving

	// mu is held by the goroutine that calls the library's reader, also while it sleeps in there.
	mu   sync.Mutex
	lost error // why the last loop over Records ended; guarded by mu

	// life keeps the library's reader from being freed. Calls that any thread may make hold it in place of
	// mu, so that they need not wait.
	life sync.RWMutex
	core *C.rbcore_reader // nil when freed: written under both locks
}

// NewReader opens a reader of a BPF ring buffer map, or of a memory ring. The ring has the index 0, and
// [Reader.Add] adds others.
//
// A ring has one reader. If another one is known to have it, the error is syscall.EBUSY and says which. Other
// errors are
//   - syscall.EINVAL: the ring, its loss map or an option is nil, or the ring was closed;
//   - syscall.EBADF, syscall.EBADFD: the descriptor is not open, or neither that of a BPF map nor that of
//     a memory ring;
//   - syscall.EMEDIUMTYPE: the map is of another type, or not in overwrite mode as [WithOverwrite] has it;
//   - syscall.EOPNOTSUPP: the ring is in overwrite mode, and WithOverwrite is missing;
//   - syscall.EACCES, syscall.EPERM: the descriptor does not allow reading and writing, the process lacks
//     a capability, or a filter of system calls refuses;
//   - syscall.EBADMSG: the ring's content is impossible;
//   - syscall.ENOMEM, syscall.EMFILE, syscall.ENFILE: no memory or file descriptors.
func NewReader(ring Ring, opts ...Option) (*Reader, error) {
	o := options{maxLatency: -1}
	for _, option := range opts {
		if option == nil {
			return nil, errNilOption
		}
		option.apply(&o)
	}
	r := &Reader{owned: &owned{}, isRelease: o.release}
	r.turn = make(chan struct{}, 1)
	r.deadline.Store(math.MaxInt64)
	if err := r.open(ring, &o); err != nil {
		if r.file != nil {
			r.file.Close()
		}
		r.owned.free()
		return nil, err
	}
	runtime.AddCleanup(r, (*owned).free, r.owned)
	return r, nil
}

func (r *Reader) open(ring Ring, o *options) error {
	var options C.rbcore_reader_options
	C.rbcore_reader_options_init(&options, C.sizeof_rbcore_reader_options)
	if o.release {
		options.flags |= C.RBCORE_READER_RELEASE
	}
	if o.poll {
		options.flags |= C.RBCORE_READER_POLL
	}
	if o.maxLatency >= 0 {
		options.max_latency_ns = C.int64_t(o.maxLatency)
	}
	latency := time.Duration(options.max_latency_ns)
	if latency <= longestSleep && runtime.GOMAXPROCS(0) > 1 {
		r.longestSleep = latency
	}
	var core *C.rbcore_reader
	if result := C.rbcore_reader_open(&core, &options); result < 0 {
		return failure("rbcore_reader_open", result)
	}
	r.core, r.owned.core = core, core
	// Memory of C: each call would look through an array of Go, for pointers that it must not have.
	r.batch = (*C.ringbuf_batch)(C.calloc(1, C.sizeof_ringbuf_batch))
	r.owned.batch = r.batch
	if _, err := r.add("open", ring, &o.ring); err != nil {
		return err
	}
	return r.poll()
}

// poll hands the library's descriptor to the runtime.
func (r *Reader) poll() error {
	fd := C.ringbuf_poll_fd(r.core)
	if fd < 0 {
		return failure("rbcore_reader_fd", fd)
	}
	r.file = os.NewFile(uintptr(fd), "ringbuf")
	if err := r.file.SetReadDeadline(time.Time{}); err != nil {
		return fmt.Errorf("ringbuf: the runtime cannot wait for the ring: %w", err)
	}
	var err error
	r.conn, err = r.file.SyscallConn()
	r.look = r.lookFor
	return err
}

// Close ends reading. Any goroutine may call it, and reads that wait return. It gives back records that were
// copied, and those that a loop over [Reader.Records] went past. Other records that were not committed stay
// in their rings for the next reader, including the one that a loop is at. Closing twice is no error.
func (r *Reader) Close() error {
	if !r.isMade() {
		return errNoReader
	}
	if r.closed.Swap(true) {
		return nil
	}
	r.life.RLock()
	C.rbcore_reader_shutdown(r.core)
	r.life.RUnlock()
	err := r.file.Close() // returns when no goroutine waits any more
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.isRelease {
		if r.isBorrowed {
			err = errors.Join(err, r.commitSeen())
		} else {
			err = errors.Join(err, r.commit())
		}
	}
	r.freeCore()
	return err
}

// freeCore lets go of the rings, unless records are still to be released. It is called with mu.
func (r *Reader) freeCore() {
	r.life.Lock()
	defer r.life.Unlock()
	if r.core == nil || r.isRelease && r.hasLent() {
		return
	}
	C.rbcore_reader_free(r.core)
	r.core, r.owned.core = nil, nil
	for _, ring := range r.owned.rings {
		if ring != nil {
			ring.closeFD()
		}
	}
}

// BufferSize is the size in bytes of the ring's data area, or the sum of them if there are several rings.
func (r *Reader) BufferSize() int {
	if !r.isMade() {
		return 0
	}
	return int(r.size.Load())
}

// AvailableBytes is how much of the data in all rings was not read yet. Headers count, and so do records that are
// still being written. After Close it is 0.
func (r *Reader) AvailableBytes() int {
	if !r.isMade() {
		return 0
	}
	r.lock()
	defer r.mu.Unlock()
	if r.closed.Load() {
		return 0
	}
	fetched := map[uint16]bool{}
	if r.run.count != 0 {
		fetched[r.run.ring.index] = true
	}
	for i := range r.spans {
		fetched[uint16(r.spans[i].ring)] = true
	}
	bytes := uint64(0)
	for _, ring := range r.owned.rings {
		switch {
		case ring == nil || ring.isLeaving:
		case fetched[ring.index]: // and not handed out
			bytes += ring.producerPosition() - ring.position
		default:
			stats, _ := r.ringStats(ring.index)
			bytes += uint64(stats.bytes_waiting)
		}
	}
	return int(bytes)
}

// Stats tells what the reader did so far, over all its rings. The error is [ErrClosed] after Close.
func (r *Reader) Stats() (ReaderStats, error) {
	if !r.isMade() {
		return ReaderStats{}, errNoReader
	}
	r.life.RLock()
	defer r.life.RUnlock()
	if r.core == nil {
		return ReaderStats{}, ErrClosed
	}
	var stats C.rbcore_reader_stats
	C.rbcore_reader_stats_init(&stats, C.sizeof_rbcore_reader_stats)
	if result := C.rbcore_reader_stats_get(r.core, &stats); result < 0 {
		return ReaderStats{}, failure("rbcore_reader_stats_get", result)
	}
	return readerStatsOf(&stats), nil
}

// StatsOf looks at a ring without a reader. Nothing is claimed or changed, and the ring's reader is not disturbed. It
// tells RingSize, MapID, ProducerPos, ConsumerPos, BytesWaiting (here: bytes not given back), ReaderPID, and Lost of a
// memory ring or [WithLossMap], whatever the other options are. All other figures are [Unknown].
//
// Errors are those of [NewReader], but syscall.EBUSY and syscall.EOPNOTSUPP do not occur for a ring that has a reader
// or is in overwrite mode.
func StatsOf(ring Ring, opts ...RingOption) (RingStats, error) {
	var o ringOptions
	for _, option := range opts {
		if option == nil {
			return RingStats{}, errNilOption
		}
		option.applyToRing(&o)
	}
	source, err := sourceOf(ring)
	if err != nil {
		return RingStats{}, err
	}
	if err := o.applyTo(&source); err != nil {
		return RingStats{}, err
	}
	var stats C.rbcore_ring_stats
	C.rbcore_ring_stats_init(&stats, C.sizeof_rbcore_ring_stats)
	result := C.rbcore_source_ring_stats(&source, &stats)
	runtime.KeepAlive(ring)
	runtime.KeepAlive(o.lossMap)
	if result < 0 {
		return RingStats{}, failure("rbcore_source_ring_stats", result)
	}
	return ringStatsOf(&stats), nil
}

// RingStats tells the state of the ring with this index, and what the reader did with it. The error is
// syscall.EINVAL if the reader has no such ring. One that was removed is there until the records held of it were
// given back. After Close the error is [ErrClosed].
func (r *Reader) RingStats(ring int) (RingStats, error) {
	if !r.isMade() {
		return RingStats{}, errNoReader
	}
	r.life.RLock()
	defer r.life.RUnlock()
	if r.core == nil {
		return RingStats{}, ErrClosed
	}
	if r.owned.ring(ring) == nil {
		return RingStats{}, errNoSuchRing
	}
	stats, err := r.ringStats(uint16(ring))
	return ringStatsOf(&stats), err
}

// ringStats is called with one of the locks that keep the library's reader.
func (r *Reader) ringStats(ring uint16) (C.rbcore_ring_stats, error) {
	var stats C.rbcore_ring_stats
	C.rbcore_ring_stats_init(&stats, C.sizeof_rbcore_ring_stats)
	if result := C.rbcore_reader_ring_stats(r.core, C.uint(ring), &stats); result < 0 {
		return stats, failure("rbcore_reader_ring_stats", result)
	}
	return stats, nil
}

// Supports tells whether the library and the kernel have a feature, such as [FeatureKernelRing]. The error is
// syscall.EPERM if the process may not ask the kernel.
func Supports(feature uint32) (bool, error) {
	result := C.rbcore_supports(C.uint32_t(feature))
	if result < 0 {
		return false, failure("rbcore_supports", result)
	}
	return result > 0, nil
}
