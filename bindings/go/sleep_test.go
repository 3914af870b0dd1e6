//go:build linux && cgo

// SPDX-License-Identifier: MIT

package ringbuf

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const (
	tooLong  = 30 * time.Second // no sleep of a test ends by itself
	watchdog = 10 * time.Second
)

func newSleepRing(t *testing.T, options ...Option) (*Reader, *Producer) {
	t.Helper()
	ring, err := NewMemoryRing(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ring.Close() })
	producer, err := NewProducer(ring)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { producer.Close() })
	reader, err := NewReader(ring, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	return reader, producer
}

// newSleeper is a reader that will sleep in the library, as if its ring were paced, but for very long.
func newSleeper(t *testing.T) (*Reader, *Producer) {
	t.Helper()
	reader, producer := newSleepRing(t)
	reader.longestSleep = tooLong
	reader.batch.is_paced = 1
	return reader, producer
}

// sleeping is one that does so by now; what its read returned comes through the channel.
func sleeping(t *testing.T, read func(*Reader) error) (*Reader, *Producer, chan error) {
	t.Helper()
	reader, producer := newSleeper(t)
	result := make(chan error, 1)
	go func() { result <- read(reader) }()
	for end := time.Now().Add(watchdog); !reader.sleeps.Load(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the reader does not sleep in the library")
		}
	}
	time.Sleep(10 * time.Millisecond) // by now it does what it is about to do
	return reader, producer, result
}

func readOne(reader *Reader) error {
	_, err := reader.Read()
	return err
}

func ends(t *testing.T, result <-chan error, want error) {
	t.Helper()
	select {
	case err := <-result:
		if !errors.Is(err, want) {
			t.Fatalf("got error %v instead of %v", err, want)
		}
	case <-time.After(watchdog):
		t.Fatal("it sleeps on")
	}
}

func TestCloseOfSleeper(t *testing.T) {
	reader, _, result := sleeping(t, readOne)
	closed := make(chan error, 1)
	go func() { closed <- reader.Close() }()
	ends(t, result, ErrClosed)
	ends(t, closed, nil)
}

func TestFlushOfSleeper(t *testing.T) {
	reader, _, result := sleeping(t, readOne)
	flushed := make(chan error, 1)
	go func() { flushed <- reader.Flush() }()
	ends(t, flushed, nil)
	ends(t, result, ErrFlushed)
}

func TestDeadlineOfSleeper(t *testing.T) {
	reader, _, result := sleeping(t, readOne)
	reader.SetDeadline(time.Now().Add(20 * time.Millisecond))
	ends(t, result, os.ErrDeadlineExceeded)
}

// A deadline that stands when the sleep begins.
func TestSleepUntilDeadline(t *testing.T) {
	reader, _ := newSleeper(t)
	begin := time.Now()
	reader.SetDeadline(begin.Add(50 * time.Millisecond))
	result := make(chan error, 1)
	go func() { result <- readOne(reader) }()
	ends(t, result, os.ErrDeadlineExceeded)
	if waited := time.Since(begin); waited < 50*time.Millisecond {
		t.Fatalf("waited for %v only", waited)
	}
}

func TestContextOfSleeper(t *testing.T) {
	for name, read := range map[string]func(context.Context, *Reader) error{
		"Records": func(ctx context.Context, reader *Reader) error {
			for range reader.Records(ctx) {
			}
			return reader.Err()
		},
		"ReadContext": func(ctx context.Context, reader *Reader) error {
			_, err := reader.ReadContext(ctx)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			_, _, result := sleeping(t, func(reader *Reader) error { return read(ctx, reader) })
			cancel()
			ends(t, result, context.Canceled)
		})
	}
}

func TestRecordForSleeper(t *testing.T) {
	_, producer, result := sleeping(t, readOne)
	if err := producer.Output(nil, 0); err != nil {
		t.Fatal(err)
	}
	ends(t, result, nil)
}

