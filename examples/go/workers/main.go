// SPDX-License-Identifier: MIT

// Hands the machine's execs and scheduler switches to goroutines, which hold the records as long as they
// like and give them back in any order; nothing is copied. When it is interrupted, it ends the events, and
// prints how often a CPU went from each program to another.
//
//	go generate ./... && go build ./workers && sudo ./workers
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"sync"
	"syscall"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
	"rbcore.example/go/events"
)

const (
	workers = 4
	queued  = 16 // batches
)

// Switches away from each program.
type counts struct {
	mu    sync.Mutex
	names map[[16]byte]int
}

func (c *counts) add(names map[[16]byte]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, count := range names {
		c.names[name] += count
	}
}

func work(reader *ringbuf.Reader, queue <-chan []ringbuf.Record, total *counts) error {
	var failed error
	names := map[[16]byte]int{}
	for batch := range queue {
		for i := range batch {
			if event, err := ringbuf.As[events.Event](batch[i].RawSample); err != nil {
				failed = err
			} else if event.Kind == events.KindSwitch {
				names[event.Name]++
			}
		}
		failed = errors.Join(failed, reader.Release(batch...))
	}
	total.add(names)
	return failed
}

// distribute hands batches to the workers, until a flush of the reader has brought all that there was.
func distribute(reader *ringbuf.Reader, queue chan<- []ringbuf.Record) error {
	defer close(queue)
	for {
		batch := make([]ringbuf.Record, 64)
		n, err := reader.ReadBatch(batch)
		if errors.Is(err, ringbuf.ErrFlushed) {
			return nil
		}
		if err != nil {
			return err
		}
		queue <- batch[:n]
	}
}

func run(ctx context.Context) error {
	program, err := events.Load(nil)
	if err != nil {
		return err
	}
	defer program.Close()
	reader, err := ringbuf.NewReader(program.Ring, ringbuf.WithLossMap(program.Lost), ringbuf.WithRelease())
	if err != nil {
		return err
	}
	defer reader.Close()
	context.AfterFunc(ctx, func() {
		program.Detach()
		reader.Flush()
	})

	total := counts{names: map[[16]byte]int{}}
	queue := make(chan []ringbuf.Record, queued)
	failed := make(chan error, workers)
	for range workers {
		go func() { failed <- work(reader, queue, &total) }()
	}
	err = distribute(reader, queue)
	for range workers {
		err = errors.Join(err, <-failed)
	}
	if err != nil {
		return err
	}
	for name, count := range total.names {
		fmt.Printf("%7d %s\n", count, events.Text(name[:]))
	}
	stats, err := reader.RingStats(0)
	if err != nil {
		return err
	}
	fmt.Printf("%d records by %d workers, %d bytes not given back, %d lost\n", stats.Records, workers,
		stats.ProducerPos-stats.UserPos, stats.Lost)
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal("workers: ", err)
	}
}
