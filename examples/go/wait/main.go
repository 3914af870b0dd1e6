// SPDX-License-Identifier: MIT

// A reader in a program that has other things to do, too: the runtime waits for all of them, and no
// thread for any. Here a goroutine loops over the records until its context is done, next to a timer.
//
//	go run ./wait
package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"time"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
)

const (
	records = 200
	giveUp  = 300 // ticks
)

func must(err error) {
	if err != nil {
		log.Fatal("wait: ", err)
	}
}

// produce writes a record every other millisecond.
func produce(ring *ringbuf.MemoryRing) {
	producer, err := ringbuf.NewProducer(ring)
	must(err)
	defer producer.Close()
	for number := range uint32(records) {
		must(producer.Output(binary.NativeEndian.AppendUint32(nil, number), 0))
		time.Sleep(2 * time.Millisecond)
	}
}

func main() {
	ring, err := ringbuf.NewMemoryRing(65536)
	must(err)
	defer ring.Close()
	reader, err := ringbuf.NewReader(ring)
	must(err)
	defer reader.Close()

	ctx, cancel := context.WithCancel(context.Background())
	seen := make(chan uint32)
	ended := make(chan error)
	go func() {
		for record := range reader.Records(ctx) {
			seen <- binary.NativeEndian.Uint32(record.RawSample)
		}
		ended <- reader.Err()
	}()
	go produce(ring)

	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	count, ticks := 0, 0
	for count < records || ticks == 0 {
		select {
		case <-seen:
			count++
		case <-ticker.C:
			if ticks++; ticks > giveUp {
				log.Fatal("wait: some records are missing")
			}
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		log.Fatal("wait: ", err)
	}
	fmt.Printf("%d records, %d ticks of the timer, and the loop ended with its context\n", count, ticks)
}
