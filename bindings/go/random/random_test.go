//go:build linux && cgo

// SPDX-License-Identifier: MIT

// Package random makes random legal calls on memory rings and compares them with a model of what must
// come out. It is a module of its own, so that users of ringbuf need not have what only this needs.
//
// rapid prints how to repeat a run that fails (-rapid.seed, or the file it wrote). RBCORE_RANDOM_SEED and
// RBCORE_RANDOM_TIMES=100 are as in the other languages.
package random

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
	"pgregory.net/rapid"
)

const (
	ringSize = 1 << 13
	watchdog = 20 * time.Second
)

func TestMain(m *testing.M) {
	flag.Parse()
	seed := uint64(time.Now().UnixNano())
	if text := os.Getenv("RBCORE_RANDOM_SEED"); text != "" {
		seed, _ = strconv.ParseUint(text, 10, 64)
	}
	times := 1
	if text := os.Getenv("RBCORE_RANDOM_TIMES"); text != "" {
		times, _ = strconv.Atoi(text)
	}
	fmt.Printf("RBCORE_RANDOM_SEED=%d\n", seed)
	flag.Set("rapid.seed", strconv.FormatUint(seed, 10))
	flag.Set("rapid.checks", strconv.Itoa(500*times))
	flag.Set("rapid.nofailfile", "true")
	os.Exit(m.Run())
}

func content(number uint64, size int) []byte {
	word := binary.LittleEndian.AppendUint64(nil, number*0x9e3779b97f4a7c15)
	return bytes.Repeat(word, size/8+1)[:size]
}

type state int

const (
	there state = iota
	open        // as long as it is written
	discarded
)

// A record of the ring, and what became of it.
type entry struct {
	number   uint64
	size     int
	position uint64
	state    state
	isBack   bool
	data     []byte // of a reservation
	ring     *ring
}

func span(size int) uint64 { return (uint64(size) + 15) &^ 7 }

func (e *entry) end() uint64 { return e.position + span(e.size) }

func (e *entry) is(t *rapid.T, sample []byte) {
	if !bytes.Equal(sample, content(e.number, e.size)) {
		t.Fatalf("record %d is %x", e.number, sample)
	}
}

// A record without a copy that was not given back.
type held struct {
	entry  *entry
	record ringbuf.Record
	reader *ringbuf.Reader // of a releasing one, also when it was closed
	described
}

type snapshot struct {
	*ringbuf.Snapshot
	entries []*entry
}

type world struct {
	rings     []*ring
	number    uint64
	reader    *ringbuf.Reader
	isRelease bool
	lent      []held
	leases    []held   // of readers WithRelease, closed ones among them
	copied    []*entry // by Read: back now or with the rest of what was fetched with them
	isFlushed bool     // Flush was called, and not answered
	snapshots []snapshot
}

func must(t *rapid.T, err error) {
	if err != nil {
		t.Fatal(err)
	}
}

func wants(t *rapid.T, err, want error) {
	if !errors.Is(err, want) {
		t.Fatalf("error %v instead of %v", err, want)
	}
}

// one is any of the rings.
func (w *world) one(t *rapid.T) *ring {
	return rapid.SampledFrom(w.rings).Draw(t, "ring")
}

// hasMore tells whether there is something that must come.
func (w *world) hasMore() bool {
	for _, r := range w.rings {
		if r.isRead() && len(r.visible(r.read)) > 0 {
			return true
		}
	}
	return false
}

// isQuiet tells whether nothing can come, be it late.
func (w *world) isQuiet() bool {
	for _, r := range w.rings {
		if r.index >= 0 && len(r.visible(r.read)) > 0 {
			return false
		}
	}
	return !w.isFlushed
}

// refused: only a full ring does, and the record is lost.
func (w *world) refused(t *rapid.T, r *ring, err error, size int) {
	wants(t, err, syscall.EAGAIN)
	r.lost++
	w.isFull(t, r, size)
}

// isFull: there is no room for a record. (The last one given back may still take its place.)
func (w *world) isFull(t *rapid.T, r *ring, size int) {
	if from, _ := w.takenFrom(r); r.end()+span(size)-from < ringSize {
		t.Fatalf("refused %d bytes of %d", size, ringSize-(r.end()-from))
	}
}

