// SPDX-License-Identifier: MIT

// Package events loads the BPF program of the examples, ../../bpf/events.bpf.c, which writes a record for
// each exec and each scheduler switch of the machine. The result of go generate is not in the repository,
// because each compiler makes another one.
package events

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

//go:generate sh -c "go tool bpf2go -tags linux bpf ../../bpf/events.bpf.c -- -Wall -Werror -I$(go tool rbcore-include) -I/usr/include/$(uname -m)-linux-gnu"

// Event is what each record begins with: struct event of ../../bpf/events.h.
type Event struct {
	TimeNS uint64 // CLOCK_MONOTONIC
	Kind   uint32
	CPU    uint32
	PID    uint32
	Name   [16]byte
	_      [4]byte
}

// Kinds of events.
const (
	KindExec   = 1
	KindSwitch = 2
)

// Exec is a process that runs another program.
type Exec struct {
	Event
	File [80]byte
}

// Switch is a CPU that goes from one thread to another.
type Switch struct {
	Event
	NextName [16]byte
	NextPID  uint32
	_        [4]byte
}

// Text is what an array of C has as a string.
func Text(array []byte) string {
	text, _, _ := bytes.Cut(array, []byte{0})
	return string(text)
}

// A Program is loaded, and writes events until it is closed.
type Program struct {
	Ring *ebpf.Map
	Lost *ebpf.Map // counts the records that found the ring full

	objects bpfObjects
	links   []link.Link
}

// Load loads the program and attaches it. The change, if there is one, is made before that.
func Load(change func(*ebpf.CollectionSpec)) (*Program, error) {
	if err := rlimit.RemoveMemlock(); err != nil { // Linux before 5.11
		return nil, err
	}
	spec, err := loadBpf()
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(spec)
	}
	p := new(Program)
	if err := spec.LoadAndAssign(&p.objects, nil); err != nil {
		return nil, fmt.Errorf("the BPF program cannot be loaded: %w", err)
	}
	p.Ring, p.Lost = p.objects.Events, p.objects.EventsLost
	for name, program := range map[string]*ebpf.Program{
		"sched_process_exec": p.objects.OnExec, "sched_switch": p.objects.OnSwitch,
	} {
		attached, err := link.Tracepoint("sched", name, program, nil)
		if err != nil {
			return nil, errors.Join(err, p.Close())
		}
		p.links = append(p.links, attached)
	}
	return p, nil
}

// Detach ends the events: the ring has all that will come.
func (p *Program) Detach() error {
	var err error
	for _, attached := range p.links {
		err = errors.Join(err, attached.Close())
	}
	p.links = nil
	return err
}

// Close detaches the program and lets go of it.
func (p *Program) Close() error {
	return errors.Join(p.Detach(), p.objects.Close())
}
