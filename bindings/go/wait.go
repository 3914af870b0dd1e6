//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

// #include "shim.h"
import "C"

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

// How long a reader may sleep in the library, in one call and until it lets other goroutines run. What is due
// on its thread meanwhile, such as the timer of another goroutine, is late by no more than that. With a
// larger latency the cost of a wait matters less.
const longestSleep = time.Millisecond

var epoch = time.Now()

// waiting is how a read waits for records. The goroutine that has the turn uses all of it. Others use
// only the atomic fields and file: Close, Flush, Commit and SetDeadline need not wait for the turn.
type waiting struct {
	turn chan struct{} // has an element while a goroutine has the turn
	// What the read with the turn waits for, and what came of it.
	waitContext context.Context
	waitMax     int
	waitResult  error
	// A read that sleeps in the library has mu. Goroutines that want mu count themselves in wanted, and
	// wake it.
	longestSleep time.Duration // 0: never sleeps there
	slept        time.Duration // at most, since the goroutine was scheduled last
	sleeps       atomic.Bool
	wanted       atomic.Int32
	deadline     atomic.Int64 // in nanoseconds after epoch; math.MaxInt64: none

	file *os.File // the library's descriptor in the runtime's netpoller
	conn syscall.RawConn
	look func(uintptr) bool // r.lookFor, made once
}

// lookFor fetches for the read that waits. It returns true, and still has mu, if the wait is over.
func (r *Reader) lookFor(uintptr) bool {
	r.mu.Lock()
	r.waitResult = nil
	if r.run.count == 0 {
		r.waitResult = r.fetch(r.waitMax, false, r.sleep())
		r.sleeps.Store(false)
	}
	if r.run.count == 0 && r.waitResult == nil {
		r.waitResult = context.Cause(r.waitContext)
	}
	if r.run.count != 0 || r.waitResult != nil {
		return true
	}
	r.mu.Unlock()
	return false
}

// sleep is how long a fetch may sleep in the library. While records come by the timer, a wait is just a sleep
// until then. That is cheaper in the library than in the runtime's netpoller, and too short for other
// goroutines to miss the thread.
func (r *Reader) sleep() time.Duration {
	if !r.maySleep() {
		return 0
	}
	// First, so that a goroutine that wants something from now on ends the sleep.
	r.sleeps.Store(true)
	if r.wanted.Load() != 0 {
		return 0
	}
	deadline := r.deadline.Load()
	if deadline == math.MaxInt64 {
		return r.longestSleep
	}
	return max(min(r.longestSleep, time.Duration(deadline)-time.Since(epoch)), 0)
}

// lock gets mu for a call that does not wait for records.
func (r *Reader) lock() {
	if r.mu.TryLock() {
		return
	}
	r.wanted.Add(1)
	r.wake()
	r.mu.Lock()
	r.wanted.Add(-1)
}

// wake ends the sleep of a read in the library, which then waits in the runtime.
func (r *Reader) wake() {
	if r.sleeps.Load() {
		r.interrupt()
	}
}

// wait waits until there is a batch. It returns with mu. leftSome says that the last fetch left records.
func (r *Reader) wait(ctx context.Context, most int, leftSome bool) error {
	if !r.takeTurn(ctx) {
		r.lock()
		return context.Cause(ctx)
	}
	r.waitContext, r.waitMax = ctx, most
	// Where there will be records no time is lost by preparing for the runtime's wait.
	var err error
	if !r.expectsRecords(leftSome) || !r.lookFor(0) {
		err = r.conn.Read(r.look)
	}
	if err == nil {
		err = r.waitResult
	} else {
		r.mu.Lock()
		err = r.notWaited(most, err)
	}
	r.waitContext, r.waitResult = nil, nil
	<-r.turn
	return err
}

// takeTurn waits for the turn. It returns false if the context was done before.
func (r *Reader) takeTurn(ctx context.Context) bool {
	if ctx.Done() == nil {
		r.turn <- struct{}{}
		return true
	}
	select {
	case r.turn <- struct{}{}:
		return true
	default:
	}
	select {
	case r.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

// expectsRecords tells whether a look will find records: the last one left some, or this one may sleep.
func (r *Reader) expectsRecords(leftSome bool) bool {
	if leftSome {
		return true
	}
	if !r.maySleep() {
		return false
	}
	// The runtime's monitor takes a goroutine that is not scheduled for long for one that keeps others from
	// running, and would disturb each call of the library.
	if r.slept += r.longestSleep; r.slept >= longestSleep {
		r.slept = 0
		runtime.Gosched()
	}
	return true
}

func (r *Reader) maySleep() bool {
	return r.batch.is_paced != 0 && r.longestSleep != 0
}

// notWaited turns an error of the runtime's wait into the reader's.
func (r *Reader) notWaited(most int, err error) error {
	switch {
	case r.closed.Load():
		return ErrClosed
	case r.run.count != 0:
		return nil
	case !errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("ringbuf: wait: %w", err)
	}
	// The deadline ends the wait, but all that is there comes before it, due or not.
	if failed := r.fetch(most, true, 0); failed != nil || r.run.count != 0 {
		return failed
	}
	return err
}

// interrupt wakes the read that waits, to look at its context.
func (r *Reader) interrupt() {
	r.life.RLock()
	defer r.life.RUnlock()
	if r.core != nil {
		C.rbcore_reader_interrupt(r.core)
	}
}

// SetDeadline sets when reads stop waiting. It holds for reads that wait already, too. With the zero time
// they never stop.
func (r *Reader) SetDeadline(t time.Time) {
	if !r.isMade() {
		return
	}
	deadline := int64(math.MaxInt64)
	if !t.IsZero() {
		deadline = int64(t.Sub(epoch))
	}
	r.deadline.Store(deadline)
	// The error says that the reader is closed, which all reads will say.
	_ = r.file.SetReadDeadline(t)
	r.wake()
}

// Flush makes reads return all that is in the rings now, including records that woke no reader, and then
// [ErrFlushed], once for all rings.
func (r *Reader) Flush() error {
	if !r.isMade() {
		return errNoReader
	}
	r.life.RLock()
	defer r.life.RUnlock()
	if r.closed.Load() {
		return ErrClosed
	}
	if result := C.rbcore_reader_flush(r.core); result < 0 {
		return failure("rbcore_reader_flush", result)
	}
	return nil
}
