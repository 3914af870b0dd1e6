//go:build linux && cgo

// SPDX-License-Identifier: MIT

package random

import (
	"errors"
	"os"
	"slices"
	"syscall"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
	"pgregory.net/rapid"
)

// A ring with its producer, and what was written.
type ring struct {
	memory   *ringbuf.MemoryRing
	producer *ringbuf.Producer
	entries  []*entry
	byPos    map[uint64]int
	lost     uint64 // was refused
	read     int    // all before this one were handed out or passed
	flushEnd int
	tap      *ringbuf.Reader
	tapped   int

	index     int    // in the reader; -1: not there
	isLeaving bool   // was removed, and the reader still has records of it
	fetched   uint64 // the end of those, when it was removed or last might be read on
}

func newRing(t *rapid.T) *ring {
	memory, err := ringbuf.NewMemoryRing(ringSize)
	must(t, err)
	producer, err := ringbuf.NewProducer(memory)
	must(t, err)
	return &ring{memory: memory, producer: producer, byPos: map[uint64]int{}, index: -1}
}

func (r *ring) end() uint64 {
	if len(r.entries) == 0 {
		return 0
	}
	return r.entries[len(r.entries)-1].end()
}

func (r *ring) first() int {
	for i := range r.read {
		if e := r.entries[i]; !e.isBack && e.state != discarded {
			return i
		}
	}
	return r.read
}

// visible are those that can be read from there on.
func (r *ring) visible(from int) []*entry {
	var found []*entry
	for _, e := range r.entries[from:] {
		if e.state == open {
			break
		}
		if e.state == there {
			found = append(found, e)
		}
	}
	return found
}

func (r *ring) wrote(number uint64, size int, s state) *entry {
	e := &entry{number: number, size: size, position: r.end(), state: s, ring: r}
	r.byPos[e.position] = len(r.entries)
	r.entries = append(r.entries, e)
	return e
}

// isRead tells whether records of the ring must come.
func (r *ring) isRead() bool { return r.index >= 0 && !r.isLeaving }

// has tells whether one of these is of the ring.
func (r *ring) has(some []held) bool {
	for _, h := range some {
		if h.entry.ring == r {
			return true
		}
	}
	return false
}

func (r *ring) finish(t *rapid.T) {
	if r.tap != nil {
		must(t, r.tap.Close())
	}
	last, err := ringbuf.NewReader(r.memory)
	must(t, err)
	last.SetDeadline(time.Now())
	left := r.visible(r.first())
	for {
		record, err := last.Read()
		if err != nil {
			wants(t, err, os.ErrDeadlineExceeded)
			break
		}
		if len(left) == 0 || record.Position() != left[0].position {
			t.Fatalf("a record at %d is left", record.Position())
		}
		left = left[1:]
	}
	if len(left) != 0 {
		t.Fatalf("%d records are lost", len(left))
	}
	must(t, last.Close())
	must(t, r.producer.Close())
	must(t, r.memory.Close())
}

// Add adds a ring, also while another goroutine waits for records.
func (w *world) Add(t *rapid.T) {
	if w.reader == nil {
		return
	}
	r := w.one(t)
	var records [1]ringbuf.Record
	result := make(chan error, 1)
	waits := w.isQuiet() && rapid.Bool().Draw(t, "waits")
	if waits {
		w.reader.SetDeadline(time.Now().Add(watchdog))
		go func() { result <- w.reader.ReadZeroCopy(&records[0]) }()
		if rapid.Bool().Draw(t, "later") {
			time.Sleep(100 * time.Microsecond)
		}
	}
	index, err := w.reader.Add(r.memory)
	if w.isTaken(r) {
		wants(t, err, syscall.EBUSY)
	} else {
		must(t, err)
		for _, other := range w.rings {
			if other.index == index {
				t.Fatalf("the index %d is that of another ring", index)
			}
		}
		r.index, r.read, r.flushEnd = index, r.first(), 0
	}
	if waits {
		if !w.hasMore() {
			w.reader.SetDeadline(time.Now())
		}
		w.borrowed(t, records[:], <-result)
	}
	w.hasRings(t)
}

