//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

// #include "shim.h"
import "C"

import (
	"fmt"
	"strings"
	"syscall"
)

// failure is an error of one of the library's functions; errors.Is knows it by its errno.
func failure(function string, result C.int) error {
	errno := syscall.Errno(-result)
	text := C.GoString(C.rbcore_strerror(result))
	for _, cause := range causes {
		if cause.function == function && cause.errno == errno {
			text = cause.text
		}
	}
	what := strings.ReplaceAll(strings.TrimPrefix(function, "rbcore_"), "_", " ")
	return fmt.Errorf("ringbuf: %s: %s (%w)", what, text, errno)
}

// The same in the words that the reader has for it.
func (r *Reader) failure(what string, result C.int) error {
	message := C.GoString(C.rbcore_reader_message(r.core))
	return fmt.Errorf("ringbuf: %s: %s (%w)", what, message, syscall.Errno(-result))
}