// takenFrom is where what the ring holds may begin: not before the last record that was given back (one that was
// copied may not be back yet), and not behind the first that is not back.
func (w *world) takenFrom(r *ring) (lowest, highest uint64) {
	first := r.first()
	for _, e := range r.entries[:first] {
		if slices.Contains(w.copied, e) {
			break
		}
		if e.state == there {
			lowest = e.position
		}
	}
	for _, e := range r.entries[first:] {
		if e.state != discarded {
			return lowest, e.position
		}
	}
	return lowest, r.end()
}

// copy notes what Read returned. It goes back with its batch, or when an eighth of the ring was read.
func (w *world) copy(e *entry) {
	e.isBack = true // nothing reads it again
	w.copied = append(w.copied, e)
	bytes := uint64(0)
	for i := len(w.copied) - 1; i >= 0; i-- {
		if bytes += span(w.copied[i].size); bytes >= ringSize/8 {
			w.copied = w.copied[i+1:]
			return
		}
	}
}

// ---- Producers ----

var sizes = rapid.SampledFrom([]int{0, 1, 8, 8, 8, 24, 100, 3000})

func (w *world) Output(t *rapid.T) {
	r := w.one(t)
	flags := rapid.SampledFrom([]uint32{0, 0, 0, ringbuf.NoWakeup, ringbuf.ForceWakeup}).Draw(t, "flags")
	for _, size := range rapid.SliceOfN(sizes, 1, 12).Draw(t, "sizes") {
		w.number++
		if err := r.producer.Output(content(w.number, size), flags); err != nil {
			w.refused(t, r, err, size)
		} else {
			r.wrote(w.number, size, there)
		}
	}
}

func (w *world) OutputBatch(t *rapid.T) {
	r := w.one(t)
	var records [][]byte
	for _, size := range rapid.SliceOfN(sizes, 1, 12).Draw(t, "sizes") {
		w.number++
		records = append(records, content(w.number, size))
	}
	first := w.number - uint64(len(records)) + 1
	n, err := r.producer.OutputBatch(records, 0)
	for i, record := range records[:n] {
		r.wrote(first+uint64(i), len(record), there)
	}
	if n == 0 {
		wants(t, err, syscall.EAGAIN)
	} else {
		must(t, err)
	}
	if n < len(records) { // the others are not lost
		w.isFull(t, r, len(records[n]))
	}
}

func (w *world) Reserve(t *rapid.T) {
	r, size := w.one(t), sizes.Draw(t, "size")
	w.number++
	data, err := r.producer.Reserve(size)
	if err != nil {
		w.refused(t, r, err, size)
		return
	}
	copy(data, content(w.number, size))
	r.wrote(w.number, size, open).data = data
}

func (w *world) Finish(t *rapid.T) {
	r := w.one(t)
	for _, e := range r.entries {
		if e.state == open && rapid.Bool().Draw(t, "this") {
			if rapid.Bool().Draw(t, "submit") {
				must(t, r.producer.Submit(e.data, 0))
				e.state = there
			} else {
				must(t, r.producer.Discard(e.data, 0))
				e.state = discarded
			}
			wants(t, r.producer.Submit(e.data, 0), syscall.EINVAL)
			return
		}
	}
}

// ---- The reader's life ----

func (w *world) isTaken(r *ring) bool { return r.index >= 0 || r.has(w.leases) }

func (w *world) Open(t *rapid.T) {
	if w.reader != nil {
		return
	}
	r := w.one(t)
	var options []ringbuf.Option
	isRelease := rapid.Bool().Draw(t, "release")
	if isRelease {
		options = append(options, ringbuf.WithRelease())
	}
	latency := rapid.SampledFrom([]time.Duration{0, 100 * time.Microsecond, 2 * time.Millisecond}).Draw(t, "latency")
	reader, err := ringbuf.NewReader(r.memory, append(options, ringbuf.WithMaxLatency(latency))...)
	if w.isTaken(r) {
		wants(t, err, syscall.EBUSY)
		return
	}
	must(t, err)
	w.reader, w.isRelease = reader, isRelease
	r.index, r.read = 0, r.first()
	for range len(w.rings) - 1 {
		w.Add(t)
	}
}

// MayClose closes seldom: most calls need a reader, and rapid prefers those with the first names.
func (w *world) MayClose(t *rapid.T) {
	if rapid.IntRange(0, 3).Draw(t, "closes") == 3 {
		w.Close(t)
	}
}

