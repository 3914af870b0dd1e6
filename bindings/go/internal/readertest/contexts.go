//go:build linux && cgo

// SPDX-License-Identifier: MIT

package readertest

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

// Each way to read one record within a context, and what gives it back then.
var readsWithin = map[string]func(context.Context, *ringbuf.Reader) (ringbuf.Record, error){
	"ReadContext": func(ctx context.Context, reader *ringbuf.Reader) (ringbuf.Record, error) {
		return reader.ReadContext(ctx)
	},
	"ReadIntoContext": func(ctx context.Context, reader *ringbuf.Reader) (ringbuf.Record, error) {
		var record ringbuf.Record
		err := reader.ReadIntoContext(ctx, &record)
		return record, err
	},
	"ReadZeroCopyContext": func(ctx context.Context, reader *ringbuf.Reader) (ringbuf.Record, error) {
		var record ringbuf.Record
		err := reader.ReadZeroCopyContext(ctx, &record)
		return record, err
	},
	"ReadBatchContext": func(ctx context.Context, reader *ringbuf.Reader) (ringbuf.Record, error) {
		var records [1]ringbuf.Record
		n, err := reader.ReadBatchContext(ctx, records[:])
		if (n == 1) != (err == nil) {
			err = errors.Join(err, errors.New("neither a record nor an error, or both"))
		}
		return records[0], err
	},
	"ReadSpanContext": func(ctx context.Context, reader *ringbuf.Reader) (ringbuf.Record, error) {
		span, err := reader.ReadSpanContext(ctx, 1)
		if err != nil {
			return ringbuf.Record{}, err
		}
		return span.Record(0), nil
	},
}

var errReason = errors.New("a reason")

// A context that is done ends a read before, while and as often as it waits, and takes no record away.
func contexts(t *testing.T, newSource Maker) {
	for name, read := range readsWithin {
		for kind, options := range map[string][]ringbuf.Option{
			"": nil, " WithRelease": {ringbuf.WithRelease()}, " that polls": {ringbuf.WithPolling()},
		} {
			t.Run(name+kind, func(t *testing.T) {
				source, reader := both(t, newSource, options...)
				endsByContext(t, source, reader, read)
			})
		}
	}
}

func endsByContext(t *testing.T, source Source, reader *ringbuf.Reader,
	read func(context.Context, *ringbuf.Reader) (ringbuf.Record, error)) {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	produce(t, source, 1, 2)
	record, err := read(ctx, reader)
	must(t, err)
	is(t, &record, 1)
	cancel(errReason)
	_, err = read(ctx, reader) // done before, though there is a record
	wants(t, err, errReason)
	record, err = read(t.Context(), reader)
	must(t, err)
	is(t, &record, 2)

	soonest := time.Hour
	for range 3 {
		soonest = min(soonest, cancelWhileBlocked(t, reader, read))
	}
	if soonest > 50*time.Millisecond { // less than between two looks of a reader without wakeups
		t.Errorf("a read ended %v after its context", soonest)
	}
	short, end := context.WithTimeout(t.Context(), time.Millisecond)
	defer end()
	_, err = read(short, reader)
	wants(t, err, context.DeadlineExceeded)
	_, err = read(nil, reader) //nolint:staticcheck // that is what is tried
	if err == nil {
		t.Error("no error without a context")
	}
	produce(t, source, 3)
	record, err = read(t.Context(), reader)
	must(t, err)
	is(t, &record, 3)
}

// Returns how long after its context the read ended.
func cancelWhileBlocked(t *testing.T, reader *ringbuf.Reader,
	read func(context.Context, *ringbuf.Reader) (ringbuf.Record, error)) time.Duration {
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	goroutines := runtime.NumGoroutine()
	var done time.Time
	time.AfterFunc(5*time.Millisecond, func() {
		if now := runtime.NumGoroutine(); now > goroutines+1 { // this one
			t.Errorf("%d goroutines where there were %d", now, goroutines)
		}
		done = time.Now()
		cancel(errReason)
	})
	_, err := read(ctx, reader)
	wants(t, err, errReason)
	return time.Since(done)
}

// Where records were fetched before, nothing is prepared for a wait.
func contextCostsNothing(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	fillUp(t, source, 24)
	var record ringbuf.Record
	must(t, reader.ReadZeroCopyContext(ctx, &record))
	equal(t, "allocations", testing.AllocsPerRun(100, func() {
		must(t, reader.ReadZeroCopyContext(ctx, &record))
	}), 0)
}

// Of two that wait the one is ended by its context, and the other goes on.
func contextOfOneOfTwo(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	for number := range uint64(20) {
		ctx, cancel := context.WithCancelCause(t.Context())
		result := make(chan error, 1)
		go func() {
			_, err := reader.ReadContext(ctx)
			result <- err
		}()
		if number%2 == 0 {
			runtime.Gosched() // either waits for the ring, the other for its turn
		}
		other := make(chan ringbuf.Record, 1)
		go func() {
			record, err := reader.Read()
			if err != nil {
				t.Error(err)
			}
			other <- record
		}()
		time.Sleep(2 * time.Millisecond)
		cancel(errReason)
		wants(t, <-result, errReason)
		produce(t, source, number)
		record := <-other
		is(t, &record, number)
	}
}

// Contexts that are done at any moment lose no record of a ring in use, and double none.
func contextsOfMany(t *testing.T, newSource Maker) {
	source, reader := both(t, newSource)
	result := make(chan error, 1)
	go func() { result <- produceMany(source) }()
	number := uint64(0)
	for number < manyRecords {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(200))*time.Microsecond)
		var err error
		for err == nil && number < manyRecords {
			var records [64]ringbuf.Record
			var n int
			n, err = reader.ReadBatchContext(ctx, records[:1+rand.IntN(len(records))])
			for i := range records[:n] {
				equal(t, "number", binary.NativeEndian.Uint64(records[i].RawSample), number)
				number++
			}
			must(t, reader.Commit())
		}
		if err != nil {
			wants(t, err, context.DeadlineExceeded)
		}
		cancel()
	}
	must(t, <-result)
	isEmpty(t, reader)
}