func (w *world) Remove(t *rapid.T) {
	if w.reader == nil {
		return
	}
	r := w.one(t)
	err := w.reader.Remove(r.index)
	if !r.isRead() {
		wants(t, err, syscall.EINVAL)
		return
	}
	must(t, err)
	if w.isRelease {
		w.left(r)
	} else {
		if len(w.lent) == 0 {
			w.copied = nil // they go back first
		}
		r.isLeaving = true
		w.noteFetched()
		w.leave(t)
	}
	w.hasRings(t)
}

// mayReadOn: the next read may fetch more of the removed rings, because records are held.
func (w *world) mayReadOn() {
	for _, r := range w.rings {
		if r.isLeaving {
			r.fetched = r.end()
		}
	}
}

// noteFetched notes how far the reader has fetched of the removed rings. Nothing behind that may come.
func (w *world) noteFetched() {
	for _, r := range w.rings {
		if stats, err := w.reader.RingStats(r.index); r.isLeaving && err == nil {
			r.fetched = stats.ReadPos
		}
	}
}

// leave looks which of the removed rings have left: those, and only those, of which the reader has nothing.
func (w *world) leave(t *rapid.T) {
	for _, r := range w.rings {
		if !r.isLeaving {
			continue
		}
		index := r.index
		stats, err := w.reader.RingStats(index)
		isThere := err == nil
		left := r.visible(r.read)
		isFetched := len(left) > 0 && left[0].position < stats.ReadPos
		isCopied := slices.ContainsFunc(w.copied, func(e *entry) bool { return e.ring == r })
		switch {
		case !isThere && r.has(w.lent):
			t.Fatalf("ring %d has left, and records of it are held", index)
		case !isThere:
			w.left(r)
		case !r.has(w.lent) && !isFetched && !isCopied:
			t.Fatalf("ring %d has not left, and no record of it is held", index)
		}
	}
}

// hasRings looks whether the reader has just those rings that it should.
func (w *world) hasRings(t *rapid.T) {
	var want []int
	for _, r := range w.rings {
		if r.isRead() {
			want = append(want, r.index)
		}
	}
	slices.Sort(want)
	if got := slices.Collect(w.reader.Rings()); !slices.Equal(got, want) {
		t.Fatalf("the rings %v instead of %v", got, want)
	}
	for _, r := range w.rings {
		if _, err := w.reader.RingStats(r.index); (err == nil) != (r.index >= 0) || err != nil && !errors.Is(err, syscall.EINVAL) {
			t.Fatalf("statistics of ring %d: %v", r.index, err)
		}
	}
}

// Look looks at a ring beside its reader.
func (w *world) Look(t *rapid.T) {
	r := w.one(t)
	got, err := ringbuf.StatsOf(r.memory)
	must(t, err)
	lowest, highest := w.takenFrom(r)
	if got.ConsumerPos < lowest || got.ConsumerPos > highest {
		t.Fatalf("the ring is taken from %d on, not between %d and %d", got.ConsumerPos, lowest, highest)
	}
	const unknown = ringbuf.Unknown
	want := ringbuf.RingStats{
		RingSize: ringSize, ProducerPos: r.end(), ConsumerPos: got.ConsumerPos, BytesWaiting: r.end() - got.ConsumerPos,
		Lost: r.lost, MapID: unknown, HighWater: unknown, Records: unknown, Bytes: unknown, Discards: unknown,
		Abandoned: unknown, Skipped: unknown, ReadPos: unknown, UserPos: unknown, StartPos: unknown,
		PassedBytes: unknown, LostBytes: unknown, FirstRing: unknown,
	}
	if w.isTaken(r) {
		want.ReaderPID = uint64(os.Getpid())
	}
	if got != want {
		t.Fatalf("a look shows %+v instead of %+v", got, want)
	}
}
