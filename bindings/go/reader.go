//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

/*
#cgo rbcore_pkgconfig pkg-config: rbcore
#cgo rbcore_pkgconfig CFLAGS: -DRINGBUF_PKGCONFIG
#cgo CFLAGS: -Wall
#cgo noescape ringbuf_fetch
#cgo nocallback ringbuf_fetch
#include "shim.h"
*/
import "C"

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// Records fetched by one call: as many as the library walks over fastest.
const batchMax = C.RINGBUF_BATCH_MAX

// How long a reader may sleep in the library, at once and until others had their turn: what can be due
// on its thread meanwhile, such as the timer of another goroutine, comes no later than that. With a
// larger latency what a wait costs matters less.
const longestSleep = time.Millisecond

var epoch = time.Now()

// Copied records are given back with the last of a batch, and where the ring is small already when
// they fill this part of it.
const partGivenBack = 8

// A run of records of one size that follow each other in the ring.
type run struct {
	position uint64 // of the next one's header
	stride   uint64 // from one to the next
	size     uint32
	count    int
	lost     bool // others before it
}

// A Reader reads one ring. Its methods may be called by any goroutine; several that read share the
// records among them.
type Reader struct {
	// Whoever waits has the turn; Close, Flush, Commit and SetDeadline need not wait for it.
	turn chan struct{}
	// What its owner waits for.
	waitContext context.Context
	waitMax     int
	waitResult  error
	fetched     uint64 // up to where
	// While it sleeps in the library it has mu: those who want that count themselves, and wake it.
	longestSleep time.Duration // 0: never
	slept        time.Duration // in this way since it was scheduled last, at most
	sleeps       atomic.Bool
	wanted       atomic.Int32
	deadline     atomic.Int64 // in nanoseconds after epoch; math.MaxInt64: none

	file  *os.File // the library's descriptor in the runtime's netpoller
	conn  syscall.RawConn
	look  func(uintptr) bool // r.lookFor, made once
	owned *owned

	closed    atomic.Bool
	isRelease bool
	isCopied  bool  // records lie in the library's copy of the ring
	lost      error // why the last loop over Records ended

	// mu guards what follows, and that one goroutine at a time is within the library.
	mu      sync.Mutex
	samples unsafe.Pointer // of the view: where the sample of a record at position 0 begins
	mask    uint64
	base    uintptr // where the library has the record at position 0; set by the first one
	batch   *C.ringbuf_batch
	spans   []C.rbcore_span // of the batch, behind the run
	run     run             // fetched and not handed out; empty only if there is nothing more
	// What was handed out last, its end, and what the producers had reserved at the last fetch.
	lastPosition       uint64
	lastSize           uint32
	position, reserved uint64
	pending            uint64 // bytes handed out and not given back
	isBorrowed         bool   // some of them without being copied: only Commit gives them back

	// life is held instead of mu by what any thread may call, so that it need not wait.
	life sync.RWMutex
	core *C.rbcore_reader // nil when freed: written under both locks
}

// What is to be given back when nobody has the reader any more. The view lives as long as the
// Reader can be reached, and with it each RawSample in the ring, also after Close.
type owned struct {
	core  *C.rbcore_reader
	batch *C.ringbuf_batch
	view  unsafe.Pointer // producer page and, twice, data
	page  uintptr
	size  uint64
}

func (o *owned) free() {
	if o.view != nil {
		C.ringbuf_unview(o.view, C.size_t(o.page), C.size_t(o.size))
	}
	C.free(unsafe.Pointer(o.batch))
	C.rbcore_reader_free(o.core)
}

