//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// reads takes the next record, which must be this one.
func reads(t *testing.T, reader *ringbuf.Reader, ring int, sample string) {
	t.Helper()
	record, err := reader.Read()
	if err != nil || record.Ring() != ring || string(record.RawSample) != sample {
		t.Fatalf("got %q of ring %d, %v, and not %q of ring %d", record.RawSample, record.Ring(), err, sample, ring)
	}
}

func readsNothing(t *testing.T, reader *ringbuf.Reader) {
	t.Helper()
	reader.SetDeadline(time.Unix(1, 0))
	_, err := reader.Read()
	wants(t, err, os.ErrDeadlineExceeded)
	reader.SetDeadline(time.Time{})
}

// A ring is looked at without a reader, whether it has one or not.
func TestStatsOfMemoryRing(t *testing.T) {
	ring, producer := newRing(t)
	must(t, producer.Output([]byte("12345678"), 0))
	look := func(consumed, reader uint64) {
		t.Helper()
		stats, err := ringbuf.StatsOf(ring, ringbuf.WithTap())
		must(t, err)
		want := ringbuf.RingStats{MapID: ringbuf.Unknown, RingSize: stats.RingSize, BytesWaiting: 16 - consumed,
			HighWater: ringbuf.Unknown, Records: ringbuf.Unknown, Bytes: ringbuf.Unknown, Discards: ringbuf.Unknown,
			Abandoned: ringbuf.Unknown, Skipped: ringbuf.Unknown, ProducerPos: 16, ReadPos: ringbuf.Unknown,
			UserPos: ringbuf.Unknown, ConsumerPos: consumed, StartPos: ringbuf.Unknown, PassedBytes: ringbuf.Unknown,
			LostBytes: ringbuf.Unknown, FirstRing: ringbuf.Unknown, ReaderPID: reader}
		if stats != want {
			t.Errorf("got %+v instead of %+v", stats, want)
		}
	}
	look(0, 0)
	reader, err := ringbuf.NewReader(ring)
	must(t, err)
	look(0, uint64(os.Getpid()))
	reads(t, reader, 0, "12345678")
	must(t, reader.Close())
	look(16, 0)
	_, err = ringbuf.StatsOf(nil)
	wants(t, err, syscall.EINVAL)
	_, err = ringbuf.StatsOf(ring, nil)
	wants(t, err, syscall.EINVAL)
	_, err = ringbuf.StatsOf(ring, ringbuf.WithLossMap(ring))
	wants(t, err, syscall.EBADFD)
}

// A ring whose content is impossible does not keep the others from being read, and can be removed.
func TestBrokenRingBesideOthers(t *testing.T) {
	good, producer := newRing(t)
	bad, badProducer := newRing(t)
	reader, err := ringbuf.NewReader(bad)
	must(t, err)
	defer reader.Close()
	index, err := reader.Add(good)
	must(t, err)
	must(t, badProducer.Output(make([]byte, 8), 0))
	_, err = syscall.Pwrite(bad.FD(), []byte{0xff, 0xff, 0xff, 0x0f}, int64(2*os.Getpagesize()))
	must(t, err)
	must(t, producer.Output([]byte("good"), 0))
	reads(t, reader, index, "good")
	_, err = reader.Read()
	wants(t, err, syscall.EBADMSG)
	if !strings.Contains(err.Error(), "ring 0") {
		t.Errorf("which ring: %v", err)
	}
	for ring := range reader.Rings() {
		stats, err := reader.RingStats(ring)
		if err != nil || stats.Broken != (ring == 0) {
			t.Errorf("ring %d is broken: %v, %v", ring, stats.Broken, err)
		}
	}
	must(t, reader.Remove(0))
	readsNothing(t, reader)
	must(t, producer.Output([]byte("more"), 0))
	reads(t, reader, index, "more")
}

// Rings of each kind in one reader: in place, in overwrite mode, and beside its reader.
func TestRingsOfEachKind(t *testing.T) {
	plain, plainProducer := newRing(t)
	overwriting, overwritingProducer := newOverwriting(t, 1000)
	tapped, tappedProducer := newRing(t)
	reader, err := ringbuf.NewReader(overwriting, ringbuf.WithOverwrite())
	must(t, err)
	defer reader.Close()
	_, err = reader.Add(plain)
	must(t, err)
	_, err = reader.Add(tapped, ringbuf.WithTap())
	must(t, err)
	other, err := ringbuf.NewReader(tapped)
	must(t, err)
	defer other.Close()
	outputNumbers(t, overwritingProducer, 1000, 1010)
	outputNumbers(t, plainProducer, 0, 10)
	outputNumbers(t, tappedProducer, 0, 10)
	next, lost := [3]int{-1, 0, 0}, 0
	records := make([]ringbuf.Record, 100)
	for next != [3]int{1010, 10, 10} {
		n, err := reader.ReadBatch(records)
		must(t, err)
		for i := range records[:n] {
			ring, got := records[i].Ring(), number(records[i].RawSample)
			if records[i].LostBefore() {
				lost, next[ring] = lost+1, got
			}
			if got != next[ring] {
				t.Fatalf("record %d of ring %d is %d", next[ring], ring, got)
			}
			next[ring]++
		}
		must(t, reader.Commit())
	}
	if lost != 1 {
		t.Errorf("%d losses", lost)
	}
	// In the copy a record stays as it is, whatever the producers do.
	outputNumbers(t, overwritingProducer, 1010, 1011)
	must(t, reader.ReadZeroCopy(&records[0]))
	outputNumbers(t, overwritingProducer, 1011, 3000)
	if got := number(records[0].RawSample); got != 1010 {
		t.Fatalf("record 1010 became %d", got)
	}
	must(t, reader.Commit())
	must(t, reader.Remove(0)) // with its copy
	must(t, reader.Remove(2))
	outputNumbers(t, plainProducer, 10, 11)
	reads(t, reader, 1, string([]byte{10, 0, 0, 0, 0, 0, 0, 0}))
	if record, err := other.Read(); err != nil || number(record.RawSample) != 0 {
		t.Fatal(number(record.RawSample), err)
	}
}

