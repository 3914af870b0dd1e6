// SPDX-License-Identifier: MIT

// A flight recorder: when a program of a given name is started, it prints the last events of the machine
// before that. The ring keeps them. In overwrite mode (Linux 6.19) the ring always has the newest events, and
// one call copies them. On older kernels the reader gives a record back only when it is far behind.
//
//	go generate ./... && go build ./flight && sudo ./flight [-n RECORDS] NAME
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"github.com/cilium/ebpf"

	ringbuf "github.com/rbcore/rbcore/bindings/go"
	"rbcore.example/go/events"
)

const mapOverwrites = 1 << 19 // BPF_F_RB_OVERWRITE

// A recorder follows the ring, and leaves in it what may be asked for.
type recorder struct {
	reader     *ringbuf.Reader
	overwrites bool
	kept       []ringbuf.Record // the last of each batch that is not given back
}

// keep gives back what is not needed any more: if producers do not overwrite it, half of the ring is enough.
func (r *recorder) keep(last ringbuf.Record) error {
	if r.overwrites {
		return r.reader.Commit()
	}
	r.kept = append(r.kept, last)
	old := -1
	for i := range r.kept {
		if last.Position()-r.kept[i].Position() > uint64(r.reader.BufferSize()/2) {
			old = i
		}
	}
	if old < 0 {
		return nil
	}
	err := r.reader.CommitTo(&r.kept[old])
	r.kept = r.kept[old+1:]
	return err
}

// waitFor reads until a program of that name is started, and returns where that record is.
func (r *recorder) waitFor(ctx context.Context, name string) (uint64, error) {
	records := make([]ringbuf.Record, 256)
	for {
		n, err := r.reader.ReadBatchContext(ctx, records)
		if err != nil {
			return 0, err
		}
		for i := range records[:n] {
			event, err := ringbuf.As[events.Event](records[i].RawSample)
			if err != nil {
				return 0, err
			}
			if event.Kind == events.KindExec && events.Text(event.Name[:]) == name {
				return records[i].Position(), nil
			}
		}
		if err := r.keep(records[n-1]); err != nil {
			return 0, err
		}
	}
}

// printFlight prints the last records of the snapshot before the trigger, and the trigger.
func printFlight(snapshot *ringbuf.Snapshot, trigger uint64, most int) error {
	var before []ringbuf.Record
	for record := range snapshot.Records() {
		if record.Position() > trigger {
			break
		}
		before = append(before, record)
	}
	if err := snapshot.Err(); err != nil {
		return err
	}
	last := len(before) - 1
	if last < 0 || before[last].Position() != trigger {
		return errors.New("the trigger was overwritten before it was copied")
	}
	for _, record := range before[max(last-most, 0):] {
		event, err := ringbuf.As[events.Event](record.RawSample)
		if err != nil {
			return err
		}
		fmt.Printf("%14.6f  cpu %-3d kind %d %s[%d] at %d\n", float64(event.TimeNS)/1e9, event.CPU, event.Kind,
			events.Text(event.Name[:]), event.PID, record.Position())
	}
	fmt.Printf("the last %d of %d records before the trigger\n", min(last, most), last)
	return nil
}

func run(ctx context.Context, name string, most int) error {
	overwrites, err := ringbuf.Supports(ringbuf.FeatureOverwrite)
	if err != nil {
		return err
	}
	var options []ringbuf.Option
	program, err := events.Load(func(spec *ebpf.CollectionSpec) {
		if overwrites {
			spec.Maps["events"].Flags |= mapOverwrites
			options = append(options, ringbuf.WithOverwrite())
		}
	})
	if err != nil {
		return err
	}
	defer program.Close()
	reader, err := ringbuf.NewReader(program.Ring, append(options, ringbuf.WithLossMap(program.Lost))...)
	if err != nil {
		return err
	}
	defer reader.Close()

	recorder := recorder{reader: reader, overwrites: overwrites}
	trigger, err := recorder.waitFor(ctx, name)
	if err != nil {
		return err
	}
	snapshot, err := reader.Snapshot(0)
	if err != nil {
		return err
	}
	defer snapshot.Close()
	if err := printFlight(snapshot, trigger, most); err != nil {
		return err
	}
	stats, err := reader.RingStats(0)
	if err != nil {
		return err
	}
	fmt.Printf("%d records read, %d lost\n", stats.Records, stats.Lost)
	return nil
}

func main() {
	most := flag.Int("n", 10, "how many records")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("usage: flight [-n RECORDS] NAME")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, flag.Arg(0), max(*most, 1)); err != nil {
		log.Fatal("flight: ", err)
	}
}
