// SPDX-License-Identifier: MIT

// Prints the machine's execs and scheduler switches as they happen, until it is interrupted. Then it ends
// the events, prints what is left in the ring, and how many were lost because the ring was full.
//
//	go generate ./... && go build ./tail && sudo ./tail
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
	"rbcore.example/go/events"
)

// Lines printed of each kind in a tenth of a second: a terminal cannot keep up with all.
var linesMax = map[uint32]int{events.KindExec: 4, events.KindSwitch: 1}

// A printer prints the first events of each kind in a tenth of a second, and leaves out the rest.
type printer struct {
	tenth uint64
	lines map[uint32]int
}

func (p *printer) print(sample []byte) error {
	event, err := ringbuf.As[events.Event](sample)
	if err != nil {
		return err
	}
	if tenth := event.TimeNS / 1e8; tenth != p.tenth {
		p.tenth, p.lines = tenth, map[uint32]int{}
	}
	if p.lines[event.Kind]++; p.lines[event.Kind] > linesMax[event.Kind] {
		return nil
	}
	from := fmt.Sprintf("%14.6f  cpu %-3d %s[%d]", float64(event.TimeNS)/1e9, event.CPU, events.Text(event.Name[:]), event.PID)
	switch event.Kind {
	case events.KindExec:
		exec, err := ringbuf.As[events.Exec](sample)
		if err != nil {
			return err
		}
		fmt.Println(from, "runs", events.Text(exec.File[:]))
	case events.KindSwitch:
		next, err := ringbuf.As[events.Switch](sample)
		if err != nil {
			return err
		}
		fmt.Printf("%s -> %s[%d]\n", from, events.Text(next.NextName[:]), next.NextPID)
	}
	return nil
}

func statistics(reader *ringbuf.Reader) (ringbuf.ReaderStats, ringbuf.RingStats, error) {
	stats, err := reader.Stats()
	if err != nil {
		return stats, ringbuf.RingStats{}, err
	}
	ring, err := reader.RingStats(0)
	return stats, ring, err
}

// report prints what was read in each second.
func report(ctx context.Context, reader *ringbuf.Reader) {
	var before ringbuf.ReaderStats
	for ctx.Err() == nil {
		time.Sleep(time.Second)
		stats, ring, err := statistics(reader)
		if err != nil {
			return // closed
		}
		fmt.Printf("-- %d records/s, %d batches/s, %d wakeups/s, %d lost so far\n", stats.Records-before.Records,
			stats.Batches-before.Batches, stats.Wakeups-before.Wakeups, ring.Lost)
		before = stats
	}
}

func run(ctx context.Context) error {
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
	go report(ctx, reader)

	// At the end of ctx there are no new events; those that are there still come, and then ErrFlushed.
	context.AfterFunc(ctx, func() {
		program.Detach()
		reader.Flush()
	})
	var out printer
	for record := range reader.Records(context.Background()) {
		if err := out.print(record.RawSample); err != nil {
			return err
		}
	}
	if err := reader.Err(); !errors.Is(err, ringbuf.ErrFlushed) {
		return err
	}
	stats, ring, err := statistics(reader)
	if err != nil {
		return err
	}
	fmt.Printf("%d records, %d batches, %d commits, %d wakeups, %d lost\n",
		stats.Records, stats.Batches, stats.Commits, stats.Wakeups, ring.Lost)
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal("tail: ", err)
	}
}
