//go:build linux && cgo

// SPDX-License-Identifier: MIT

package readertest

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// A use after Close is wrong, but no fault as long as the reader is reachable.
func viewOutlivesClose(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	produce(t, source, 1)
	var record ringbuf.Record
	must(t, reader.ReadZeroCopy(&record))
	must(t, reader.Close())
	runtime.GC()
	runtime.GC()
	is(t, &record, 1)
	runtime.KeepAlive(reader)
}

// What lies in the ring cannot be written.
func writeIsFault(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	tap := open(t, source, ringbuf.WithTap())
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	for name, reader := range map[string]*ringbuf.Reader{"reader": reader, "tap": tap} {
		produce(t, source, 1)
		var record ringbuf.Record
		must(t, reader.ReadZeroCopy(&record))
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: the record could be written", name)
				}
			}()
			record.RawSample[0] = 7
		}()
	}
}

const bigSize = 1 << 22

// A ring that is mapped in parts: all comes as it was written, whatever reads it, over its end, too.
func bigRing(t *testing.T, newSource Maker) {
	for _, zeroCopyFirst := range []bool{false, true} {
		source := newSource(t, bigSize)
		reader := open(t, source)
		records := make([]ringbuf.Record, 300)
		read, written := uint64(0), uint64(0)
		number := func(record *ringbuf.Record) {
			is(t, record, read)
			read++
		}
		for round := 0; written*1000 < 3*bigSize; round++ {
			for range 500 {
				done, err := source.Produce(numbered(written, 700+int(written%300)), 0)
				must(t, err)
				equal(t, "produced", done, true)
				written++
			}
			for way := 0; read < written; way++ {
				switch (way + round) % 3 {
				case 0:
					n, err := reader.ReadBatch(records)
					must(t, err)
					for i := range records[:n] {
						number(&records[i])
					}
				case 1:
					span, err := reader.ReadSpan(10)
					must(t, err)
					for i := range span.Count {
						record := span.Record(i)
						number(&record)
					}
				case 2:
					if zeroCopyFirst {
						must(t, reader.ReadZeroCopy(&records[0]))
					} else {
						must(t, reader.ReadInto(&records[0]))
					}
					number(&records[0])
				}
			}
			must(t, reader.Commit())
		}
	}
}

// resident is how much of a ring's mappings counts as memory of the process. A page of the ring counts in
// each of them.
func resident(t testing.TB, name string) int {
	t.Helper()
	file, err := os.Open("/proc/self/smaps")
	must(t, err)
	defer file.Close()
	total, inRing := 0, false
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		var kilobytes int
		if _, err := fmt.Sscanf(line, "Rss: %d kB", &kilobytes); err == nil && inRing {
			total += kilobytes << 10
		} else if head, _, _ := strings.Cut(line, " "); !strings.HasSuffix(head, ":") {
			inRing = strings.Contains(line, name)
		}
	}
	return total
}

// Resident tests how much of the process's memory a reader is, whose ring's mappings have a name like
// that in /proc/self/smaps: what copies records has the library's mapping alone, which has the data
// twice, and what hands them out in the ring the data once more.
func Resident(t *testing.T, newSource Maker, name string) {
	const size = 2 << 20
	source := newSource(t, size)
	before := resident(t, name)
	atMost := func(what string, most int) {
		t.Helper()
		if now := resident(t, name) - before; now > most+1<<17 {
			t.Errorf("%s: %.1f times the ring, and not %.1f", what, float64(now)/size, float64(most)/size)
		}
	}
	reader := open(t, source)
	produce(t, source, 0, 1)
	readIs(t, reader, 0)
	atMost("a reader that copies", 2*size)
	viewIs(t, reader, 1)
	must(t, reader.Commit())
	atMost("a reader that does not", 3*size)
	for number := uint64(2); number < 70000; number += 1000 { // around the ring
		for i := range uint64(1000) {
			produce(t, source, number+i)
		}
		for i := range uint64(1000) {
			viewIs(t, reader, number+i)
		}
		must(t, reader.Commit())
	}
	atMost("a reader that does not", 3*size)
	must(t, reader.Close())
}
