//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

/*
#include "shim.h"
*/
import "C"

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"os"
	"runtime"
	"syscall"
	"unsafe"
)

// A Snapshot is a copy of what a ring held at one moment, oldest record first. It needs neither the ring nor
// its reader any more. The zero Snapshot is empty, and can be given to [Reader.SnapshotInto]. Only one
// goroutine at a time may use a Snapshot.
type Snapshot struct {
	owned *ownedSnapshot
	lost  error // why the last loop ended early
	taken int   // how often it was taken anew or closed
	loops int   // over Records that have begun: each reads from the beginning
}

// ownedSnapshot is freed when the snapshot can no longer be reached.
type ownedSnapshot struct {
	core    *C.rbcore_snapshot
	records *[batchMax]C.rbcore_record
}

func (o *ownedSnapshot) free() {
	C.rbcore_snapshot_free(o.core)
	C.free(unsafe.Pointer(o.records))
	o.core, o.records = nil, nil
}

// own returns what the snapshot has, made when first needed.
func (s *Snapshot) own() *ownedSnapshot {
	if s.owned == nil {
		s.owned = &ownedSnapshot{}
		runtime.AddCleanup(s, (*ownedSnapshot).free, s.owned)
	}
	if s.owned.records == nil {
		s.owned.records = (*[batchMax]C.rbcore_record)(C.calloc(batchMax, C.sizeof_rbcore_record))
	}
	return s.owned
}

// Snapshot copies all complete records that the ring with this index holds, while producers go on. Nothing is moved:
// records read later come all the same. See [Reader.SnapshotInto].
func (r *Reader) Snapshot(ring int) (*Snapshot, error) {
	s := new(Snapshot)
	if err := r.SnapshotInto(ring, s); err != nil {
		return nil, err
	}
	return s, nil
}

// SnapshotInto takes a snapshot into the memory of an earlier one, and makes the records of that one invalid.
// In overwrite mode it has all records that are not overwritten, otherwise all that were not given back. A
// record that is still being written is left out, and so are those behind it. After an error s is unchanged
// or empty.
//
// The error is syscall.EAGAIN if producers overwrote the ring faster than it was copied, and syscall.EINVAL if the
// reader has no ring of this index, or it was removed.
func (r *Reader) SnapshotInto(ring int, s *Snapshot) error {
	return r.snapshot(ring, s, 0)
}

// ConsumeInto is SnapshotInto, and the reader goes on behind the snapshot. The error is syscall.EBUSY while there are
// records of the ring that were read, or fetched along with others, and not given back.
func (r *Reader) ConsumeInto(ring int, s *Snapshot) error {
	return r.snapshot(ring, s, C.RBCORE_SNAPSHOT_CONSUME)
}

func (r *Reader) snapshot(ring int, s *Snapshot, flags C.uint32_t) error {
	if !r.isMade() {
		return errNoReader
	}
	if s == nil {
		return errNoSnapshot
	}
	r.lock()
	defer r.mu.Unlock()
	own, err := r.present(ring)
	if err != nil {
		return err
	}
	if !r.isRelease && !r.isBorrowed {
		if err := r.commit(); err != nil {
			return err
		}
	}
	o := s.own()
	s.taken++
	if result := C.rbcore_reader_snapshot(r.core, C.uint(own.index), &o.core, flags); result < 0 {
		return r.failure("snapshot", result)
	}
	return nil
}

// Records is a loop over the records, oldest first. Each loop begins with the first record, and loops may be
// nested. RawSample is memory of the snapshot and must not be written. It is valid as long as the snapshot is
// reachable (runtime.KeepAlive) and is neither taken anew nor closed, both of which end the loop.
func (s *Snapshot) Records() iter.Seq[Record] {
	return func(yield func(Record) bool) {
		if s == nil {
			return
		}
		o := s.own()
		s.lost = nil
		if o.core == nil {
			return
		}
		info, err := s.Info()
		if err != nil {
			s.lost = err
			return
		}
		taken, loop, seen := s.taken, s.begin(0), 0
		for {
			count := C.rbcore_snapshot_read(o.core, &o.records[0], batchMax)
			if count < 0 {
				s.lost = failure("rbcore_snapshot_read", count)
			}
			if count <= 0 {
				return
			}
			for i := range int(count) {
				rec := recordOf(&o.records[i], info.EndPos)
				seen++
				if !yield(rec) || s.taken != taken {
					return
				}
				if s.loops != loop {
					s.lost = nil
					loop = s.begin(seen)
					break
				}
			}
		}
	}
}

