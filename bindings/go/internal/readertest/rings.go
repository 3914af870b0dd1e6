//go:build linux && cgo

// SPDX-License-Identifier: MIT

package readertest

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// Record i of a ring has this number, so that each number is there once.
func ofRing(ring int, i uint64) uint64 {
	return uint64(ring)<<32 + i
}

// A reader of several rings, of which the first has the index 0.
func several(t testing.TB, newSource Maker, rings, size int, options ...ringbuf.Option) ([]Source, *ringbuf.Reader) {
	t.Helper()
	sources := []Source{newSource(t, size)}
	reader := open(t, sources[0], options...)
	for ring := 1; ring < rings; ring++ {
		sources = append(sources, newSource(t, size))
		added(t, reader, sources[ring], ring)
	}
	return sources, reader
}

func added(t testing.TB, reader *ringbuf.Reader, source Source, want int, options ...ringbuf.RingOption) {
	t.Helper()
	index, err := reader.Add(source, options...)
	must(t, err)
	equal(t, "index", index, want)
}

func hasRings(t testing.TB, reader *ringbuf.Reader, want ...int) {
	t.Helper()
	if rings := slices.Collect(reader.Rings()); !slices.Equal(rings, want) {
		t.Fatalf("the rings %v instead of %v", rings, want)
	}
}

// The ring has a reader.
func isTaken(t testing.TB, source Source) {
	t.Helper()
	_, err := ringbuf.NewReader(source)
	wants(t, err, syscall.EBUSY)
}

// The ring has no reader, and these records for the next one.
func isFree(t testing.TB, source Source, numbers ...uint64) {
	t.Helper()
	reader := open(t, source)
	readIs(t, reader, numbers...)
	isEmpty(t, reader)
	must(t, reader.Close())
}

// Each way to read, which hands each record to use.
var ways = map[string]func(reader *ringbuf.Reader, most int, use func(*ringbuf.Record)) error{
	"ReadInto": func(reader *ringbuf.Reader, _ int, use func(*ringbuf.Record)) error {
		var record ringbuf.Record
		err := reader.ReadInto(&record)
		if err == nil {
			use(&record)
		}
		return err
	},
	"ReadZeroCopy": func(reader *ringbuf.Reader, _ int, use func(*ringbuf.Record)) error {
		var record ringbuf.Record
		err := reader.ReadZeroCopy(&record)
		if err == nil {
			use(&record)
		}
		return err
	},
	"ReadBatch": func(reader *ringbuf.Reader, most int, use func(*ringbuf.Record)) error {
		records := make([]ringbuf.Record, most)
		n, err := reader.ReadBatch(records)
		for i := range records[:n] {
			use(&records[i])
		}
		return err
	},
	"ReadSpan": func(reader *ringbuf.Reader, most int, use func(*ringbuf.Record)) error {
		span, err := reader.ReadSpan(most)
		for i := range span.Count {
			record := span.Record(i)
			use(&record)
		}
		return err
	},
}

// What is expected of several rings: their records, each in its ring's order.
type expected struct {
	next []uint64 // by ring
	left uint64
}

func (e *expected) use(t testing.TB, record *ringbuf.Record) {
	t.Helper()
	ring := record.Ring()
	is(t, record, ofRing(ring, e.next[ring]))
	e.next[ring]++
	e.left--
}

func produceTo(sources []Source, each uint64) error {
	next := make([]uint64, len(sources))
	for left := each * uint64(len(sources)); left > 0; {
		ring := rand.IntN(len(sources))
		if next[ring] == each {
			continue
		}
		done, err := sources[ring].Produce(numbered(ofRing(ring, next[ring]), 8+int(next[ring]%40)), 0)
		if err != nil {
			return err
		}
		if !done {
			time.Sleep(50 * time.Microsecond)
			continue
		}
		next[ring]++
		left--
	}
	return nil
}

