//go:build linux && cgo

// SPDX-License-Identifier: MIT

package readertest

import (
	"bytes"
	"io"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// The snapshot has these records, each time that it is looped over.
func snapshotIs(t testing.TB, snapshot *ringbuf.Snapshot, numbers ...uint64) {
	t.Helper()
	for range 2 {
		i := 0
		for record := range snapshot.Records() {
			if i == len(numbers) {
				t.Fatalf("an unexpected record: % x", record.RawSample)
			}
			is(t, &record, numbers[i])
			equal(t, "remaining", record.Remaining, 32*(len(numbers)-1-i))
			i++
		}
		must(t, snapshot.Err())
		equal(t, "records", i, len(numbers))
	}
}

func snapshot(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	before := time.Now()
	first, err := reader.Snapshot(0)
	must(t, err)
	snapshotIs(t, first)
	produce(t, source, 0, 1)
	viewIs(t, reader, 0) // not given back: it is still in the ring
	produce(t, source, 2)
	must(t, reader.SnapshotInto(0, first))
	must(t, reader.Commit())
	second, err := reader.Snapshot(0)
	must(t, err)
	produce(t, source, 3)
	readIs(t, reader, 1, 2) // they come all the same
	third, err := reader.Snapshot(0)
	must(t, err)
	snapshotIs(t, third, 3)
	readIs(t, reader, 3)
	isEmpty(t, reader)
	must(t, reader.Close())
	snapshotIs(t, first, 0, 1, 2)
	snapshotIs(t, second, 1, 2)
	info, err := second.Info()
	must(t, err)
	equal(t, "ring size", info.RingSize, ringSize)
	equal(t, "first", info.FirstPos, 32)
	equal(t, "end", info.EndPos, 96)
	equal(t, "produced", info.ProducerPos, 96)
	equal(t, "missed", info.Missed, 0)
	if taken := info.Time(); taken.Before(before) || taken.After(time.Now()) {
		t.Fatalf("taken at %v", taken)
	}
	for range second.Records() {
		must(t, second.Close()) // within its loop
	}
	snapshotIs(t, second)
	_, err = second.Info()
	wants(t, err, syscall.ENODATA)
	wants(t, reader.SnapshotInto(0, second), ringbuf.ErrClosed)
}

func snapshotConsumes(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	produce(t, source, 0, 1)
	var snapshot ringbuf.Snapshot
	must(t, reader.ConsumeInto(0, &snapshot))
	snapshotIs(t, &snapshot, 0, 1)
	produce(t, source, 2)
	viewIs(t, reader, 2)
	wants(t, reader.ConsumeInto(0, &snapshot), syscall.EBUSY)
	must(t, reader.Commit())
	produce(t, source, 3)
	readIs(t, reader, 3)
	must(t, reader.ConsumeInto(0, &snapshot))
	snapshotIs(t, &snapshot)
	isEmpty(t, reader)
}

// A writer that is full after so many bytes.
type small int

func (s *small) Write(data []byte) (int, error) {
	if len(data) > int(*s) {
		return 0, syscall.ENOSPC
	}
	*s -= small(len(data))
	return len(data), nil
}

func snapshotAsFile(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	count := fillUp(t, source, 24)
	all, err := reader.Snapshot(0)
	must(t, err)
	for range count {
		must(t, reader.ReadInto(new(ringbuf.Record)))
	}
	produce(t, source, 7)
	one, err := reader.Snapshot(0)
	must(t, err)

	var file bytes.Buffer
	n, err := all.WriteTo(&file)
	must(t, err)
	equal(t, "bytes", n, int64(128+32*count))
	_, err = one.WriteTo(&file)
	must(t, err)
	equal(t, "bytes", file.Len(), int(128+32*count+128+32))
	saved := bytes.Clone(file.Bytes())
	broken := make(chan os.Signal, 1)
	signal.Notify(broken, syscall.SIGPIPE)
	defer signal.Stop(broken)
	full := small(1000)
	_, err = all.WriteTo(&full)
	wants(t, err, syscall.ENOSPC)
	select {
	case <-broken:
		t.Fatal("a signal for a pipe that is no matter of the program")
	case <-time.After(20 * time.Millisecond):
	}

	same, err := ringbuf.ReadSnapshot(&file)
	must(t, err)
	number := uint64(0)
	for record := range same.Records() {
		is(t, &record, number)
		number++
	}
	equal(t, "records", number, count)
	want, err := all.Info()
	must(t, err)
	info, err := same.Info()
	must(t, err)
	equal(t, "information", info, want)
	same, err = ringbuf.ReadSnapshot(&file) // behind the first
	must(t, err)
	snapshotIs(t, same, 7)
	_, err = ringbuf.ReadSnapshot(&file)
	wants(t, err, io.EOF)
	for _, length := range []int{1, 127, 128, 1000} {
		_, err = ringbuf.ReadSnapshot(bytes.NewReader(saved[:length]))
		wants(t, err, syscall.EBADMSG)
	}
	for _, at := range []int{0, 64, 100, 1000} {
		damaged := bytes.Clone(saved)
		damaged[at] ^= 1
		_, err = ringbuf.ReadSnapshot(bytes.NewReader(damaged))
		wants(t, err, syscall.EBADMSG)
	}
	_, err = ringbuf.ReadSnapshot(iotest.ErrReader(syscall.EIO))
	wants(t, err, syscall.EIO)
	_, err = new(ringbuf.Snapshot).WriteTo(&file)
	wants(t, err, syscall.ENODATA)
}

// The file has the records, which are held, and nothing else.
func isDescribed(t *testing.T, reader *ringbuf.Reader, records []ringbuf.Record) {
	t.Helper()
	header, content, err := reader.SnapshotHeader(&records[0], &records[len(records)-1])
	must(t, err)
	file, err := ringbuf.ReadSnapshot(io.MultiReader(bytes.NewReader(header[:]), bytes.NewReader(content)))
	must(t, err)
	i := 0
	for record := range file.Records() {
		equal(t, "position", record.Position(), records[i].Position())
		equal(t, "content", bytes.Equal(record.RawSample, records[i].RawSample), true)
		i++
	}
	must(t, file.Err())
	equal(t, "records", i, len(records))
}

// Records that are held become a file by a header and their memory, however much of the ring is mapped.
func snapshotHeader(t *testing.T, newSource Maker) {
	for _, size := range []int{ringSize, bigSize} {
		source := newSource(t, size)
		reader := open(t, source)
		records := make([]ringbuf.Record, 300)
		produced, read := uint64(0), uint64(0)
		for position := 0; position < 2*size; {
			for range size / 2000 {
				length := min(size/20, 700) + int(produced%64)
				done, err := source.Produce(numbered(produced, length), 0)
				must(t, err)
				equal(t, "produced", done, true)
				produced++
			}
			for read < produced {
				n, err := reader.ReadBatch(records)
				must(t, err)
				isDescribed(t, reader, records[:n])
				isDescribed(t, reader, records[n-1:n])
				must(t, reader.Commit())
				position = int(records[n-1].Position())
				read += uint64(n)
			}
		}
		first, second := records[0], records[1]
		_, content, err := reader.SnapshotHeader(&first, &second)
		wants(t, err, syscall.EINVAL)
		equal(t, "content", len(content), 0)
		produce(t, source, 0, 1, 2)
		must(t, reader.ReadZeroCopy(&first))
		_, _, err = reader.SnapshotHeader(&second, &first)
		wants(t, err, syscall.EINVAL)
		must(t, reader.ReadInto(&second)) // a copy
		_, _, err = reader.SnapshotHeader(&first, &second)
		wants(t, err, syscall.EINVAL)
		_, _, err = reader.SnapshotHeader(&first, nil)
		wants(t, err, syscall.EINVAL)
		span, err := reader.ReadSpan(1)
		must(t, err)
		last := span.Record(0)
		_, content, err = reader.SnapshotHeader(&last, &last)
		must(t, err)
		equal(t, "content", bytes.Equal(content[8:8+span.Size], span.Data), true)
		must(t, reader.Close())
		_, _, err = reader.SnapshotHeader(&last, &last)
		wants(t, err, ringbuf.ErrClosed)
	}
}

func snapshotHeaderOfReleased(t *testing.T, newSource Maker) {
	source := newSource(t, ringSize)
	reader := open(t, source, ringbuf.WithRelease())
	produce(t, source, 0, 1, 2, 3)
	records := make([]ringbuf.Record, 4)
	n, err := reader.ReadBatch(records)
	must(t, err)
	equal(t, "records", n, 4)
	must(t, reader.Release(records[1]))
	isDescribed(t, reader, records)
	_, _, err = reader.SnapshotHeader(&records[1], &records[2])
	wants(t, err, syscall.EINVAL)
	must(t, reader.Remove(0))
	isDescribed(t, reader, records[2:])
	must(t, reader.Release(records[0], records[2], records[3]))
	_, _, err = reader.SnapshotHeader(&records[2], &records[3])
	wants(t, err, syscall.EINVAL)
}

// A tap sees what the ring's reader sees, and takes nothing from it.
func tap(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	produce(t, source, 0, 1)
	tap := open(t, source, ringbuf.WithTap())
	viewIs(t, tap, 0, 1)
	must(t, tap.Commit())
	stats := ringStats(t, reader)
	equal(t, "given back", stats.ConsumerPos, 0)
	readIs(t, reader, 0, 1)
	isEmpty(t, reader)
	produce(t, source, 2)
	readIs(t, tap, 2)
	readIs(t, reader, 2)
	isEmpty(t, tap)
	// It sees what comes while it waits.
	result := blocked(tap)
	produce(t, source, 3)
	must(t, <-result)
	var record ringbuf.Record
	produce(t, source, 4)
	must(t, tap.ReadZeroCopy(&record))
	is(t, &record, 4)
	equal(t, "lost before", record.LostBefore(), false)
	must(t, tap.Close())
	is(t, &record, 4) // memory of the copy, still there
	readIs(t, reader, 3, 4)
}
