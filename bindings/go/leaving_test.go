//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

import "testing"

// An index can be given to another ring before the reader has noticed that the one that had it is gone: a release in
// another goroutine is that far in the library, and no further.
func TestIndexOfARingThatHasJustLeft(t *testing.T) {
	reader, _ := newSleepRing(t, WithRelease())
	newRing := func() *MemoryRing {
		ring, err := NewMemoryRing(1 << 20)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { ring.Close() })
		return ring
	}
	first, second := newRing(), newRing()
	producer, err := NewProducer(first)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if err := producer.Output([]byte("held"), 0); err != nil {
		t.Fatal(err)
	}
	index, err := reader.Add(first)
	if err != nil {
		t.Fatal(err)
	}
	var record Record
	if err := reader.ReadZeroCopy(&record); err != nil || record.Ring() != index {
		t.Fatal(record.Ring(), err)
	}
	if err := reader.Remove(index); err != nil {
		t.Fatal(err)
	}
	// All indexes behind it are given, so that the next one is its own.
	addAndRemove := func() int {
		other, err := reader.Add(second)
		if err != nil {
			t.Fatal(err)
		}
		if err := reader.Remove(other); err != nil {
			t.Fatal(err)
		}
		return other
	}
	largest := index
	for other := addAndRemove(); other > largest; other = addAndRemove() {
		largest = other
	}
	for addAndRemove() != largest {
	}
	old := reader.owned.rings[index]
	held := old.held(record.position, record.size)
	if err := reader.release(&held, 1); err != nil { // and not Release
		t.Fatal(err)
	}
	again, err := reader.Add(second)
	if err != nil || again != index {
		t.Fatalf("the index %d instead of %d, %v", again, index, err)
	}
	if old.producer != nil || len(reader.leaving) != 0 || reader.leavers.Load() != 0 {
		t.Fatalf("the ring before is still mapped, or among %d that leave", len(reader.leaving))
	}
	if err := reader.Remove(again); err != nil || reader.owned.ring(again) != nil {
		t.Fatal(err)
	}
}
