//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

// #include "shim.h"
import "C"

import (
	"fmt"
	"math"
	"strings"
	"syscall"
)

var (
	errNoReader     = invalid("the reader was not opened by NewReader")
	errNoProducer   = invalid("the producer was not opened by NewProducer")
	errNoMemoryRing = invalid("the memory ring was not made by NewMemoryRing")
	errNoSnapshot   = invalid("the snapshot is nil")
	errNoRecord     = invalid("read: the record is nil")
	errNoRing       = invalid("the ring is nil")
	errNoSuchRing   = invalid("the reader has no ring of this index")
	errNoContext    = invalid("the context is nil")
	errNilOption    = invalid("an option is nil")
	errNotHeld      = invalid("commit: the record is not one that was read without a copy and not given back")
	errNotDescribed = invalid("describe records: they are not two of one ring that were read without a copy")
	errNotLent      = invalid("release: a record is not held")
	errEmpty        = fmt.Errorf("ringbuf: an empty snapshot (%w)", syscall.ENODATA)
)

// What each function of the library was called for, in errors for which a reader has no message.
var operations = map[string]string{
	"rbcore_memory_ring_create":    "create a memory ring",
	"rbcore_producer_discard":      "discard",
	"rbcore_producer_open":         "open a producer",
	"rbcore_producer_output":       "output",
	"rbcore_producer_output_batch": "output a batch",
	"rbcore_producer_reserve":      "reserve",
	"rbcore_producer_reserve_wait": "reserve",
	"rbcore_producer_submit":       "submit",
	"rbcore_reader_fd":             "open",
	"rbcore_reader_flush":          "flush",
	"rbcore_reader_open":           "open",
	"rbcore_reader_ring_stats":     "statistics",
	"rbcore_reader_stats_get":      "statistics",
	"rbcore_snapshot_info_get":     "snapshot",
	"rbcore_snapshot_load":         "read a snapshot",
	"rbcore_snapshot_read":         "snapshot",
	"rbcore_snapshot_save":         "write a snapshot",
	"rbcore_source_ring_stats":     "look at a ring",
	"rbcore_supports":              "ask for a feature",
}

// isMade tells a reader from a nil pointer and a zero Reader, whose methods return errors.
func (r *Reader) isMade() bool {
	return r != nil && r.owned != nil
}

// failure is an error of one of the library's functions; errors.Is knows it by its errno.
func failure(function string, result C.int) error {
	errno := syscall.Errno(-result)
	text := C.GoString(C.rbcore_strerror(result))
	if text == C.GoString(C.rbcore_strerror(math.MaxInt32)) {
		text = errno.Error() // the library knows nothing of it
	}
	for _, cause := range causes {
		if cause.function == function && cause.errno == errno {
			text = cause.text
		}
	}
	return failed(operations[function], text, errno)
}

// failure is an error of a call for which the reader has a message.
func (r *Reader) failure(what string, result C.int) error {
	message := words.Replace(C.GoString(C.rbcore_reader_message(r.core)))
	return failed(what, message, syscall.Errno(-result))
}

// failed is an error in one sentence: what was tried, why it failed, and the errno. A message of the
// library may end with the system's words for the errno, as the error does: they stand there once.
func failed(what, why string, errno syscall.Errno) error {
	clauses := strings.Split("ringbuf: "+what+": "+why, ": ")
	if last := len(clauses) - 1; strings.EqualFold(clauses[last], errno.Error()) {
		clauses = clauses[:last]
	}
	return fmt.Errorf("%s (%w)", strings.Join(clauses, ": "), errno)
}
