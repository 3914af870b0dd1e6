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
}

type snapshot struct {
	*ringbuf.Snapshot
	entries []*entry
}

type world struct {
	ring      *ringbuf.MemoryRing
	producer  *ringbuf.Producer
	entries   []*entry
	byPos     map[uint64]int
	number    uint64
	reader    *ringbuf.Reader
	isRelease bool
	read      int // all before this one were handed out or passed
	lent      []held
	leases    []held   // of readers WithRelease, closed ones among them
	copied    []*entry // by Read: back now or with the rest of what was fetched with them
	isFlushed bool     // Flush was called, and not answered
	flushEnd  int
	snapshots []snapshot
	tap       *ringbuf.Reader
	tapped    int
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

func (w *world) end() uint64 {
	if len(w.entries) == 0 {
		return 0
	}
	return w.entries[len(w.entries)-1].end()
}

func (w *world) first() int {
	for i := range w.read {
		if e := w.entries[i]; !e.isBack && e.state != discarded {
			return i
		}
	}
	return w.read
}

// visible are those that can be read from there on.
func (w *world) visible(from int) []*entry {
	var found []*entry
	for _, e := range w.entries[from:] {
		if e.state == open {
			break
		}
		if e.state == there {
			found = append(found, e)
		}
	}
	return found
}

func (w *world) wrote(number uint64, size int, s state) *entry {
	e := &entry{number: number, size: size, position: w.end(), state: s}
	w.byPos[e.position] = len(w.entries)
	w.entries = append(w.entries, e)
	return e
}

// refused: only a full ring does. (The last record given back may still take its place.)
func (w *world) refused(t *rapid.T, err error, size int) {
	wants(t, err, syscall.EAGAIN)
	from := uint64(0)
	for _, e := range w.entries[:w.first()] {
		if e.state == there {
			from = e.position
		}
	}
	if len(w.copied) > 0 {
		from = min(from, w.copied[0].position)
	}
	if w.end()+span(size)-from < ringSize {
		t.Fatalf("refused %d bytes of %d", size, ringSize-(w.end()-from))
	}
}

// ---- Producers ----

var sizes = rapid.SampledFrom([]int{0, 1, 8, 8, 8, 24, 100, 3000})

func (w *world) Output(t *rapid.T) {
	flags := rapid.SampledFrom([]uint32{0, 0, 0, ringbuf.NoWakeup, ringbuf.ForceWakeup}).Draw(t, "flags")
	for _, size := range rapid.SliceOfN(sizes, 1, 12).Draw(t, "sizes") {
		w.number++
		if err := w.producer.Output(content(w.number, size), flags); err != nil {
			w.refused(t, err, size)
		} else {
			w.wrote(w.number, size, there)
		}
	}
}

func (w *world) OutputBatch(t *rapid.T) {
	var records [][]byte
	for _, size := range rapid.SliceOfN(sizes, 1, 12).Draw(t, "sizes") {
		w.number++
		records = append(records, content(w.number, size))
	}
	first := w.number - uint64(len(records)) + 1
	n, err := w.producer.OutputBatch(records, 0)
	for i, record := range records[:n] {
		w.wrote(first+uint64(i), len(record), there)
	}
	if n < len(records) {
		if err == nil {
			err = syscall.EAGAIN
		}
		w.refused(t, err, len(records[n]))
	}
}

func (w *world) Reserve(t *rapid.T) {
	size := sizes.Draw(t, "size")
	w.number++
	data, err := w.producer.Reserve(size)
	if err != nil {
		w.refused(t, err, size)
		return
	}
	copy(data, content(w.number, size))
	w.wrote(w.number, size, open).data = data
}

func (w *world) Finish(t *rapid.T) {
	for _, e := range w.entries {
		if e.state == open && rapid.Bool().Draw(t, "this") {
			if rapid.Bool().Draw(t, "submit") {
				must(t, w.producer.Submit(e.data, 0))
				e.state = there
			} else {
				must(t, w.producer.Discard(e.data, 0))
				e.state = discarded
			}
			wants(t, w.producer.Submit(e.data, 0), syscall.EINVAL)
			return
		}
	}
}

// ---- The reader's life ----

func (w *world) isTaken() bool { return w.reader != nil || len(w.leases) > 0 }

func (w *world) Open(t *rapid.T) {
	var options []ringbuf.Option
	isRelease := rapid.Bool().Draw(t, "release")
	if isRelease {
		options = append(options, ringbuf.WithRelease())
	}
	latency := rapid.SampledFrom([]time.Duration{0, 100 * time.Microsecond, 2 * time.Millisecond}).Draw(t, "latency")
	reader, err := ringbuf.NewReader(w.ring, append(options, ringbuf.WithMaxLatency(latency))...)
	if w.isTaken() {
		wants(t, err, syscall.EBUSY)
		return
	}
	must(t, err)
	w.reader, w.isRelease = reader, isRelease
	w.read = w.first()
}

// Close also ends a wait in another goroutine.
func (w *world) Close(t *rapid.T) {
	if w.reader == nil {
		return
	}
	result := make(chan error, 1)
	reader := w.reader
	waits := len(w.visible(w.read)) == 0 && !w.isFlushed && rapid.Bool().Draw(t, "waits")
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
	if len(w.leases) == 0 {
		w.read = w.first()
	}
}

func (w *world) Flush(t *rapid.T) {
	if w.reader != nil {
		must(t, w.reader.Flush())
		w.isFlushed, w.flushEnd = true, len(w.entries)
	}
}

// ---- Reading ----

// next is the record that must come next.
func (w *world) next(t *rapid.T, position uint64) *entry {
	visible := w.visible(w.read)
	if len(visible) == 0 || visible[0].position != position {
		t.Fatalf("a record at %d instead of the next one of %d", position, len(visible))
	}
	w.read = w.byPos[position] + 1
	return visible[0]
}

// none is a read that gave an error: none of those that must come.
func (w *world) none(t *rapid.T, err error) {
	left := w.visible(w.read)
	w.copied = nil
	switch {
	case errors.Is(err, ringbuf.ErrFlushed):
		if !w.isFlushed || len(left) > 0 && w.byPos[left[0].position] < w.flushEnd {
			t.Fatalf("flushed, and %d are left", len(left))
		}
		w.isFlushed = false
	case errors.Is(err, os.ErrDeadlineExceeded):
		if len(left) > 0 {
			t.Fatalf("%d records did not come", len(left))
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
	if len(w.visible(w.read)) > 0 || w.isFlushed {
		deadline = deadline.Add(watchdog)
	}
	w.reader.SetDeadline(deadline)
	ctx, cancel := within(t)
	defer cancel()
	switch way {
	case "Read":
		record, err := w.reader.ReadContext(ctx)
		if err != nil {
			w.noneWithin(ctx, t, err)
			return
		}
		e := w.next(t, record.Position())
		e.is(t, record.RawSample)
		switch {
		case w.isRelease:
			e.isBack = true
		case len(w.lent) == 0:
			e.isBack = true // nothing reads it again
			w.copied = append(w.copied, e)
			if e.end()-w.copied[0].position >= ringSize/8 {
				w.copied = nil
			}
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
		e := w.next(t, record.Position())
		e.is(t, record.RawSample)
		if w.isRelease {
			w.leases = append(w.leases, held{e, record, w.reader})
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
	if len(w.visible(w.read)) == 0 && !w.isFlushed {
		time.AfterFunc(100*time.Microsecond, cancel)
	}
	seen := 0
	for record := range w.reader.Records(ctx) {
		w.borrowed(t, []ringbuf.Record{record}, nil)
		if seen++; seen == most {
			break
		}
		if len(w.visible(w.read)) == 0 && !w.isFlushed {
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
	if len(rest) == 0 && w.reader == nil {
		w.read = w.first()
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
	must(t, w.reader.SnapshotInto(0, s.Snapshot))
	s.entries = w.visible(w.first())
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
	if w.tap == nil {
		tap, err := ringbuf.NewReader(w.ring, ringbuf.WithTap())
		must(t, err)
		w.tap, w.tapped = tap, 0
	}
	w.tap.SetDeadline(time.Now())
	records := make([]ringbuf.Record, 8)
	n, err := w.tap.ReadBatch(records)
	if err != nil {
		wants(t, err, os.ErrDeadlineExceeded)
	}
	for _, record := range records[:n] {
		i := w.byPos[record.Position()]
		if i < w.tapped || w.entries[i].state != there {
			t.Fatalf("the tap sees record %d after %d", i, w.tapped)
		}
		w.entries[i].is(t, record.RawSample)
		w.tapped = i + 1
	}
	must(t, w.tap.Commit())
	if rapid.Bool().Draw(t, "close") {
		must(t, w.tap.Close())
		w.tap = nil
	}
}

// ---- What is always so ----

func (w *world) Check(t *rapid.T) {
	for _, h := range append(w.lent, w.leases...) {
		if h.record.RawSample != nil {
			h.entry.is(t, h.record.RawSample)
		}
	}
	for _, s := range w.snapshots {
		i := 0
		for record := range s.Records() {
			if i >= len(s.entries) || record.Position() != s.entries[i].position {
				t.Fatalf("record %d of a snapshot is at %d", i, record.Position())
			}
			s.entries[i].is(t, record.RawSample)
			i++
		}
		if i != len(s.entries) || s.Err() != nil {
			t.Fatalf("%d of %d records in a snapshot: %v", i, len(s.entries), s.Err())
		}
	}
}

// close lets go of what a run that failed has open.
func (w *world) close() {
	for _, h := range w.leases {
		h.reader.Release(h.record)
	}
	for _, reader := range []*ringbuf.Reader{w.reader, w.tap} {
		if reader != nil {
			reader.Close()
		}
	}
	for _, s := range w.snapshots {
		s.Close()
	}
	w.producer.Close()
	w.ring.Close()
}

// finish: each record comes once, to somebody; the rest to a last reader, and nothing keeps the ring.
func (w *world) finish(t *rapid.T) {
	for _, e := range w.entries {
		if e.state == open {
			must(t, w.producer.Discard(e.data, 0))
			e.state = discarded
		}
	}
	w.Close(t)
	for _, h := range w.leases {
		must(t, h.reader.Release(h.record))
		h.entry.isBack = true
	}
	if w.tap != nil {
		must(t, w.tap.Close())
	}
	last, err := ringbuf.NewReader(w.ring)
	must(t, err)
	last.SetDeadline(time.Now())
	left := w.visible(w.first())
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
	for _, s := range w.snapshots {
		s.Close()
	}
	must(t, w.producer.Close())
	must(t, w.ring.Close())
	runtime.KeepAlive(w)
}

func TestRandomCalls(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dog := time.AfterFunc(3*watchdog, func() { panic("a call hangs") })
		defer dog.Stop()
		ring, err := ringbuf.NewMemoryRing(ringSize)
		must(t, err)
		producer, err := ringbuf.NewProducer(ring)
		must(t, err)
		w := &world{ring: ring, producer: producer, byPos: map[uint64]int{}}
		t.Cleanup(w.close) // a run that fails is run a thousand times, to be made shorter
		t.Repeat(map[string]func(*rapid.T){
			"Output": w.Output, "OutputBatch": w.OutputBatch, "Reserve": w.Reserve, "Finish": w.Finish,
			"Open": w.Open, "Close": w.Close, "Flush": w.Flush, "Read": w.Read, "ReadMore": w.Read,
			"Commit": w.Commit, "Release": w.Release, "Snapshot": w.Snapshot, "Tap": w.Tap, "": w.Check,
		})
		w.finish(t)
	})
}