// Close also ends a wait in another goroutine.
func (w *world) Close(t *rapid.T) {
	if w.reader == nil {
		return
	}
	result := make(chan error, 1)
	reader := w.reader
	waits := w.isQuiet() && rapid.Bool().Draw(t, "waits")
	if waits {
		reader.SetDeadline(time.Time{})
		go func() {
			var record ringbuf.Record
			result <- reader.ReadZeroCopy(&record)
		}()
		if rapid.Bool().Draw(t, "later") {
			time.Sleep(100 * time.Microsecond)
		}
	}
	must(t, w.reader.Close())
	must(t, w.reader.Close())
	if waits {
		select {
		case err := <-result:
			wants(t, err, ringbuf.ErrClosed)
		case <-time.After(watchdog):
			t.Fatal("a read goes on after Close")
		}
	}
	_, err := w.reader.Read()
	wants(t, err, ringbuf.ErrClosed)
	wants(t, w.reader.Flush(), ringbuf.ErrClosed)
	_, err = w.reader.Snapshot(0)
	wants(t, err, ringbuf.ErrClosed)
	w.lent, w.copied, w.reader, w.isFlushed = nil, nil, nil, false
	for _, r := range w.rings {
		w.left(r)
	}
}

// left: the reader does not have the ring any more. Once nothing is held, the next one begins with what is not back.
func (w *world) left(r *ring) {
	r.index, r.isLeaving = -1, false
	if !r.has(w.leases) {
		r.read = r.first()
	}
}

func (w *world) Flush(t *rapid.T) {
	if w.reader != nil {
		must(t, w.reader.Flush())
		w.isFlushed = true
		for _, r := range w.rings {
			r.flushEnd = len(r.entries)
		}
	}
}

// ---- Reading ----

// next is the record of this ring that must come next.
func (w *world) next(t *rapid.T, index int, position uint64) *entry {
	for _, r := range w.rings {
		if r.index != index {
			continue
		}
		visible := r.visible(r.read)
		if len(visible) == 0 || visible[0].position != position {
			t.Fatalf("a record at %d of ring %d instead of the next one of %d", position, index, len(visible))
		}
		if r.isLeaving && position >= r.fetched {
			t.Fatalf("a record at %d of ring %d, which was removed at %d", position, index, r.fetched)
		}
		r.read = r.byPos[position] + 1
		return visible[0]
	}
	t.Fatalf("a record of ring %d, which is not there", index)
	return nil
}

// none is a read that gave an error: none of those that must come.
func (w *world) none(t *rapid.T, err error) {
	w.copied = nil
	switch {
	case errors.Is(err, ringbuf.ErrFlushed):
		for _, r := range w.rings {
			left := r.visible(r.read)
			if !w.isFlushed || r.isRead() && len(left) > 0 && r.byPos[left[0].position] < r.flushEnd {
				t.Fatalf("flushed, and %d of ring %d are left", len(left), r.index)
			}
		}
		w.isFlushed = false
	case errors.Is(err, os.ErrDeadlineExceeded):
		if w.hasMore() || w.isFlushed {
			t.Fatal("there are records, or the answer of a flush, that did not come")
		}
	default:
		t.Fatal(err)
	}
}

func (w *world) Read(t *rapid.T) {
	if w.reader == nil {
		return
	}
	way := rapid.SampledFrom([]string{"Read", "ReadZeroCopy", "ReadBatch", "ReadSpan", "Records"}).Draw(t, "way")
	most := rapid.IntRange(1, 20).Draw(t, "most")
	// As long as something must come: without a deadline, or rather one that is a fault.
	deadline := time.Now()
	if w.hasMore() || w.isFlushed {
		deadline = deadline.Add(watchdog)
	}
	w.reader.SetDeadline(deadline)
	ctx, cancel := within(t)
	defer cancel()
	if len(w.lent) > 0 && way != "Records" {
		w.mayReadOn() // what is held keeps removed rings
		defer w.noteFetched()
	}
	defer w.leave(t)
	switch way {
	case "Read":
		record, err := w.reader.ReadContext(ctx)
		if err != nil {
			w.noneWithin(ctx, t, err)
			return
		}
		e := w.next(t, record.Ring(), record.Position())
		e.is(t, record.RawSample)
		switch {
		case w.isRelease:
			e.isBack = true
		case len(w.lent) == 0:
			w.copy(e)
		default:
			w.lent = append(w.lent, held{entry: e})
		}
	case "ReadZeroCopy":
		records := make([]ringbuf.Record, 1)
		err := w.reader.ReadZeroCopyContext(ctx, &records[0])
		w.borrowedWithin(ctx, t, records, err)
	case "ReadBatch":
		records := make([]ringbuf.Record, most)
		n, err := w.reader.ReadBatchContext(ctx, records)
		w.borrowedWithin(ctx, t, records[:n], err)
	case "ReadSpan":
		span, err := w.reader.ReadSpanContext(ctx, most)
		var records []ringbuf.Record
		for i := range span.Count {
			records = append(records, span.Record(i))
		}
		w.borrowedWithin(ctx, t, records, err)
	case "Records":
		w.records(t, most)
	}
}