// All records of all rings come once and in their ring's order, whatever reads them, with rings full and empty.
func ringsOfMany(t *testing.T, newSource Maker) {
	const each = 4000
	for name, options := range map[string][]ringbuf.Option{
		"default": nil, "armed": {ringbuf.WithMaxLatency(0)}, "polling": {ringbuf.WithPolling()},
		"release": {ringbuf.WithRelease()},
	} {
		t.Run(name, func(t *testing.T) {
			sources, reader := several(t, newSource, 5, ringSize/4, options...)
			result := make(chan error, 1)
			go func() { result <- produceTo(sources, each) }()
			all := expected{make([]uint64, len(sources)), each * uint64(len(sources))}
			var held []ringbuf.Record
			use := func(record *ringbuf.Record) {
				all.use(t, record)
				held = append(held, *record)
			}
			for all.left > 0 {
				for name, read := range ways {
					if all.left == 0 {
						break
					}
					must(t, read(reader, 1+rand.IntN(300), use))
					if name == "ReadInto" {
						held = held[:len(held)-1]
					}
				}
				if name == "release" {
					rand.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
					must(t, reader.Release(held...))
				} else {
					must(t, reader.Commit())
				}
				held = held[:0]
			}
			must(t, <-result)
			isEmpty(t, reader)
			for ring := range sources {
				stats, err := reader.RingStats(ring)
				must(t, err)
				equal(t, "records of the ring", stats.Records, each)
				equal(t, "given back", stats.UserPos, stats.ProducerPos)
			}
		})
	}
}

func ringsInALoop(t *testing.T, newSource Maker) {
	const each = 4000
	sources, reader := several(t, newSource, 3, ringSize/4)
	result := make(chan error, 1)
	go func() {
		err := produceTo(sources, each)
		reader.Flush()
		result <- err
	}()
	all := expected{make([]uint64, len(sources)), each * uint64(len(sources))}
	for record := range reader.Records(t.Context()) {
		all.use(t, &record)
	}
	wants(t, reader.Err(), ringbuf.ErrFlushed)
	equal(t, "left", all.left, 0)
	must(t, <-result)
}

// Between two turns of a ring each other ring with records has one, and a turn has as many records as are fetched at
// once. (Two turns that follow each other would be a long one.)
func ringsTakeTurns(t *testing.T, newSource Maker) {
	const rings, most, each = 40, 256, 300
	for name, read := range ways {
		t.Run(name, func(t *testing.T) {
			sources, reader := several(t, newSource, rings, ringSize)
			for ring, source := range sources {
				for i := range uint64(each) {
					produce(t, source, ofRing(ring, i))
				}
			}
			must(t, reader.Flush()) // it looks at all rings: those that were idle are known from the first turn on
			all := expected{make([]uint64, rings), each * rings}
			turns, length := make([]int, rings), 0
			ring := -1
			for all.left > 0 {
				must(t, read(reader, 1+rand.IntN(most), func(record *ringbuf.Record) {
					all.use(t, record)
					length++
					if record.Ring() == ring {
						return
					}
					ring, length = record.Ring(), 1
					turns[ring]++
					for other := range rings {
						if all.next[other] < each && turns[other]+1 < turns[ring] {
							t.Fatalf("turn %d of ring %d, but %d of ring %d", turns[ring], ring, turns[other], other)
						}
					}
				}))
				if length > most {
					t.Fatalf("a turn of %d records", length)
				}
				must(t, reader.Commit())
			}
		})
	}
}

// A read that waits sees a ring that is added, and what is in it already.
func addWhileBlocked(t *testing.T, newSource Maker) {
	for name, options := range map[string][]ringbuf.Option{
		"default": nil, "armed": {ringbuf.WithMaxLatency(0)}, "release": {ringbuf.WithRelease()},
	} {
		t.Run(name, func(t *testing.T) {
			_, reader := both(t, newSource, options...)
			second, third := newSource(t, ringSize), newSource(t, ringSize)
			result := blocked(reader)
			added(t, reader, second, 1)
			produce(t, second, 7)
			must(t, <-result)
			produce(t, third, 8)
			other := open(t, third) // which hears the wakeup, and gives nothing back
			viewIs(t, other, 8)
			isEmpty(t, other)
			must(t, other.Close())
			result = blocked(reader)
			added(t, reader, third, 2)
			must(t, <-result)
			isEmpty(t, reader)
		})
	}
}

