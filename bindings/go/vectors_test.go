//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// What tests/vectors/README.md says of each line.
type vector struct {
	ring    *ringbuf.MemoryRing
	reader  *ringbuf.Reader
	records []ringbuf.Record // of the last read
	read    []ringbuf.Record // those of them that are not compared yet
	ahead   []ringbuf.Record // of the next read: see consumerPosition

	file     []byte // what is left to load
	loaded   []byte // what the last load read
	snapshot *ringbuf.Snapshot
	kept     []ringbuf.Record // of the snapshot, not compared yet
	keptErr  error
}

var errnos = map[string]error{
	"EBADMSG": syscall.EBADMSG, "EINVAL": syscall.EINVAL, "EBUSY": syscall.EBUSY,
	"E2BIG": syscall.E2BIG, "EOPNOTSUPP": syscall.EOPNOTSUPP, "ENODATA": io.EOF,
	"EMEDIUMTYPE": syscall.EMEDIUMTYPE,
}

var errSkip = errors.New("does not apply")

func (v *vector) close() {
	if v.reader != nil {
		v.reader.Close()
	}
	if v.ring != nil {
		v.ring.Close()
	}
}

func (v *vector) write(offset int64, data []byte) error {
	_, err := syscall.Pwrite(v.ring.FD(), data, offset)
	return err
}

func differs(what string, got, want any) error {
	if got != want {
		return fmt.Errorf("%s: got %v instead of %v", what, got, want)
	}
	return nil
}

// isError compares an error with the name of one.
func isError(err error, name string) error {
	want, known := errnos[name]
	if !known {
		return fmt.Errorf("unknown error %s", name)
	}
	if !errors.Is(err, want) {
		return fmt.Errorf("got error %v instead of %s", err, name)
	}
	return nil
}

func (v *vector) add(result string, options ...ringbuf.Option) error {
	var err error
	v.reader, err = ringbuf.NewReader(v.ring, options...)
	if result != "0" {
		v.reader = nil
		return isError(err, result)
	}
	if err == nil {
		v.reader.SetDeadline(time.Unix(1, 0)) // reads what is there and does not wait
	}
	return err
}

func (v *vector) readUpTo(most int, result string) error {
	v.records = make([]ringbuf.Record, most)
	n := copy(v.records, v.ahead)
	v.ahead = nil
	want, failed := strconv.Atoi(result)
	var err error
	// The package fetches records ahead, and so what one call of the library finds may take several.
	for first := true; err == nil && (first && n < most || n < want); first = false {
		var more int
		more, err = v.reader.ReadBatch(v.records[n:])
		n += more
	}
	v.records = v.records[:n]
	v.read = v.records
	if failed != nil {
		return isError(err, result)
	}
	if n == 0 && !errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("got error %v instead of no records", err)
	}
	return differs("records", n, want)
}

func compare(records *[]ringbuf.Record, position uint64, size int, hash string) error {
	if len(*records) == 0 {
		return errors.New("a record is missing")
	}
	record := (*records)[0]
	*records = (*records)[1:]
	sum := fnv.New64a()
	sum.Write(record.RawSample)
	return errors.Join(
		differs("position", record.Position(), position),
		differs("size", len(record.RawSample), size),
		differs("content", fmt.Sprintf("%016x", sum.Sum64()), hash),
	)
}

// has begins to compare a snapshot that was to be had with a result.
func (v *vector) has(snapshot *ringbuf.Snapshot, err error, result string) error {
	if result != "0" {
		return isError(err, result)
	}
	if err != nil {
		return err
	}
	v.snapshot, v.kept = snapshot, nil
	for record := range snapshot.Records() {
		v.kept = append(v.kept, record)
	}
	v.keptErr = snapshot.Err()
	return nil
}