// NewReader opens a reader of a BPF ring buffer map, or of a memory ring.
//
// A ring has one reader: if it has one already that is known, the error is syscall.EBUSY.
func NewReader(ring Ring, opts ...Option) (*Reader, error) {
	if ring == nil {
		return nil, fmt.Errorf("ringbuf: no ring: %w", syscall.EINVAL)
	}
	o := options{maxLatency: -1}
	for _, option := range opts {
		option(&o)
	}
	r := &Reader{
		turn:      make(chan struct{}, 1),
		owned:     &owned{page: uintptr(os.Getpagesize())},
		isRelease: o.release,
		isCopied:  o.overwrite || o.tap,
	}
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
	source := sourceOf(ring)
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
	if o.lossMap != nil {
		source.loss_fd = C.int32_t(o.lossMap.FD())
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
	err := r.owned.allocate(int(source.fd), uint64(stats.ring_size))
	runtime.KeepAlive(ring)
	runtime.KeepAlive(o.lossMap)
	if err != nil {
		return err
	}
	r.batch = r.owned.batch
	r.samples = unsafe.Add(r.owned.view, r.owned.page+8)
	r.mask = r.owned.size - 1
	return r.poll()
}

func (o *owned) allocate(fd int, size uint64) error {
	o.size = size
	view, err := C.ringbuf_view(C.int(fd), C.size_t(o.page), C.size_t(size))
	if view == nil {
		return fmt.Errorf("ringbuf: map the ring: %w", err)
	}
	o.view = view
	// Memory of C: each call would look through an array of Go, for pointers that it must not have.
	o.batch = (*C.ringbuf_batch)(C.calloc(1, C.sizeof_ringbuf_batch))
	return nil
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

// Supports tells whether the library and the kernel beneath it have a feature, such as
// [FeatureKernelRing]. The error is syscall.EPERM if the process may not ask the kernel.
func Supports(feature uint32) (bool, error) {
	result := C.rbcore_supports(C.uint32_t(feature))
	if result < 0 {
		return false, failure("rbcore_supports", result)
	}
	return result > 0, nil
}

// sourceOf is safe to pass on: it holds no pointers.
func sourceOf(ring Ring) C.rbcore_source {
	var source C.rbcore_source
	C.rbcore_source_init(&source, C.sizeof_rbcore_source)
	source.kind = C.RBCORE_SOURCE_MAP_FD
	source.fd = C.int32_t(ring.FD())
	if memory, ok := ring.(interface{ EventFD() int }); ok {
		source.kind = C.RBCORE_SOURCE_MEMORY_RING
		source.event_fd = C.int32_t(memory.EventFD())
	}
	return source
}

// failure is an error of one of the library's functions; errors.Is knows it by its errno.
func failure(function string, result C.int) error {
	errno := syscall.Errno(-result)
	text := C.GoString(C.rbcore_strerror(result))
	for _, cause := range causes {
		if cause.function == function && cause.errno == errno {
			text = cause.text
		}
	}
	what := strings.ReplaceAll(strings.TrimPrefix(function, "rbcore_"), "_", " ")
	return fmt.Errorf("ringbuf: %s: %s (%w)", what, text, errno)
}

// The same in the words that the reader has for it.
func (r *Reader) failure(what string, result C.int) error {
	message := C.GoString(C.rbcore_reader_message(r.core))
	return fmt.Errorf("ringbuf: %s: %s (%w)", what, message, syscall.Errno(-result))
}

// ---- Fetching ----

// fetch gets a batch in place of the one that was handed out, if there is one, and may sleep until
// there is. Called with mu.
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
		r.reserved = r.producerPosition()
		r.spans = r.batch.spans[:result]
		last := &r.spans[result-1]
		r.fetched = uint64(last.position) + uint64(last.count)*uint64(last.stride)
		if r.base == 0 {
			if err := r.begin(); err != nil {
				return err
			}
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

// begin learns from the first record where the library has them.
func (r *Reader) begin() error {
	base := uintptr(r.spans[0].data) - uintptr(uint64(r.spans[0].position)&r.mask)
	if r.isCopied {
		o := r.owned
		result := C.ringbuf_view_copy(o.view, C.size_t(o.page), C.size_t(o.size), C.uintptr_t(base-8))
		if result < 0 {
			return fmt.Errorf("ringbuf: map the copy of the ring: %w", syscall.Errno(-result))
		}
	}
	r.base = base
	return nil
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

// lookFor fetches for the one who waits. Returns true, and still has mu, if the wait is over.
func (r *Reader) lookFor(uintptr) bool {
	r.mu.Lock()
	r.waitResult = nil
	if r.run.count == 0 {
		r.waitResult = r.fetch(r.waitMax, false, r.sleep())
		r.sleeps.Store(false)
	}
	if r.run.count == 0 && r.waitResult == nil && r.waitContext != nil {
		r.waitResult = context.Cause(r.waitContext)
	}
	if r.run.count != 0 || r.waitResult != nil {
		return true
	}
	r.mu.Unlock()
	return false
}

// sleep is how long a fetch may take: as long as records come by the timer a wait is nothing but a
// sleep until that, which is cheaper in the library than by way of the runtime's netpoller, and for
// too short a time to be missed by other goroutines.
func (r *Reader) sleep() time.Duration {
	if !r.maySleep() {
		return 0
	}
	// First, so that whoever wants something from now on ends the sleep.
	r.sleeps.Store(true)
	if r.wanted.Load() != 0 {
		return 0
	}
	deadline := r.deadline.Load()
	if deadline == math.MaxInt64 {
		return r.longestSleep
	}
	return max(min(r.longestSleep, time.Duration(deadline)-time.Since(epoch)), 0)
}

// lock gets mu for one who does not wait for records.
func (r *Reader) lock() {
	if r.mu.TryLock() {
		return
	}
	r.wanted.Add(1)
	r.wake()
	r.mu.Lock()
	r.wanted.Add(-1)
}

// wake ends the sleep of whoever sleeps in the library. He waits in the runtime then.
func (r *Reader) wake() {
	if r.sleeps.Load() {
		r.interrupt()
	}
}

// wait waits until there is a batch, and has mu then.
func (r *Reader) wait(ctx context.Context, most int) error {
	if !r.takeTurn(ctx) {
		r.lock()
		return context.Cause(ctx)
	}
	r.waitContext, r.waitMax = ctx, most
	// Where there will be records no time is lost by preparing for the runtime's wait.
	var err error
	if !r.expectsRecords() || !r.lookFor(0) {
		err = r.conn.Read(r.look)
	}
	if err == nil {
		err = r.waitResult
	} else {
		r.mu.Lock()
		err = r.notWaited(most, err)
	}
	r.waitContext, r.waitResult = nil, nil
	<-r.turn
	return err
}

// takeTurn waits for the turn to wait. Returns false if the context was done before.
func (r *Reader) takeTurn(ctx context.Context) bool {
	if ctx == nil || ctx.Done() == nil {
		r.turn <- struct{}{}
		return true
	}
	select {
	case r.turn <- struct{}{}:
		return true
	default:
	}
	select {
	case r.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// expectsRecords tells whether a look will find records: the last one left some, or it may sleep.
func (r *Reader) expectsRecords() bool {
	if r.batch.is_full != 0 && r.producerPosition() != r.fetched {
		return true
	}
	if !r.maySleep() {
		return false
	}
	// And the runtime's monitor takes a goroutine that is never scheduled for one that keeps others from
	// running: it would disturb each call of the library.
	if r.slept += r.longestSleep; r.slept >= longestSleep {
		r.slept = 0
		runtime.Gosched()
	}
	return true
}

func (r *Reader) maySleep() bool {
	return r.batch.is_paced != 0 && r.longestSleep != 0
}

// notWaited says what it means that the runtime did not wait.
func (r *Reader) notWaited(most int, err error) error {
	switch {
	case r.closed.Load():
		return ErrClosed
	case r.run.count != 0:
		return nil
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("ringbuf: wait: %w", err)
	}
	// The deadline ends the wait, but all that is there comes before it, due or not.
	if failed := r.fetch(most, true, 0); failed != nil || r.run.count != 0 {
		return failed
	}
	return err
}

// fill sees to it that there is a record to hand out. Called with mu, which it lets go of while it
// waits.
func (r *Reader) fill(ctx context.Context, most int) error {
	if most == 1 && !r.isRelease {
		// Ahead of those who ask for one. But what a releasing reader has fetched is held, and can only
		// be released, not left to the next reader.
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

// set makes rec the record at a position, whose sample lies in the ring; rest is what was reserved
// from its header on.
func (rec *Record) set(sample unsafe.Pointer, position uint64, size uint32, rest, stride uint64) {
	rec.RawSample = unsafe.Slice((*byte)(sample), int(size))
	rec.Remaining = int(rest - stride)
	rec.position, rec.size, rec.inRing, rec.lostBefore = position, size, true, false
}

// take hands out the next record. There must be one.
func (r *Reader) take(rec *Record) {
	run := &r.run
	sample := unsafe.Add(r.samples, run.position&r.mask)
	rec.set(sample, run.position, run.size, r.reserved-run.position, run.stride)
	rec.lostBefore = run.lost
	r.taken(1)
}

// takeBatch hands out the next records of the batch, as many as there is room for. Returns how many.
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

// list sets records of a run. Its samples lie without a gap, for the data is mapped twice.
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

func (r *Reader) producerPosition() uint64 {
	return atomic.LoadUint64((*uint64)(r.owned.view))
}

// ---- Reading ----

// Read waits for the next record and returns a copy of it. See [Reader.ReadInto], which can reuse
// the memory.
func (r *Reader) Read() (Record, error) {
	var rec Record
	err := r.ReadInto(&rec)
	return rec, err
}

// ReadInto waits for the next record and copies it into rec, whose RawSample it reuses if that is
// large enough and not memory of the ring.
//
// The space of the record is free with the last record of its batch at the latest, or when an
// eighth of the ring was read; but while there are records of ReadZeroCopy or ReadBatch that were
// not committed, with those.
//
// The error is os.ErrDeadlineExceeded if the deadline passed and the ring is empty, [ErrFlushed]
// once after [Reader.Flush], and [ErrClosed] after [Reader.Close].
func (r *Reader) ReadInto(rec *Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.fill(nil, 1); err != nil {
		return err
	}
	into := rec.RawSample[:0]
	if rec.inRing {
		into = nil
	}
	r.take(rec)
	if into == nil {
		into = make([]byte, 0, len(rec.RawSample))
	}
	rec.RawSample = append(into, rec.RawSample...)
	rec.inRing = false
	if r.isRelease {
		last := r.held(rec.position, rec.size)
		return r.release(&last, 1)
	}
	if !r.isBorrowed && (r.run.count == 0 || r.pending >= r.owned.size/partGivenBack) {
		return r.commit()
	}
	return nil
}

// ReadZeroCopy waits for the next record and hands it out as it lies in the ring: rec.RawSample is
// valid until [Reader.Commit], and must not be written. The ring's space is taken until then.
//
// After Close RawSample can still be read without a fault for as long as the Reader is reachable
// (runtime.KeepAlive), but shows whatever the ring holds by then.
//
// Errors are those of [Reader.ReadInto].
func (r *Reader) ReadZeroCopy(rec *Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.fill(nil, 1); err != nil {
		return err
	}
	if err := r.borrow(); err != nil {
		return err
	}
	r.take(rec)
	return nil
}

// ReadBatch waits until there are records and hands out what there is, at most len(records), as
// ReadZeroCopy does one. Returns how many: 0 only with an error, or for no records asked for. There
// may be more at once: 128 to 512 records are fastest to read.
func (r *Reader) ReadBatch(records []Record) (int, error) {
	if len(records) == 0 {
		return 0, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.fill(nil, len(records)); err != nil {
		return 0, err
	}
	if err := r.borrow(); err != nil {
		return 0, err
	}
	return r.takeBatch(records), nil
}

// ReadSpan waits until there are records and hands out the next of them that have one size and lie
// together, at most so many, as ReadZeroCopy does one. Where records have one size it is the fastest
// way to read, for nothing is written for the single one.
func (r *Reader) ReadSpan(most int) (Span, error) {
	if most <= 0 {
		return Span{}, fmt.Errorf("ringbuf: read: a span of %d records: %w", most, syscall.EINVAL)
	}
	if r.isRelease {
		most = 1 // there are no longer spans, and what is fetched along with it is held for good
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.fill(nil, most); err != nil {
		return Span{}, err
	}
	if err := r.borrow(); err != nil {
		return Span{}, err
	}
	count := min(most, r.run.count)
	span := Span{Size: int(r.run.size), Stride: int(r.run.stride), Count: count, position: r.run.position}
	span.LostBefore = r.run.lost
	sample := unsafe.Add(r.samples, r.run.position&r.mask)
	span.Data = unsafe.Slice((*byte)(sample), (count-1)*span.Stride+span.Size)
	r.taken(count)
	return span, nil
}

// borrow prepares for a record that is not copied: those copied before are given back by themselves,
// so that they do not come again if it is never committed.
func (r *Reader) borrow() error {
	if r.isRelease || r.isBorrowed {
		return nil
	}
	err := r.commit()
	r.isBorrowed = err == nil
	return err
}

// Records is a loop over the ring's records:
//
//	for record := range reader.Records(ctx) {
//
// Each is as ReadZeroCopy hands it out, and valid until the loop goes on or is left: then the loop
// gives it back, in batches, and with it all that was read without a copy before. Of a reader opened
// [WithRelease] the records are valid until Release.
//
// The loop ends when ctx is done, and by each error of a read; [Reader.Err] tells which.
func (r *Reader) Records(ctx context.Context) iter.Seq[Record] {
	return func(yield func(Record) bool) {
		stop := context.AfterFunc(ctx, r.interrupt)
		defer stop()
		r.setErr(nil)
		for {
			var rec Record
			if err := r.nextOf(ctx, &rec); err != nil {
				r.setErr(err)
				return
			}
			if !yield(rec) {
				r.lock()
				r.endLoop()
				r.mu.Unlock()
				return
			}
		}
	}
}

// Err tells why the last loop over [Reader.Records] ended: context.Cause of its context, ErrClosed,
// ErrFlushed, os.ErrDeadlineExceeded or another error of a read; nil if the program left it.
func (r *Reader) Err() error {
	r.lock()
	defer r.mu.Unlock()
	return r.lost
}

func (r *Reader) setErr(err error) {
	r.lock()
	r.lost = err
	r.mu.Unlock()
}

// nextOf hands out the next record of a loop, whose records before that were seen.
func (r *Reader) nextOf(ctx context.Context, rec *Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ctx.Err() != nil {
		r.endLoop()
		return context.Cause(ctx)
	}
	if !r.isRelease {
		// With the next batch, in the same call.
		r.isBorrowed = false
		if r.run.count != 0 && r.pending >= r.owned.size/partGivenBack {
			if err := r.commit(); err != nil {
				return err
			}
		}
	}
	if err := r.fill(ctx, 1); err != nil {
		r.endLoop()
		return err
	}
	if !r.isRelease {
		r.isBorrowed = true
	}
	r.take(rec)
	return nil
}

// endLoop gives back what a loop has seen.
func (r *Reader) endLoop() {
	if !r.isRelease && r.core != nil {
		r.commit()
	}
}

// interrupt wakes whoever waits, to look at its context.
func (r *Reader) interrupt() {
	r.life.RLock()
	defer r.life.RUnlock()
	if r.core != nil {
		C.rbcore_reader_interrupt(r.core)
	}
}

// ---- Giving back ----

// Commit gives back all records that were handed out, in one step; RawSample of those that were not
// copied is invalid from then on. Records that were fetched and not handed out stay. With nothing to
// give back it does nothing.
func (r *Reader) Commit() error {
	r.lock()
	defer r.mu.Unlock()
	return r.commitInOrder()
}

// CommitNow is Commit, and frees the space at once. Otherwise that of the last small record of a busy
// ring is freed with the next read that finds another, which spares producers their wakeups.
func (r *Reader) CommitNow() error {
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
		return fmt.Errorf("ringbuf: commit: the reader was opened WithRelease: %w", syscall.EINVAL)
	}
	return r.commit()
}

// CommitTo gives back the records up to and with rec, and leaves those behind it as they are. The
// error is syscall.EINVAL if rec is not a record of this reader that was not copied and not given
// back yet.
func (r *Reader) CommitTo(rec *Record) error {
	r.lock()
	defer r.mu.Unlock()
	end := rec.position + (uint64(rec.size)+15)&^7
	if r.core == nil || !rec.inRing || r.position-end > r.pending {
		return fmt.Errorf("ringbuf: commit: no such record: %w", syscall.EINVAL)
	}
	if end == r.position && !r.isRelease {
		return r.commit()
	}
	if result := C.ringbuf_commit_to(r.core, r.held(rec.position, rec.size)); result < 0 {
		return r.failure("commit", result)
	}
	r.pending = r.position - end
	return nil
}

// commit gives back what was handed out. Called with mu.
func (r *Reader) commit() error {
	if r.pending == 0 {
		r.isBorrowed = false
		return nil
	}
	if r.core == nil {
		return ErrClosed
	}
	var result C.int
	if r.run.count == 0 {
		result = C.rbcore_reader_commit(r.core, nil, 0) // looks at no record
	} else {
		result = C.ringbuf_commit_to(r.core, r.held(r.lastPosition, r.lastSize))
	}
	if result < 0 {
		return r.failure("commit", result)
	}
	r.pending, r.isBorrowed = 0, false
	return nil
}

// Release gives back records of a reader opened [WithRelease], in any order and by any goroutine,
// several at a time. Their RawSample is invalid from then on. It may be called after Close: the ring
// is free for other readers when all is given back.
//
// The error is syscall.EINVAL if some of the records are not held; the others were given back.
func (r *Reader) Release(records ...Record) error {
	var chunk [C.RINGBUF_HELD_MAX]C.ringbuf_held
	var failed error
	r.life.RLock()
	for len(records) > 0 {
		n := min(len(records), len(chunk))
		for i := range records[:n] {
			chunk[i] = r.held(records[i].position, records[i].size)
		}
		if err := r.release(&chunk[0], n); err != nil {
			failed = err
		}
		records = records[n:]
	}
	r.life.RUnlock()
	if r.closed.Load() {
		r.mu.Lock()
		r.freeCore()
		r.mu.Unlock()
	}
	return failed
}

// held is a record as the library knows it.
func (r *Reader) held(position uint64, size uint32) C.ringbuf_held {
	return C.ringbuf_held{
		position: C.uint64_t(position),
		data:     C.uintptr_t(r.base + uintptr(position&r.mask)),
		size:     C.uint32_t(size),
	}
}

// release is called with one of the locks that keep the library's reader.
func (r *Reader) release(records *C.ringbuf_held, count int) error {
	if r.core == nil {
		return ErrClosed
	}
	if result := C.ringbuf_release(r.core, records, C.size_t(count)); result < 0 {
		return fmt.Errorf("ringbuf: release: a record is not held: %w", syscall.Errno(-result))
	}
	return nil
}

// ---- Everything else ----

// SetDeadline sets when reads stop waiting, those included that wait already. With the zero time
// they never do.
func (r *Reader) SetDeadline(t time.Time) {
	deadline := int64(math.MaxInt64)
	if !t.IsZero() {
		deadline = int64(t.Sub(epoch))
	}
	r.deadline.Store(deadline)
	// The error says that the reader is closed, which all reads will say.
	_ = r.file.SetReadDeadline(t)
	r.wake()
}

// Flush makes reads return all that is in the ring by now, also records that nobody was woken for,
// and then, once, [ErrFlushed].
func (r *Reader) Flush() error {
	r.life.RLock()
	defer r.life.RUnlock()
	if r.closed.Load() {
		return ErrClosed
	}
	if result := C.rbcore_reader_flush(r.core); result < 0 {
		return failure("rbcore_reader_flush", result)
	}
	return nil
}

// Close ends reading, also for those who wait, from any goroutine. Records that were copied are
// given back; others that were not committed stay in the ring for its next reader. Closing twice is
// no error.
func (r *Reader) Close() error {
	if r.closed.Swap(true) {
		return nil
	}
	r.life.RLock()
	C.rbcore_reader_shutdown(r.core)
	r.life.RUnlock()
	err := r.file.Close() // waits until nobody waits
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.isRelease && !r.isBorrowed {
		err = errors.Join(err, r.commit())
	}
	r.freeCore()
	return err
}

// freeCore lets go of the ring, unless there are records yet to be released. Called with mu.
func (r *Reader) freeCore() {
	r.life.Lock()
	defer r.life.Unlock()
	if r.core == nil {
		return
	}
	if r.isRelease {
		stats, err := r.ringStats()
		if err == nil && stats.user_pos != stats.read_pos {
			return
		}
	}
	C.rbcore_reader_free(r.core)
	r.core, r.owned.core = nil, nil
}

// BufferSize is the size of the ring's data area in bytes.
func (r *Reader) BufferSize() int {
	return int(r.owned.size)
}

// AvailableBytes is how much of the ring's data was not read yet, headers and records that are still
// being written included. After Close it is 0.
func (r *Reader) AvailableBytes() int {
	r.lock()
	defer r.mu.Unlock()
	if r.core == nil {
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