func addOptions(t *testing.T, newSource Maker) {
	first, reader := both(t, newSource)
	second, tapped := newSource(t, ringSize), newSource(t, ringSize)
	produce(t, second, 1, 2)
	added(t, reader, second, 1, ringbuf.WithLatest())
	other := open(t, tapped)
	added(t, reader, tapped, 2, ringbuf.WithTap())
	produce(t, second, 3)
	readIs(t, reader, 3)
	produce(t, tapped, 4)
	readIs(t, reader, 4)
	readIs(t, other, 4)
	for ring, want := range map[int]uint64{0: 0, 1: 2, 2: 0} {
		stats, err := reader.RingStats(ring)
		must(t, err)
		equal(t, "skipped", stats.Skipped, want)
	}
	produce(t, first, 5)
	readIs(t, reader, 5)
}

func addErrors(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	fails := func(want error, ring ringbuf.Ring, options ...ringbuf.RingOption) {
		t.Helper()
		index, err := reader.Add(ring, options...)
		wants(t, err, want)
		equal(t, "index", index, -1)
	}
	fails(syscall.EBUSY, source)
	fails(syscall.EINVAL, nil)
	second := newSource(t, ringSize)
	fails(syscall.EINVAL, second, nil)
	fails(syscall.EINVAL, second, ringbuf.WithLossMap(nil))
	fails(syscall.EMEDIUMTYPE, second, ringbuf.WithOverwrite())
	hasRings(t, reader, 0)
	isFree(t, second) // nothing is left of what failed
	must(t, reader.Close())
	fails(ringbuf.ErrClosed, second)
	wants(t, reader.Remove(0), ringbuf.ErrClosed)
	_, err := reader.RingStats(0)
	wants(t, err, ringbuf.ErrClosed)
	hasRings(t, reader)
}

// A ring without held records leaves at once. What was not read stays in it.
func removeOfIdle(t *testing.T, newSource Maker) {
	for name, options := range map[string][]ringbuf.Option{"": nil, "release": {ringbuf.WithRelease()}} {
		t.Run(name, func(t *testing.T) {
			sources, reader := several(t, newSource, 3, ringSize, options...)
			produce(t, sources[1], 1)
			readIs(t, reader, 1)
			produce(t, sources[1], 2, 3)
			must(t, reader.Remove(1))
			hasRings(t, reader, 0, 2)
			isFree(t, sources[1], 2, 3)
			for _, ring := range []int{1, 3, -1, 1 << 16, math.MaxInt} {
				wants(t, reader.Remove(ring), syscall.EINVAL)
				_, err := reader.RingStats(ring)
				wants(t, err, syscall.EINVAL)
				_, err = reader.Snapshot(ring)
				wants(t, err, syscall.EINVAL)
			}
			added(t, reader, sources[1], 3) // not the index that it had
			for _, ring := range []int{0, 2} {
				must(t, reader.Remove(ring))
			}
			produce(t, sources[1], 4)
			produce(t, sources[0], 5)
			readIs(t, reader, 4)
			must(t, reader.Remove(3))
			hasRings(t, reader)
			isEmpty(t, reader) // without rings it waits
			result := blocked(reader)
			added(t, reader, sources[0], 4)
			must(t, <-result)
			stats, err := reader.Stats()
			must(t, err)
			equal(t, "records, with those of removed rings", stats.Records, 3)
			equal(t, "rings", stats.Rings, 1)
		})
	}
}

// With records held the ring leaves when they are given back. They stay valid until then.
func removeOfHeld(t *testing.T, newSource Maker) {
	sources, reader := several(t, newSource, 2, ringSize)
	produce(t, sources[1], 1, 2)
	var records [2]ringbuf.Record
	must(t, reader.ReadZeroCopy(&records[0]))
	must(t, reader.ReadZeroCopy(&records[1]))
	must(t, reader.Remove(1))
	hasRings(t, reader, 0)
	wants(t, reader.Remove(1), syscall.EINVAL)
	_, err := reader.Snapshot(1)
	wants(t, err, syscall.EINVAL)
	produce(t, sources[1], 3)
	must(t, reader.CommitTo(&records[0]))
	is(t, &records[1], 2)
	isTaken(t, sources[1])
	stats, err := reader.RingStats(1)
	must(t, err)
	equal(t, "given back", stats.UserPos, 32)
	must(t, reader.CommitTo(&records[1]))
	_, err = reader.RingStats(1)
	wants(t, err, syscall.EINVAL)
	isFree(t, sources[1], 3)
	wants(t, reader.CommitTo(&records[1]), syscall.EINVAL)

	added(t, reader, sources[1], 2)
	produce(t, sources[1], 4)
	must(t, reader.ReadZeroCopy(&records[0]))
	produce(t, sources[0], 5)
	must(t, reader.ReadZeroCopy(&records[1]))
	must(t, reader.Remove(2))
	isTaken(t, sources[1])
	must(t, reader.CommitTo(&records[0])) // the other ring's record behind it stays
	isFree(t, sources[1])
	is(t, &records[1], 5)
	must(t, reader.Close())
	isFree(t, sources[0], 5)
}