func (v *vector) describe(first, last int, result string) error {
	header, content, err := v.reader.SnapshotHeader(&v.records[first], &v.records[last])
	if err != nil {
		return v.has(nil, err, result)
	}
	snapshot, err := ringbuf.ReadSnapshot(io.MultiReader(bytes.NewReader(header[:]), bytes.NewReader(content)))
	return v.has(snapshot, err, result)
}

func (v *vector) load(result string) error {
	file := bytes.NewReader(v.file)
	snapshot, err := ringbuf.ReadSnapshot(file)
	rest := len(v.file) - file.Len()
	v.loaded, v.file = v.file[:rest], v.file[rest:]
	return v.has(snapshot, err, result)
}

func (v *vector) keptEnd(result string) error {
	if result != "0" {
		return errors.Join(differs("records left", len(v.kept), 0), isError(v.keptErr, result))
	}
	return errors.Join(differs("records left", len(v.kept), 0), v.keptErr)
}

func (v *vector) extent(first, end, producer, missed uint64) error {
	info, err := v.snapshot.Info()
	return errors.Join(err,
		differs("first", info.FirstPos, first),
		differs("end", info.EndPos, end),
		differs("produced", info.ProducerPos, producer),
		differs("missed", info.Missed, missed),
	)
}

func (v *vector) taken(boot string, kind, id, size, realtime, boottime uint64) error {
	info, err := v.snapshot.Info()
	return errors.Join(err,
		differs("boot", hex.EncodeToString(info.BootID[:]), boot),
		differs("kind", info.Kind, kind),
		differs("ring", info.RingID, id),
		differs("ring size", info.RingSize, size),
		differs("realtime", info.RealtimeNS, realtime),
		differs("boottime", info.BoottimeNS, boottime),
	)
}

func (v *vector) save() error {
	var file bytes.Buffer
	_, err := v.snapshot.WriteTo(&file)
	return errors.Join(err, differs("saved as it was", bytes.Equal(file.Bytes(), v.loaded), true))
}

// Discarded records behind those that it fetched ahead the package passes with the next read only.
func (v *vector) consumerPosition(want uint64) error {
	var word [8]byte
	_, err := syscall.Pread(v.ring.FD(), word[:], 0)
	if err == nil && binary.NativeEndian.Uint64(word[:]) != want && v.reader != nil {
		v.ahead = make([]ringbuf.Record, 1)
		n, _ := v.reader.ReadBatch(v.ahead)
		v.ahead = v.ahead[:n]
		_, err = syscall.Pread(v.ring.FD(), word[:], 0)
	}
	if err != nil {
		return err
	}
	return differs("consumer position", binary.NativeEndian.Uint64(word[:]), want)
}

func (v *vector) stats(records, bytes, discards uint64) error {
	stats, err := v.reader.RingStats(0)
	return errors.Join(err,
		differs("records", stats.Records, records),
		differs("bytes", stats.Bytes, bytes),
		differs("discards", stats.Discards, discards),
	)
}

func (v *vector) lost(bytes uint64) error {
	stats, err := v.reader.RingStats(0)
	return errors.Join(err, differs("lost bytes", stats.LostBytes, bytes))
}

func (v *vector) looked(consumer, producer, waiting uint64) error {
	stats, err := ringbuf.StatsOf(v.ring)
	return errors.Join(err, differs("consumer position", stats.ConsumerPos, consumer),
		differs("producer position", stats.ProducerPos, producer), differs("bytes waiting", stats.BytesWaiting, waiting))
}

