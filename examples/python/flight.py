#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A flight recorder: a ring in overwrite mode always holds the newest records, and nobody has to
keep up with them. When something happens that is worth a look, one call copies the ring, and the last
records before it are printed.

flight.py [-n RECORDS] [PATH]

PATH: where a ring in overwrite mode is pinned (load -o PATH of the C examples); what triggers is the
next program that is started. Without it: a memory ring, and a process that writes into it and ends
with a fault.
"""

import argparse
import os
import struct
import sys
import time

import rbcore

EXEC, SWITCH, MADE_UP = 1, 2, 3  # as in ../bpf/events.h
KINDS = {EXEC: "exec", SWITCH: "switch", MADE_UP: "made up"}
EVENT = struct.Struct("QIII16sI")  # time, kind, cpu, pid, name, reserved
RING_SIZE = 65536
BURSTS = 100  # of 100 records: several times what the ring holds


def produce_until_fault(ring: rbcore.MemoryRing) -> None:
    """In overwrite mode no record is refused, the oldest make room."""

    def produce(kind: int, name: bytes) -> None:
        producer.output(EVENT.pack(time.monotonic_ns(), kind, 0, os.getpid(), name, 0))

    with rbcore.Producer(ring) as producer:
        for _ in range(BURSTS):
            for _ in range(100):
                produce(MADE_UP, b"producer")
            time.sleep(0.001)
        produce(EXEC, b"fault")


def text(name: bytes) -> str:
    return name.split(b"\0", 1)[0].decode(errors="replace")


def wait_for_trigger(reader: rbcore.Reader) -> int:
    """Follows the ring, and returns where the trigger is."""
    while True:
        batch = reader.next()
        for i, record in enumerate(batch):
            if EVENT.unpack_from(record)[1] == EXEC:
                return batch.position(i)


def print_flight(snapshot: rbcore.Snapshot, trigger: int, most: int) -> None:
    """Prints the last records before the trigger, and the trigger."""
    positions = [snapshot.position(i) for i in range(len(snapshot))]
    if trigger not in positions:
        sys.exit("the trigger was overwritten before it was copied")
    before = positions.index(trigger)
    count = min(before, most)
    for i in range(before - count, before):
        when, kind, cpu, pid, name, _ = EVENT.unpack_from(snapshot[i])
        print(
            f"{when / 1e9:14.6f}  cpu {cpu:<3} {KINDS[kind]:7} {text(name)}[{pid}] "
            f"at {positions[i]}"
        )
    name = text(EVENT.unpack_from(snapshot[before])[4])
    print(f"trigger: {name} at {trigger}, the last {count} of {before} records before it")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("-n", type=int, default=10, dest="most", metavar="RECORDS")
    parser.add_argument("path", nargs="?")
    arguments = parser.parse_args()

    child = 0
    source: rbcore.Source = arguments.path
    if not arguments.path:
        source = ring = rbcore.MemoryRing(RING_SIZE, overwrite=True)
        child = os.fork()
        if child == 0:
            produce_until_fault(ring)
            os._exit(0)

    with rbcore.Reader(source, overwrite=True) as reader:
        trigger = wait_for_trigger(reader)
        snapshot = reader.snapshot()
    print_flight(snapshot, trigger, arguments.most)
    if child:
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