// Records that were fetched before Remove come after it, and no others.
func removeOfFetched(t *testing.T, newSource Maker) {
	for name, read := range map[string]func(*ringbuf.Reader) []uint64{
		"Read": func(reader *ringbuf.Reader) (numbers []uint64) {
			for len(numbers) < 5 {
				record, err := reader.Read()
				must(t, err)
				numbers = append(numbers, binary.NativeEndian.Uint64(record.RawSample))
			}
			return numbers
		},
		"Records": func(reader *ringbuf.Reader) (numbers []uint64) {
			for record := range reader.Records(t.Context()) {
				numbers = append(numbers, binary.NativeEndian.Uint64(record.RawSample))
				if len(numbers) == 5 {
					break
				}
			}
			return numbers
		},
	} {
		t.Run(name, func(t *testing.T) {
			sources, reader := several(t, newSource, 2, ringSize)
			produce(t, sources[0], 1, 2)
			produce(t, sources[1], 3, 4)
			readIs(t, reader, 1) // fetches all four
			must(t, reader.Remove(1))
			hasRings(t, reader, 0)
			isTaken(t, sources[1])
			produce(t, sources[1], 5)
			produce(t, sources[0], 6, 7)
			numbers := read(reader)
			if !slices.Equal(numbers, []uint64{2, 3, 4, 6, 7}) {
				t.Fatalf("read %v", numbers)
			}
			isFree(t, sources[1], 5)
		})
	}
}

// Of a releasing reader no record comes after Remove. Those that are held keep the ring.
func removeOfLent(t *testing.T, newSource Maker) {
	sources, reader := several(t, newSource, 3, ringSize, ringbuf.WithRelease())
	produce(t, sources[1], 1, 2, 3)
	produce(t, sources[2], 4)
	records := make([]ringbuf.Record, 2)
	for i := range records {
		for { // what is of the other ring is let go
			must(t, reader.ReadZeroCopy(&records[i]))
			if records[i].Ring() == 1 {
				break
			}
			must(t, reader.Release(records[i]))
		}
	}
	must(t, reader.Remove(1))
	isEmpty(t, reader)
	is(t, &records[0], 1)
	is(t, &records[1], 2)
	isTaken(t, sources[1])
	must(t, reader.Release(records[1]))
	isTaken(t, sources[1])
	is(t, &records[0], 1)
	stats, err := reader.RingStats(1)
	must(t, err)
	equal(t, "given back", stats.UserPos, 0)
	must(t, reader.Release(records[0]))
	_, err = reader.RingStats(1)
	wants(t, err, syscall.EINVAL)
	wants(t, reader.Release(records[0]), syscall.EINVAL)
	isFree(t, sources[1], 3)
	produce(t, sources[0], 5)
	readIs(t, reader, 5)
}