func (v *vector) step(word string, operands []string) error {
	number := func(i int) uint64 {
		n, err := strconv.ParseUint(operands[i], 10, 64)
		if err != nil {
			panic(err)
		}
		return n
	}
	data := func(i int) []byte {
		data, err := hex.DecodeString(operands[i])
		if err != nil {
			panic(err)
		}
		return data
	}
	page := int64(os.Getpagesize())
	var err error
	switch word {
	case "ring", "ring_overwrite":
		if number(0) < uint64(page) {
			return errSkip
		}
		create := ringbuf.NewMemoryRing
		if word == "ring_overwrite" {
			create = ringbuf.NewOverwriteRing
		}
		v.ring, err = create(int(number(0)))
		return err
	case "consumer_pos":
		return v.write(0, binary.NativeEndian.AppendUint64(nil, number(0)))
	case "producer_pos":
		return v.write(page, binary.NativeEndian.AppendUint64(nil, number(0)))
	case "pending_pos":
		return v.write(page+8, binary.NativeEndian.AppendUint64(nil, number(0)))
	case "overwrite_pos":
		return v.write(page+16, binary.NativeEndian.AppendUint64(nil, number(0)))
	case "data":
		return v.write(2*page+int64(number(0)), data(1))
	case "fill":
		return v.write(2*page+int64(number(0)), []byte(strings.Repeat(string(data(2)), int(number(1)))))
	case "series":
		series := make([]byte, number(1))
		for i := range series {
			series[i] = byte(number(2) + uint64(i)*number(3))
		}
		return v.write(2*page+int64(number(0)), series)
	case "add":
		return v.add(operands[0])
	case "add_latest":
		return v.add(operands[0], ringbuf.WithLatest())
	case "add_overwrite":
		return v.add(operands[0], ringbuf.WithOverwrite())
	case "read":
		if operands[1] == "EAGAIN" {
			return nil // the package calls again by itself: the next read has what comes of it
		}
		return v.readUpTo(int(number(0)), operands[1])
	case "record":
		return compare(&v.read, number(0), int(number(1)), operands[2])
	case "commit":
		return v.reader.CommitTo(&v.records[number(0)])
	case "commit_all":
		return v.reader.Commit()
	case "consumer":
		return v.consumerPosition(number(0))
	case "stats":
		return v.stats(number(0), number(1), number(2))
	case "lost":
		return v.lost(number(0))
	case "look":
		return v.looked(number(0), number(1), number(2))
	case "snapshot":
		snapshot, err := v.reader.Snapshot(0)
		return v.has(snapshot, err, operands[0])
	case "describe":
		return v.describe(int(number(0)), int(number(1)), operands[2])
	case "file":
		v.file = data(0)
		return nil
	case "load":
		return v.load(operands[0])
	case "extent":
		return v.extent(number(0), number(1), number(2), number(3))
	case "taken":
		return v.taken(operands[0], number(1), number(2), number(3), number(4), number(5))
	case "kept":
		return compare(&v.kept, number(0), int(number(1)), operands[2])
	case "kept_end":
		return v.keptEnd(operands[0])
	case "save":
		return v.save()
	case "close":
		err = v.reader.Close()
		v.reader = nil
		return err
	}
	return fmt.Errorf("unknown word %q", word)
}

// The images of rings in tests/vectors, of which each language must make the same.
func TestVectors(t *testing.T) {
	images, err := filepath.Glob("../../tests/vectors/images/*.vector")
	if err != nil {
		t.Fatal(err)
	}
	snapshots, err := filepath.Glob("../../tests/vectors/snapshots/*.vector")
	if err != nil {
		t.Fatal(err)
	}
	images = append(images, snapshots...)
	if len(images) == 0 {
		t.Skip("skipped: the vectors are not part of the module")
	}
	for _, image := range images {
		t.Run(strings.TrimSuffix(filepath.Base(image), ".vector"), func(t *testing.T) {
			content, err := os.ReadFile(image)
			if err != nil {
				t.Fatal(err)
			}
			var v vector
			defer v.close()
			for i, line := range strings.Split(string(content), "\n") {
				fields := strings.Fields(line)
				if len(fields) == 0 || fields[0][0] == '#' {
					continue
				}
				err := v.step(fields[0], fields[1:])
				if errors.Is(err, errSkip) {
					t.Skip("skipped: the ring is smaller than a page")
				}
				if err != nil {
					t.Fatalf("line %d: %s: %v", i+1, line, err)
				}
			}
		})
	}
}