// within is a context: none at all, one that lasts, one that is done soon, or already.
func within(t *rapid.T) (context.Context, context.CancelFunc) {
	kind := rapid.SampledFrom([]string{"none", "none", "lasting", "soon", "done"}).Draw(t, "context")
	if kind == "none" {
		return context.Background(), func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	switch kind {
	case "soon":
		time.AfterFunc(time.Duration(rapid.IntRange(0, 100).Draw(t, "us"))*time.Microsecond, cancel)
	case "done":
		cancel()
	}
	return ctx, cancel
}

// noneWithin is none, or a read that its context ended: then all comes with the next.
func (w *world) noneWithin(ctx context.Context, t *rapid.T, err error) {
	if ctx.Err() == nil || !errors.Is(err, context.Canceled) {
		w.none(t, err)
	}
}

func (w *world) borrowedWithin(ctx context.Context, t *rapid.T, records []ringbuf.Record, err error) {
	if err != nil {
		w.noneWithin(ctx, t, err)
		return
	}
	w.borrowed(t, records, nil)
}

func (w *world) borrowed(t *rapid.T, records []ringbuf.Record, err error) {
	if err != nil {
		w.none(t, err)
		return
	}
	w.copied = nil // what was copied before goes back by itself
	for _, record := range records {
		e := w.next(t, record.Ring(), record.Position())
		e.is(t, record.RawSample)
		if w.isRelease {
			w.leases = append(w.leases, held{entry: e, record: record, reader: w.reader})
		} else {
			w.lent = append(w.lent, held{entry: e, record: record})
		}
	}
}

// records loops until the deadline, or leaves before; another goroutine may cancel it.
func (w *world) records(t *rapid.T, most int) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	w.reader.SetDeadline(time.Time{})
	if !w.hasMore() && !w.isFlushed {
		time.AfterFunc(100*time.Microsecond, cancel)
	}
	seen := 0
	for record := range w.reader.Records(ctx) {
		w.borrowed(t, []ringbuf.Record{record}, nil)
		if seen++; seen == most {
			break
		}
		if !w.hasMore() && !w.isFlushed {
			cancel()
		}
	}
	err := w.reader.Err()
	switch {
	case err == nil && seen == most:
	case errors.Is(err, context.Canceled):
	default:
		w.none(t, err)
	}
	w.givenBack() // the loop gives back what it has seen
}

func (w *world) givenBack() {
	for _, h := range w.lent {
		h.entry.isBack = true
	}
	w.lent, w.copied = nil, nil
}

func (w *world) Commit(t *rapid.T) {
	switch {
	case w.reader == nil:
	case w.isRelease:
		wants(t, w.reader.Commit(), syscall.EINVAL)
	case rapid.Bool().Draw(t, "now"):
		must(t, w.reader.CommitNow())
		w.givenBack()
	case len(w.lent) > 0 && rapid.Bool().Draw(t, "some"):
		i := rapid.IntRange(0, len(w.lent)-1).Draw(t, "to")
		if w.lent[i].record.RawSample == nil {
			return // a copy
		}
		must(t, w.reader.CommitTo(&w.lent[i].record))
		for _, h := range w.lent[:i+1] {
			h.entry.isBack = true
		}
		w.lent = w.lent[i+1:]
	default:
		must(t, w.reader.Commit())
		w.givenBack()
	}
}

// Release gives back leases in any order, by several goroutines, also of readers that are closed.
func (w *world) Release(t *rapid.T) {
	var some, rest []held
	for _, h := range w.leases {
		if rapid.Bool().Draw(t, "this") {
			some = append(some, h)
		} else {
			rest = append(rest, h)
		}
	}
	var all sync.WaitGroup
	failed := make(chan error, len(some))
	for _, h := range some {
		h.entry.is(t, h.record.RawSample)
		all.Add(1)
		go func() {
			defer all.Done()
			failed <- h.reader.Release(h.record)
		}()
	}
	all.Wait()
	close(failed)
	for err := range failed {
		must(t, err)
	}
	for _, h := range some {
		h.entry.isBack = true
	}
	w.leases = rest
	for _, r := range w.rings {
		if r.index < 0 {
			w.left(r)
		}
	}
}

