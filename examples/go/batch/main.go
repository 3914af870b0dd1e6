// SPDX-License-Identifier: MIT

// Saves the machine's execs and scheduler switches to a file, until it is interrupted. Records are given
// back only after they are safe there: until then they stay in the ring, and if this program died the
// next reader of the ring would have them again.
//
//	go generate ./... && go build ./batch && sudo ./batch FILE
package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
	"rbcore.example/go/events"
)

// save makes records safe.
func save(file *os.File, records []ringbuf.Record) error {
	out := bufio.NewWriter(file)
	for i := range records {
		event, err := ringbuf.As[events.Event](records[i].RawSample)
		if err != nil {
			return err
		}
		fmt.Fprintln(out, records[i].Position(), event.TimeNS, event.Kind, event.PID, events.Text(event.Name[:]))
	}
	return errors.Join(out.Flush(), file.Sync())
}

// drain saves and commits, until a flush of the reader has brought all that there was.
func drain(reader *ringbuf.Reader, file *os.File) error {
	records := make([]ringbuf.Record, 512)
	for {
		n, err := reader.ReadBatch(records)
		if errors.Is(err, ringbuf.ErrFlushed) {
			return nil
		}
		if err == nil {
			err = save(file, records[:n])
		}
		if err == nil {
			err = reader.Commit() // or CommitTo, where only some are safe
		}
		if err != nil {
			return err
		}
	}
}

func run(ctx context.Context, path string) error {
	program, err := events.Load(nil)
	if err != nil {
		return err
	}
	defer program.Close()
	reader, err := ringbuf.NewReader(program.Ring, ringbuf.WithLossMap(program.Lost))
	if err != nil {
		return err
	}
	defer reader.Close()
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() {
		program.Detach()
		reader.Flush()
	})
	if err := errors.Join(drain(reader, file), file.Close()); err != nil {
		return err
	}
	stats, err := reader.Stats()
	if err != nil {
		return err
	}
	ring, err := reader.RingStats(0)
	if err != nil {
		return err
	}
	fmt.Printf("%d records saved in %d batches, %d lost\n", stats.Records, stats.Batches, ring.Lost)
	return nil
}

func main() {
	if len(os.Args) != 2 {
		log.Fatal("usage: batch FILE")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1]); err != nil {
		log.Fatal("batch: ", err)
	}
}
