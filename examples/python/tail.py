#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints events as they happen: each exec and each scheduler switch of the machine, or without a PATH
the records that a process of our own writes into a memory ring.

tail.py [-d SECONDS] [PATH]     PATH: where `load` of the C examples pinned its ring
"""

import argparse
import os
import signal
import struct
import time

import rbcore

EXEC, SWITCH, MADE_UP = 1, 2, 3  # as in ../bpf/events.h
EVENT = struct.Struct("QIII16sI")  # time, kind, cpu, pid, name, reserved
LINES_MAX = {EXEC: 4, SWITCH: 1, MADE_UP: 1}  # in a tenth of a second


def text(name: bytes) -> str:
    return name.split(b"\0", 1)[0].decode(errors="replace")


class Printer:
    def __init__(self) -> None:
        self.start = time.monotonic_ns()
        self.tenth = 0
        self.lines = dict.fromkeys(LINES_MAX, 0)

    def batch(self, batch: rbcore.Batch) -> None:
        """Prints the first events of each kind in a tenth of a second, and leaves out the rest."""
        for i, record in enumerate(batch):
            when, kind, cpu, pid, name, _ = EVENT.unpack_from(record)
            if when // 10**8 != self.tenth:
                self.tenth = when // 10**8
                self.lines = dict.fromkeys(LINES_MAX, 0)
            self.lines[kind] += 1
            if self.lines[kind] > LINES_MAX[kind]:
                continue
            rest = bytes(record[EVENT.size :])
            line = f"{(when - self.start) / 1e9:9.4f}  cpu {cpu:<3} "
            if kind == EXEC:
                line += f"exec    {text(name)}[{pid}] {text(rest)}"
            elif kind == SWITCH:
                following = struct.unpack_from("I", rest, 16)[0]
                line += f"switch  {text(name)}[{pid}] -> {text(rest[:16])}[{following}]"
            else:
                line += f"made up {text(name)}[{pid}] record at {batch.position(i)}"
            print(line, flush=True)


def count(number: "int | None", what: str) -> str:
    return f"{'unknown' if number is None else number} {what}"


def tail(reader: rbcore.Reader, seconds: int) -> None:
    printer = Printer()
    before = reader.stats()
    begin = time.monotonic()
    for second in range(1, seconds + 1):
        while (left := begin + second - time.monotonic()) > 0:
            printer.batch(reader.next(left))
        now = reader.stats()
        print(
            f"-- second {second}: {now.records - before.records} records/s, "
            f"{now.batches - before.batches} batches/s, {now.wakeups - before.wakeups} wakeups/s, "
            f"{count(reader.ring_stats().lost, 'lost so far')}",
            flush=True,
        )
        before = now


def summary(reader: rbcore.Reader) -> None:
    stats = reader.stats()
    print(
        f"{stats.records} records, {stats.batches} batches, {stats.commits} commits, "
        f"{stats.wakeups} wakeups, {count(reader.ring_stats().lost, 'lost')}"
    )


def make_up(ring: rbcore.MemoryRing) -> None:
    """Bursts of 100 records with pauses between, until the parent ends it."""
    producer = rbcore.Producer(ring)
    while os.getppid() != 1:
        for _ in range(100):
            try:
                with producer.reserve(EVENT.size) as view:
                    now = time.monotonic_ns()
                    EVENT.pack_into(view, 0, now, MADE_UP, 0, os.getpid(), b"producer", 0)
            except rbcore.Full:
                continue  # the ring counts it
        time.sleep(0.002)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("-d", type=int, default=5, dest="seconds")
    parser.add_argument("path", nargs="?")
    arguments = parser.parse_args()

    child = 0
    if arguments.path:
        source: rbcore.Source = arguments.path
        print(f"Reading what is pinned at {arguments.path}.", flush=True)
    else:
        source = rbcore.MemoryRing(1 << 20)
        print("Reading a memory ring that a producing process fills.", flush=True)
        child = os.fork()
        if child == 0:
            make_up(source)
            os._exit(0)
    try:
        with rbcore.Reader(source) as reader:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda _signal, _frame: reader.interrupt())
            try:
                tail(reader, arguments.seconds)
            except rbcore.Interrupted:
                pass
            summary(reader)
    finally:
        if child:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


if __name__ == "__main__":
    main()