// begin goes to this record, for a new loop, and returns the loop's number.
func (s *Snapshot) begin(first int) int {
	o := s.owned
	C.rbcore_snapshot_rewind(o.core)
	for first > 0 {
		count := C.rbcore_snapshot_read(o.core, &o.records[0], C.size_t(min(first, batchMax)))
		first -= max(int(count), 1)
	}
	s.loops++
	return s.loops
}

// recordOf is a record of a snapshot with this end.
func recordOf(from *C.rbcore_record, end uint64) Record {
	var rec Record
	position, size := uint64(from.position), uint32(from.size)
	rec.set(unsafe.Pointer(from.data), uint16(from.ring), position, size, end-position, (uint64(size)+15)&^7)
	return rec
}

// Err tells why the last loop over Records ended before the last record. It is syscall.EBADMSG if the next
// record is impossible, because a hostile producer wrote it.
func (s *Snapshot) Err() error {
	if s == nil {
		return errNoSnapshot
	}
	return s.lost
}

// Info tells which ring the snapshot is of, and when it was taken. The error is syscall.ENODATA if it is
// empty.
func (s *Snapshot) Info() (SnapshotInfo, error) {
	if s == nil {
		return SnapshotInfo{}, errNoSnapshot
	}
	o := s.own()
	if o.core == nil {
		return SnapshotInfo{}, errEmpty
	}
	var info C.rbcore_snapshot_info
	C.rbcore_snapshot_info_init(&info, C.sizeof_rbcore_snapshot_info)
	if result := C.rbcore_snapshot_info_get(o.core, &info); result < 0 {
		return SnapshotInfo{}, failure("rbcore_snapshot_info_get", result)
	}
	return infoOf(&info), nil
}

// Close frees the snapshot's memory, and leaves it empty. Otherwise the memory is freed when the snapshot can
// no longer be reached.
func (s *Snapshot) Close() error {
	if s == nil {
		return errNoSnapshot
	}
	s.taken++
	s.own().free()
	return nil
}

// ---- Files ----

// WriteTo writes the snapshot as a file that all languages of the project read. A Snapshot is an io.WriterTo.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	if s == nil {
		return 0, errNoSnapshot
	}
	if w == nil {
		return 0, invalid("write a snapshot: the writer is nil")
	}
	o := s.own()
	if o.core == nil {
		return 0, errEmpty
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	saved := make(chan C.int)
	go func() {
		result := withFD(writer, func(fd C.int) C.int { return C.rbcore_snapshot_save(o.core, fd) })
		writer.Close()
		saved <- result
	}()
	n, err := io.Copy(w, reader)
	io.Copy(io.Discard, reader) // after an error, as there would be a SIGPIPE
	reader.Close()
	if result := <-saved; result < 0 && err == nil {
		err = failure("rbcore_snapshot_save", result)
	}
	return n, err
}

// SnapshotHeader describes the records from first to last as a snapshot, without copying them. Header and content,
// written one after the other, are a file as [Snapshot.WriteTo] writes it. Both are records of one ring, of this
// reader, that were not copied and not given back; they may be the same. What lies between them is part of the
// content. It is memory of the ring like RawSample, and as long valid as that of first.
//
// The error is syscall.EINVAL if these are not such records, or last comes before first, and syscall.EBADMSG if between
// them is a record that a dead producer left unfinished, or one that no producer writes. Each record can be described
// by itself then.
func (r *Reader) SnapshotHeader(first, last *Record) (header [SnapshotHeaderSize]byte, content []byte, err error) {
	if !r.isMade() {
		return header, nil, errNoReader
	}
	if first == nil || last == nil {
		return header, nil, errNotDescribed
	}
	r.lock()
	defer r.mu.Unlock()
	if r.core == nil {
		return header, nil, ErrClosed
	}
	ring := r.owned.ring(int(first.ring))
	if ring == nil || ring.view == nil || !first.inRing || !last.inRing || first.ring != last.ring {
		return header, nil, errNotDescribed
	}
	described := C.ringbuf_describe(r.core, ring.held(first.position, first.size), ring.held(last.position, last.size),
		unsafe.Pointer(&header))
	if described.result < 0 {
		return header, nil, r.failure("describe records", described.result)
	}
	begin, size := uintptr(first.position&ring.mask), uintptr(described.size)
	if end := begin + size; end > ring.size {
		if err := ring.reach(end - ring.size); err != nil {
			return header, nil, err
		}
	}
	return header, unsafe.Slice((*byte)(unsafe.Add(ring.view, begin)), size), nil
}