// What a program holds of one ring when it closes keeps that ring alone.
func closeOfRings(t *testing.T, newSource Maker) {
	sources, reader := several(t, newSource, 3, ringSize, ringbuf.WithRelease())
	produce(t, sources[1], 1, 2)
	var record ringbuf.Record
	must(t, reader.ReadZeroCopy(&record))
	must(t, reader.Remove(0))
	must(t, reader.Close())
	isFree(t, sources[0])
	isFree(t, sources[2])
	isTaken(t, sources[1])
	is(t, &record, 1)
	must(t, reader.Release(record))
	wants(t, reader.Release(record), ringbuf.ErrClosed)
	isFree(t, sources[1], 2)

	sources, reader = several(t, newSource, 2, ringSize)
	produce(t, sources[0], 3, 4)
	produce(t, sources[1], 5, 6)
	readIs(t, reader, 3, 4, 5) // copies are given back, of each ring
	must(t, reader.Close())
	isFree(t, sources[0])
	isFree(t, sources[1], 6)

	sources, reader = several(t, newSource, 2, ringSize)
	produce(t, sources[0], 7, 8)
	produce(t, sources[1], 9, 10)
	for record := range reader.Records(t.Context()) {
		if record.Ring() == 1 {
			must(t, reader.Close()) // what the loop went past is given back
		}
	}
	isFree(t, sources[0])
	isFree(t, sources[1], 9, 10)

	sources, reader = several(t, newSource, 2, ringSize)
	produce(t, sources[0], 11, 12)
	produce(t, sources[1], 13)
	for record := range reader.Records(t.Context()) {
		if record.Position() == 32 {
			must(t, reader.CommitTo(&record)) // with what the loop went past
			viewIs(t, reader, 13)
			must(t, reader.Close())
		}
	}
	isFree(t, sources[0])
	isFree(t, sources[1], 13)
}

// Records are given back in the order in which they were handed out, over all rings.
func commitOverRings(t *testing.T, newSource Maker) {
	sources, reader := several(t, newSource, 2, ringSize)
	produce(t, sources[0], 1, 2)
	produce(t, sources[1], 3, 4)
	records := make([]ringbuf.Record, 4)
	n, err := reader.ReadBatch(records)
	must(t, err)
	equal(t, "records", n, 4)
	for i, want := range []struct{ ring, position, remaining int }{{0, 0, 32}, {0, 32, 0}, {1, 0, 32}, {1, 32, 0}} {
		is(t, &records[i], uint64(i+1))
		equal(t, "ring", records[i].Ring(), want.ring)
		equal(t, "position", records[i].Position(), uint64(want.position))
		equal(t, "remaining", records[i].Remaining, want.remaining)
	}
	givenBack := func(want ...uint64) {
		t.Helper()
		for ring, position := range want {
			stats, err := reader.RingStats(ring)
			must(t, err)
			equal(t, "given back", stats.UserPos, position)
		}
	}
	must(t, reader.CommitTo(&records[0]))
	givenBack(32, 0)
	must(t, reader.CommitTo(&records[2]))
	givenBack(64, 32)
	wants(t, reader.CommitTo(&records[1]), syscall.EINVAL)
	must(t, reader.Commit())
	givenBack(64, 64)

	produce(t, sources[0], 5, 6)
	produce(t, sources[1], 7, 8)
	for _, want := range []struct{ ring, first int }{{0, 5}, {1, 7}} {
		span, err := reader.ReadSpan(10)
		must(t, err)
		equal(t, "ring of the span", span.Ring, want.ring)
		equal(t, "records of the span", span.Count, 2)
		record := span.Record(1)
		is(t, &record, uint64(want.first+1))
		equal(t, "ring", record.Ring(), want.ring)
	}
	must(t, reader.CommitNow())
	givenBack(128, 128)
}

// More turns that are not committed than a reader can note are an error, which a commit ends.
func tooManyTurns(t *testing.T, newSource Maker) {
	sources, reader := several(t, newSource, 2, 2*ringSize)
	var record ringbuf.Record
	var err error
	read, written := 0, 0
	for ; err == nil && written < 3000; written += 2 {
		produce(t, sources[0], 0)
		produce(t, sources[1], 1)
		for range sources {
			if err = reader.ReadZeroCopy(&record); err == nil {
				read++
			}
		}
	}
	wants(t, err, syscall.ENOBUFS)
	must(t, reader.Commit())
	for ; read < written; read++ {
		must(t, reader.ReadZeroCopy(&record))
	}
	must(t, reader.Commit())
	isEmpty(t, reader)
}

func flushOfRings(t *testing.T, newSource Maker) {
	sources, reader := several(t, newSource, 3, ringSize)
	for ring, source := range sources[1:] {
		done, err := source.Produce(numbered(uint64(ring), 24), ringbuf.NoWakeup)
		must(t, err)
		equal(t, "produced", done, true)
	}
	result := blocked(reader)
	must(t, reader.Flush())
	must(t, <-result)
	readIs(t, reader, 1)
	_, err := reader.Read()
	wants(t, err, ringbuf.ErrFlushed) // once, for all rings
	isEmpty(t, reader)
}

