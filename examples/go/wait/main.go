// SPDX-License-Identifier: MIT

// A reader in a program that has other things to do, too. One goroutine waits for the machine's execs and
// scheduler switches. Another one waits for that, a timer and a signal. The runtime waits for all of them,
// and no thread is blocked.
//
//	go generate ./... && go build ./wait && sudo ./wait
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

// receive sends copies of events to the loop, until ctx is done: what lies in the ring is given back when
// the loop over it goes on.
func receive(ctx context.Context, reader *ringbuf.Reader, received chan<- events.Event) error {
	defer close(received)
	for event, err := range ringbuf.Records[events.Event](ctx, reader) {
		if err != nil {
			return err
		}
		received <- *event
	}
	return nil
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

	received, ended := make(chan events.Event, 64), make(chan error, 1)
	go func() { ended <- receive(ctx, reader, received) }()
	ticker := time.NewTicker(500 * time.Millisecond)
	defer ticker.Stop()
	execs, switches, ticks := 0, 0, 0
	for isOpen := true; isOpen; {
		var event events.Event
		select {
		case event, isOpen = <-received:
			switch event.Kind {
			case events.KindExec:
				execs++
			case events.KindSwitch:
				switches++
			}
		case <-ticker.C:
			ticks++
			fmt.Printf("tick %d: %d execs, %d switches\n", ticks, execs, switches)
		}
	}
	if err := <-ended; !errors.Is(err, context.Cause(ctx)) {
		return err
	}
	stats, err := reader.RingStats(0)
	if err != nil {
		return err
	}
	fmt.Printf("%d execs, %d switches and %d ticks of the timer, %d lost\n", execs, switches, ticks, stats.Lost)
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal("wait: ", err)
	}
}