// ---- Snapshots and taps ----

func (w *world) Snapshot(t *rapid.T) {
	if w.reader == nil {
		return
	}
	s := snapshot{Snapshot: new(ringbuf.Snapshot)}
	if len(w.snapshots) > 0 && rapid.Bool().Draw(t, "into") {
		s, w.snapshots = w.snapshots[0], w.snapshots[1:]
	}
	r := w.one(t)
	err := w.reader.SnapshotInto(r.index, s.Snapshot)
	if !r.isRead() {
		wants(t, err, syscall.EINVAL)
		s.Close()
		return
	}
	must(t, err)
	s.entries = r.visible(r.first())
	if rapid.Bool().Draw(t, "file") {
		var file bytes.Buffer
		_, err := s.WriteTo(&file)
		must(t, err)
		loaded, err := ringbuf.ReadSnapshot(&file)
		must(t, err)
		s.Snapshot.Close()
		s.Snapshot = loaded
	}
	w.snapshots = append(w.snapshots, s)
	if len(w.snapshots) > 2 {
		w.snapshots[0].Close()
		w.snapshots = w.snapshots[1:]
	}
}

func (w *world) Tap(t *rapid.T) {
	r := w.one(t)
	if r.tap == nil {
		tap, err := ringbuf.NewReader(r.memory, ringbuf.WithTap())
		must(t, err)
		r.tap, r.tapped = tap, 0
	}
	r.tap.SetDeadline(time.Now())
	records := make([]ringbuf.Record, 8)
	n, err := r.tap.ReadBatch(records)
	if err != nil {
		wants(t, err, os.ErrDeadlineExceeded)
	}
	for _, record := range records[:n] {
		i := r.byPos[record.Position()]
		if i < r.tapped || r.entries[i].state != there {
			t.Fatalf("the tap sees record %d after %d", i, r.tapped)
		}
		r.entries[i].is(t, record.RawSample)
		r.tapped = i + 1
	}
	must(t, r.tap.Commit())
	if rapid.Bool().Draw(t, "close") {
		must(t, r.tap.Close())
		r.tap = nil
	}
}

// ---- What is always so ----

func (w *world) Check(t *rapid.T) {
	w.leave(t)
	for _, h := range append(w.lent, w.leases...) {
		if h.record.RawSample != nil {
			h.entry.is(t, h.record.RawSample)
			h.isSame(t)
		}
	}
	for _, s := range w.snapshots {
		s.has(t)
	}
}

// close lets go of what a run that failed has open.
func (w *world) close() {
	for _, h := range w.leases {
		h.reader.Release(h.record)
	}
	if w.reader != nil {
		w.reader.Close()
	}
	for _, s := range w.snapshots {
		s.Close()
	}
	for _, r := range w.rings {
		if r.tap != nil {
			r.tap.Close()
		}
		r.producer.Close()
		r.memory.Close()
	}
}

// finish: each record comes once, to somebody; the rest to a last reader, and nothing keeps the ring.
func (w *world) finish(t *rapid.T) {
	for _, r := range w.rings {
		for _, e := range r.entries {
			if e.state == open {
				must(t, r.producer.Discard(e.data, 0))
				e.state = discarded
			}
		}
	}
	w.Close(t)
	for _, h := range w.leases {
		must(t, h.reader.Release(h.record))
		h.entry.isBack = true
	}
	for _, r := range w.rings {
		r.finish(t)
	}
	for _, s := range w.snapshots {
		s.Close()
	}
	runtime.KeepAlive(w)
}

func TestRandomCalls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dog := time.AfterFunc(3*watchdog, func() { panic("a call hangs") })
		defer dog.Stop()
		w := new(world)
		t.Cleanup(w.close) // a run that fails is run a thousand times, to be made shorter
		for range rapid.IntRange(1, 3).Draw(t, "rings") {
			w.rings = append(w.rings, newRing(t))
		}
		w.Open(t)
		t.Repeat(map[string]func(*rapid.T){
			"Output": w.Output, "OutputBatch": w.OutputBatch, "Reserve": w.Reserve, "Finish": w.Finish,
			"Open": w.Open, "Close": w.MayClose, "Add": w.Add, "Remove": w.Remove, "Flush": w.Flush,
			"Read": w.Read, "ReadMore": w.Read, "Commit": w.Commit, "Release": w.Release, "Snapshot": w.Snapshot,
			"Describe": w.Describe, "Tap": w.Tap, "Look": w.Look, "": w.Check,
		})
		w.finish(t)
	})
}