func sizesOfRings(t *testing.T, newSource Maker) {
	sources, reader := several(t, newSource, 2, ringSize)
	equal(t, "size", reader.BufferSize(), 2*ringSize)
	produce(t, sources[0], 1, 2)
	produce(t, sources[1], 3)
	equal(t, "available", reader.AvailableBytes(), 96)
	readIs(t, reader, 1)
	equal(t, "available", reader.AvailableBytes(), 64)
	produce(t, sources[1], 4)
	equal(t, "available", reader.AvailableBytes(), 96)
	readIs(t, reader, 2, 3)
	must(t, reader.Remove(1)) // with a record in it
	equal(t, "size", reader.BufferSize(), ringSize)
	equal(t, "available", reader.AvailableBytes(), 0)
	isFree(t, sources[1], 4)
}

func snapshotsOfRings(t *testing.T, newSource Maker) {
	sources, reader := several(t, newSource, 2, ringSize)
	produce(t, sources[0], 1)
	produce(t, sources[1], 2, 3)
	first, err := reader.Snapshot(0)
	must(t, err)
	second, err := reader.Snapshot(1)
	must(t, err)
	snapshotIs(t, first, 1)
	snapshotIs(t, second, 2, 3)
	for record := range second.Records() {
		equal(t, "ring", record.Ring(), 1)
	}
	must(t, reader.ConsumeInto(1, second))
	snapshotIs(t, second, 2, 3)
	readIs(t, reader, 1)
	isEmpty(t, reader)
	_, err = reader.Snapshot(2)
	wants(t, err, syscall.EINVAL)
}

// Rings come and go while others are read, by goroutines of their own.
func ringsComeAndGo(t *testing.T, newSource Maker) {
	const rounds, each = 40, 50 // all fit into the ring
	for name, options := range map[string][]ringbuf.Option{"": nil, "release": {ringbuf.WithRelease()}} {
		t.Run(name, func(t *testing.T) {
			steady, reader := both(t, newSource, options...)
			guest := newSource(t, ringSize)
			failed := make(chan error, 2)
			go func() { failed <- produceMany(steady) }()
			go func() {
				err := comeAndGo(reader, guest, rounds, each)
				if err != nil {
					reader.Close() // the records that are read for would not come
				}
				failed <- err
			}()
			next, guests := uint64(0), uint64(0)
			for next < manyRecords || guests < rounds*each {
				record, err := reader.Read()
				if errors.Is(err, ringbuf.ErrClosed) {
					t.Fatal(<-failed)
				}
				must(t, err)
				if record.Ring() == 0 {
					is(t, &record, next)
					next++
				} else {
					is(t, &record, guests)
					guests++
				}
			}
			must(t, errors.Join(<-failed, <-failed))
			isEmpty(t, reader)
			hasRings(t, reader, 0)
		})
	}
}

// The guest is added with half of each round's records, and removed at any moment. So it may have to wait until it
// has left, and what was not read comes in the next round.
func comeAndGo(reader *ringbuf.Reader, guest Source, rounds, each int) error {
	number := uint64(0)
	output := func(count int) error {
		for range count {
			if done, err := guest.Produce(numbered(number, 24), 0); err != nil || !done {
				return errors.Join(err, errors.New("the ring is full"))
			}
			number++
		}
		return nil
	}
	for round := range rounds {
		err := output(each / 2)
		index := -1
		for err == nil && index < 0 {
			index, err = reader.Add(guest)
			if errors.Is(err, syscall.EBUSY) {
				err = nil
				time.Sleep(50 * time.Microsecond)
			}
		}
		if err == nil {
			err = output(each - each/2)
		}
		for err == nil && round == rounds-1 {
			var stats ringbuf.RingStats
			if stats, err = reader.RingStats(index); stats.ReadPos == stats.ProducerPos {
				break
			}
			time.Sleep(50 * time.Microsecond)
		}
		if err == nil {
			err = reader.Remove(index)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