// Stopped and continued, as by Ctrl-Z and fg, it reads on: asleep in the library, and in the runtime.
func TestStopAndContinue(t *testing.T) {
	stopAndContinue := func() {
		t.Helper()
		script := "kill -STOP $0; sleep 0.05; kill -CONT $0"
		if err := exec.Command("sh", "-c", script, strconv.Itoa(os.Getpid())).Run(); err != nil {
			t.Fatal(err)
		}
	}
	_, producer, result := sleeping(t, readOne)
	stopAndContinue()
	if err := producer.Output(nil, 0); err != nil {
		t.Fatal(err)
	}
	ends(t, result, nil)

	reader, producer := newSleepRing(t)
	go func() { result <- readOne(reader) }()
	time.Sleep(10 * time.Millisecond)
	stopAndContinue()
	if err := producer.Output(nil, 0); err != nil {
		t.Fatal(err)
	}
	ends(t, result, nil)
}

// A read that sleeps has the lock. Others get it all the same, and the read goes on.
func TestOthersBesideSleeper(t *testing.T) {
	calls := map[string]func(*Reader) error{
		"Commit": (*Reader).Commit,
		"Stats": func(reader *Reader) error {
			_, err := reader.Stats()
			return err
		},
		"Add and Remove": func(reader *Reader) error {
			ring, err := NewMemoryRing(1 << 20)
			if err != nil {
				return err
			}
			defer ring.Close()
			index, err := reader.Add(ring)
			return errors.Join(err, reader.Remove(index))
		},
		"AvailableBytes": func(reader *Reader) error {
			reader.AvailableBytes()
			return nil
		},
		"Snapshot": func(reader *Reader) error {
			_, err := reader.Snapshot(0)
			return err
		},
		"SnapshotHeader": func(reader *Reader) error {
			var record Record
			if _, _, err := reader.SnapshotHeader(&record, &record); !errors.Is(err, syscall.EINVAL) {
				return fmt.Errorf("got %v", err)
			}
			return nil
		},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			reader, producer, result := sleeping(t, readOne)
			done := make(chan error, 1)
			go func() { done <- call(reader) }()
			ends(t, done, nil)
			if err := producer.Output(nil, 0); err != nil {
				t.Fatal(err)
			}
			ends(t, result, nil)
		})
	}
}

// A read of a paced ring sleeps in the library. When the ring became idle, the read waits in the runtime.
func TestWhereAReadSleeps(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(2))
	t.Run("default", func(t *testing.T) { whoSleeps(t, WithMaxLatency(longestSleep)) })
	// Never armed, but idle.
	t.Run("polling", func(t *testing.T) { whoSleeps(t, WithMaxLatency(longestSleep), WithPolling()) })
}

func whoSleeps(t *testing.T, options ...Option) {
	reader, producer := newSleepRing(t, options...)
	end := time.Now().Add(watchdog)
	for number := uint64(0); !reader.maySleep(); number++ {
		if time.Now().After(end) {
			t.Fatal("the ring was never paced")
		}
		for range 100 {
			if err := producer.Output(binary.NativeEndian.AppendUint64(nil, number), 0); err != nil {
				t.Fatal(err)
			}
		}
		for range 100 {
			if record, err := reader.Read(); err != nil || binary.NativeEndian.Uint64(record.RawSample) != number {
				t.Fatal(number, record, err)
			}
		}
	}
	reader.SetDeadline(time.Now().Add(20 * time.Millisecond))
	if err := readOne(reader); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	if reader.maySleep() {
		t.Fatal("an idle reader may sleep in the library")
	}
}

// It takes another processor of the runtime's, and a latency that is short enough.
func TestReadsThatNeverSleepInC(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	reader, _ := newSleepRing(t)
	if reader.longestSleep != 0 {
		t.Fatalf("sleeps for %v with one processor", reader.longestSleep)
	}
	runtime.GOMAXPROCS(2)
	reader, _ = newSleepRing(t, WithMaxLatency(longestSleep+1))
	if reader.longestSleep != 0 {
		t.Fatalf("sleeps for %v", reader.longestSleep)
	}
}