// ReadSnapshot reads a snapshot that was written by WriteTo, or in another language, on any machine. It reads
// no byte more, so several snapshots may follow each other.
//
// The error is io.EOF at the end, syscall.EBADMSG if the file is not a snapshot or is cut off or damaged, and
// syscall.E2BIG if it was written by a newer version.
func ReadSnapshot(r io.Reader) (*Snapshot, error) {
	if r == nil {
		return nil, invalid("read a snapshot: the reader is nil")
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	read := make(chan error)
	go func() {
		err := copySnapshot(writer, r)
		writer.Close()
		read <- err
	}()
	s := new(Snapshot)
	o := s.own()
	result := withFD(reader, func(fd C.int) C.int { return C.rbcore_snapshot_load(&o.core, fd) })
	reader.Close()
	err = <-read
	switch {
	case result == 0:
		return s, nil
	case err != nil && !errors.Is(err, syscall.EPIPE):
		return nil, err
	case result == -C.ENODATA:
		return nil, io.EOF
	default:
		return nil, failure("rbcore_snapshot_load", result)
	}
}

// withFD calls with the descriptor of a pipe.
func withFD(file *os.File, call func(C.int) C.int) C.int {
	result := C.int(-C.EBADF)
	conn, err := file.SyscallConn()
	if err == nil {
		conn.Control(func(fd uintptr) { result = call(C.int(fd)) })
	}
	return result
}

// Where the header of a snapshot's file has sizes, and which sizes are believed. Blocks of other kinds begin with 16
// bytes, of which the second half is their size.
const (
	blockHead    = 16
	headerSizeAt = 12
	headerMin    = SnapshotHeaderSize
	headerMax    = 4096
	firstPosAt   = 64
	endPosAt     = 72
	ringMax      = 1 << 31
)

// copySnapshot copies the blocks of other kinds before the snapshot, and as many bytes as the snapshot has. The
// library says what is wrong with them.
func copySnapshot(w io.Writer, r io.Reader) error {
	little := binary.LittleEndian
	header := make([]byte, headerMin, headerMax)
	for {
		if isWhole, err := readHead(w, r, header[:0], blockHead); !isWhole {
			return err
		}
		size := little.Uint64(header[8:])
		if !isOtherBlock(header) {
			break
		}
		if err := copyBlock(w, header[:blockHead], r, min(max(size, blockHead), ringMax)-blockHead); err != nil {
			return err
		}
	}
	if isWhole, err := readHead(w, r, header[:blockHead], headerMin); !isWhole {
		return err
	}
	size := little.Uint64(header[endPosAt:]) - little.Uint64(header[firstPosAt:])
	size += uint64(max(headerMin, min(headerMax, little.Uint32(header[headerSizeAt:]))) - headerMin)
	return copyBlock(w, header, r, min(size, ringMax+headerMax))
}

// isOtherBlock tells whether a block is not a snapshot, by its first bytes.
func isOtherBlock(head []byte) bool {
	return string(head[:2]) == "rb" && string(head[6:8]) == "\r\n" && string(head[2:6]) != "snap"
}

// readHead reads on until the head has so many bytes. Where the file ends before, it writes what there is.
func readHead(w io.Writer, r io.Reader, head []byte, size int) (bool, error) {
	n, err := io.ReadFull(r, head[len(head):size])
	if err == nil {
		return true, nil
	}
	w.Write(head[:len(head)+n])
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return false, err
}

func copyBlock(w io.Writer, head []byte, r io.Reader, size uint64) error {
	_, err := io.Copy(w, io.MultiReader(bytes.NewReader(head), io.LimitReader(r, int64(size))))
	return err
}
