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

// A Reader reads one ring. Its methods may be called by any goroutine; several that read share the
// records among them.
type Reader struct {
	waiting // by the goroutine that has the turn
	window  // guarded by mu

	owned     *owned // set by NewReader, as are isRelease and isCopied
	isRelease bool
	isCopied  bool // records lie in the library's copy of the ring
	closed    atomic.Bool

	// mu is held by the goroutine that calls the library's reader, also while it sleeps in there.
	mu   sync.Mutex
	lost error // why the last loop over Records ended; guarded by mu

	// life keeps the library's reader from being freed. Calls that any thread may make hold it in place of
	// mu, so that they need not wait.
	life sync.RWMutex
	core *C.rbcore_reader // nil when freed: written under both locks
}

// NewReader opens a reader of a BPF ring buffer map, or of a memory ring.
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
		option(&o)
	}
	r := &Reader{
		owned:     &owned{page: uintptr(os.Getpagesize()), fd: -1},
		isRelease: o.release,
		isCopied:  o.overwrite || o.tap,
	}
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
	source, err := sourceOf(ring)
	if err != nil {
		return err
	}
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
	if result := C.rbcore_reader_add(r.core, &source); result < 0 {
		return r.failure("open", result)
	}
	var stats C.rbcore_ring_stats
	C.rbcore_ring_stats_init(&stats, C.sizeof_rbcore_ring_stats)
	if result := C.rbcore_reader_ring_stats(r.core, 0, &stats); result < 0 {
		return failure("rbcore_reader_ring_stats", result)
	}
	r.position = uint64(stats.read_pos)
	r.reserved = uint64(stats.producer_pos)
	err = r.owned.open(C.int(source.fd), uintptr(stats.ring_size))
	runtime.KeepAlive(ring)
	runtime.KeepAlive(o.lossMap)
	if err != nil {
		return err
	}
	r.batch = r.owned.batch
	r.mask = uint64(r.owned.size) - 1
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

// Close ends reading. Any goroutine may call it, and reads that wait return. It gives back records that were
// copied, and those that a loop over [Reader.Records] went past. Other records that were not committed stay
// in the ring for its next reader, including the one that a loop is at. Closing twice is no error.
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

// freeCore lets go of the ring, unless records are still to be released. It is called with mu.
func (r *Reader) freeCore() {
	r.life.Lock()
	defer r.life.Unlock()
	if r.core == nil {
		return
	}
	if r.isRelease {
		stats, err := r.ringStats()
		if err == nil && stats.user_pos != stats.read_pos {
			C.rbcore_reader_remove(r.core, 0) // the error of the next reader says that records keep the ring
			return
		}
	}
	C.rbcore_reader_free(r.core)
	r.core, r.owned.core = nil, nil
	r.owned.closeFD()
}

// BufferSize is the size of the ring's data area in bytes.
func (r *Reader) BufferSize() int {
	if !r.isMade() {
		return 0
	}
	return int(r.owned.size)
}

// AvailableBytes is how much of the ring's data was not read yet. Headers count, and so do records that are
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
	if r.run.count != 0 {
		return int(r.producerPosition() - r.position)
	}
	stats, err := r.ringStats()
	if err != nil {
		return 0
	}
	return int(stats.bytes_waiting)
}

// Stats tells what the reader did so far.
func (r *Reader) Stats() (Stats, error) {
	if !r.isMade() {
		return Stats{}, errNoReader
	}
	r.lock()
	defer r.mu.Unlock()
	if r.core == nil {
		return Stats{}, ErrClosed
	}
	var reader C.rbcore_reader_stats
	C.rbcore_reader_stats_init(&reader, C.sizeof_rbcore_reader_stats)
	if result := C.rbcore_reader_stats_get(r.core, &reader); result < 0 {
		return Stats{}, failure("rbcore_reader_stats_get", result)
	}
	ring, err := r.ringStats()
	return statsOf(&reader, &ring), err
}

func (r *Reader) ringStats() (C.rbcore_ring_stats, error) {
	var stats C.rbcore_ring_stats
	C.rbcore_ring_stats_init(&stats, C.sizeof_rbcore_ring_stats)
	if result := C.rbcore_reader_ring_stats(r.core, 0, &stats); result < 0 {
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