func count(t *testing.T, lines func() (string, error), word string) int {
	t.Helper()
	text, err := lines()
	must(t, err)
	return strings.Count(text, word)
}

// Thousands of rings come and go. Each gets an index that no ring has or had of late, and leaves nothing behind.
func TestRingsComeAndGo(t *testing.T) {
	mappings := func() (string, error) {
		text, err := os.ReadFile("/proc/self/maps")
		return string(text), err
	}
	files := func() (string, error) {
		entries, err := os.ReadDir("/proc/self/fd")
		return strings.Repeat("x", len(entries)), err
	}
	for name, options := range map[string][]ringbuf.Option{"": nil, "release": {ringbuf.WithRelease()}} {
		t.Run(name, func(t *testing.T) {
			steady, _ := newRing(t)
			guest, producer := newRing(t)
			reader, err := ringbuf.NewReader(steady, options...)
			must(t, err)
			defer reader.Close()
			mapped, opened := count(t, mappings, "memfd:"), count(t, files, "x")
			seen := map[int]bool{0: true} // the steady ring's
			for round := range 2100 {
				index, err := reader.Add(guest)
				must(t, err)
				if seen[index] {
					t.Fatalf("index %d a second time in round %d", index, round)
				}
				seen[index] = true
				sample := fmt.Sprint("round ", round)
				must(t, producer.Output([]byte(sample), 0))
				var record ringbuf.Record
				must(t, reader.ReadZeroCopy(&record))
				if record.Ring() != index || string(record.RawSample) != sample {
					t.Fatalf("got %q of ring %d, and not %q of ring %d", record.RawSample, record.Ring(), sample, index)
				}
				must(t, reader.Remove(index)) // it leaves when its record is back
				if name == "" {
					must(t, reader.Commit())
				} else {
					must(t, reader.Release(record))
				}
			}
			if now := count(t, mappings, "memfd:"); now > mapped {
				t.Errorf("%d mappings where there were %d", now, mapped)
			}
			if now := count(t, files, "x"); now > opened {
				t.Errorf("%d open files where there were %d", now, opened)
			}
		})
	}
}

// newReaderOfTwo opens a reader of two rings, which have the indexes 0 and 1, and their producers.
func newReaderOfTwo(t *testing.T) (*ringbuf.Reader, *ringbuf.Producer, *ringbuf.Producer) {
	t.Helper()
	first, firstProducer := newRing(t)
	second, secondProducer := newRing(t)
	reader, err := ringbuf.NewReader(first)
	must(t, err)
	t.Cleanup(func() { reader.Close() })
	_, err = reader.Add(second)
	must(t, err)
	return reader, firstProducer, secondProducer
}

// A context ends a read of several rings, and takes no record of any of them away.
func TestContextOverRings(t *testing.T) {
	reader, firstProducer, secondProducer := newReaderOfTwo(t)
	why := errors.New("a reason")
	for range 3 {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(5*time.Millisecond, func() { cancel(why) })
		_, err := reader.ReadContext(ctx)
		wants(t, err, why)
		must(t, secondProducer.Output([]byte("second"), 0))
		must(t, firstProducer.Output([]byte("first"), 0))
		got := map[int]string{}
		for range 2 {
			record, err := reader.ReadContext(t.Context())
			must(t, err)
			got[record.Ring()] = string(record.RawSample)
		}
		if got[0] != "first" || got[1] != "second" {
			t.Fatalf("got %q", got)
		}
	}
}

// The typed loop has the values of all rings, and gives them back.
func TestTypedRecordsOfRings(t *testing.T) {
	reader, firstProducer, secondProducer := newReaderOfTwo(t)
	outputPairs(t, firstProducer, 0, 3)
	outputPairs(t, secondProducer, 3, 6)
	next := 0
	for value, err := range ringbuf.Records[pair](t.Context(), reader) {
		must(t, err)
		isPair(t, value, next)
		if next++; next == 6 {
			break
		}
	}
	for ring := range reader.Rings() {
		stats, err := reader.RingStats(ring)
		if err != nil || stats.UserPos != stats.ProducerPos {
			t.Fatalf("ring %d is given back up to %d of %d, %v", ring, stats.UserPos, stats.ProducerPos, err)
		}
	}
}

// A loop over the rings may remove them, and add others that it does not see.
func TestLoopOverRings(t *testing.T) {
	first, _ := newRing(t)
	reader, err := ringbuf.NewReader(first)
	must(t, err)
	defer reader.Close()
	for range 2 {
		_, err := reader.Add(another(t))
		must(t, err)
	}
	seen := 0
	for ring := range reader.Rings() {
		must(t, reader.Remove(ring))
		_, err := reader.Add(another(t))
		must(t, err)
		seen++
	}
	for ring := range reader.Rings() {
		if ring != 3 {
			t.Errorf("ring %d is the first", ring)
		}
		break
	}
	if stats, err := reader.Stats(); seen != 3 || stats.Rings != 3 || err != nil {
		t.Fatalf("%d rings seen, %d now, %v", seen, stats.Rings, err)
	}
}
