//go:build linux && cgo

// SPDX-License-Identifier: MIT

package random

import (
	"bytes"
	"slices"
	"syscall"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
	"pgregory.net/rapid"
)

// described is the content of a file that begins with a held record. It lasts as long as that record.
type described struct {
	content []byte
	was     []byte
}

func (d *described) isSame(t *rapid.T) {
	if !bytes.Equal(d.content, d.was) {
		t.Fatal("the content of a file changes, and its first record is held")
	}
}

// Describe makes a file of the records from one held record to another.
func (w *world) Describe(t *rapid.T) {
	if len(w.describable()) == 0 {
		w.Output(t)
		w.Read(t)
	}
	held := w.describable()
	if len(held) == 0 {
		return
	}
	first := held[rapid.IntRange(0, len(held)-1).Draw(t, "first")]
	if rapid.IntRange(0, 3).Draw(t, "legally") > 0 {
		held = first.behind(held)
	}
	last := held[rapid.IntRange(0, len(held)-1).Draw(t, "last")]
	header, content, err := w.reader.SnapshotHeader(&first.record, &last.record)
	isCopy := first.record.RawSample == nil || last.record.RawSample == nil
	if isCopy || first.entry.ring != last.entry.ring || first.entry.position > last.entry.position {
		wants(t, err, syscall.EINVAL)
		return
	}
	must(t, err)
	first.described = described{content, slices.Clone(content)}
	isFileOf(t, slices.Concat(header[:], content), first.entry, last.entry)
}

// behind are those that a file may end with that begins with this one, which is one of them.
func (h *held) behind(some []*held) []*held {
	return slices.DeleteFunc(slices.Clone(some), func(other *held) bool {
		return other.entry.ring != h.entry.ring || other.entry.position < h.entry.position
	})
}

// describable are records that the open reader has handed out and that were not given back.
func (w *world) describable() []*held {
	var found []*held
	for _, some := range [][]held{w.lent, w.leases} {
		for i := range some {
			if w.reader != nil && (some[i].reader == nil || some[i].reader == w.reader) {
				found = append(found, &some[i])
			}
		}
	}
	return found
}

// isFileOf looks whether a file has just the records from one to the other, and what it says of them.
func isFileOf(t *rapid.T, file []byte, first, last *entry) {
	loaded, err := ringbuf.ReadSnapshot(bytes.NewReader(file))
	must(t, err)
	defer loaded.Close()
	r := first.ring
	info, err := loaded.Info()
	must(t, err)
	if info.FirstPos != first.position || info.EndPos != last.end() || info.ProducerPos != r.end() ||
		info.RingSize != ringSize || info.Missed != 0 {
		t.Fatalf("a file of the records from %d to %d of %d is %+v", first.position, last.end(), r.end(), info)
	}
	between := r.entries[r.byPos[first.position] : r.byPos[last.position]+1]
	snapshot{loaded, submitted(between)}.has(t)
}

func submitted(some []*entry) []*entry {
	return slices.DeleteFunc(slices.Clone(some), func(e *entry) bool { return e.state != there })
}

// has looks whether the snapshot has just the records that it should.
func (s snapshot) has(t *rapid.T) {
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
