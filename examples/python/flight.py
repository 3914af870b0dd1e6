#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A flight recorder: a ring in overwrite mode always holds the newest records, and no reader has to
keep up with them. When the program NAME is started, one call copies the ring, and the programs that
were started before it are printed.

flight.py [-n RECORDS] NAME

Kernels have rings in overwrite mode from Linux 6.19 on. Before, the records are those of a thread of
our own, in a memory ring.
"""

from __future__ import annotations

import argparse
import threading
import time

import rbcore
from execs import Exec, end_on_signals
from libbpf import OVERWRITE, Program


def make_up(ring: rbcore.MemoryRing, name: str) -> None:
    """Several times what the ring holds, and then NAME."""
    with rbcore.Producer(ring) as producer:
        for i in range(10_000):
            producer.output(bytes(Exec(time.monotonic_ns(), i, 0, b"made up", b"")))
        producer.output(bytes(Exec(time.monotonic_ns(), 10_000, 0, name.encode(), b"")))


def wait_for(reader: rbcore.Reader, name: str) -> int | None:
    """Returns the position of the record, None if Ctrl-C came before."""
    for batch in reader:
        for i, event in enumerate(batch.decode(Exec)):
            if event.name == name.encode():
                return batch.position(i)
    return None


def record(source: rbcore.Source, name: str, most: int) -> None:
    with rbcore.Reader(source, overwrite=True) as reader:
        end_on_signals(reader)
        print("reading", flush=True)
        trigger = wait_for(reader, name)
        if trigger is None:
            return
        snapshot = reader.snapshot()
    positions = [snapshot.position(i) for i in range(len(snapshot))]
    before = [event for at, event in zip(positions, snapshot.decode(Exec)) if at < trigger]
    for event in before[-most:]:
        print(event)
    print(f"{name} was started; {len(before)} programs before it are known")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("-n", type=int, default=10, dest="most", metavar="RECORDS")
    parser.add_argument("name")
    arguments = parser.parse_args()
    if rbcore.supports_overwrite():
        with Program("execs.bpf.c", execs=OVERWRITE) as bpf:
            record(bpf.map_fd("execs"), arguments.name, arguments.most)
        return
    with rbcore.MemoryRing(1 << 18, overwrite=True) as ring:
        threading.Thread(target=make_up, args=(ring, arguments.name), daemon=True).start()
        record(ring, arguments.name, arguments.most)


if __name__ == "__main__":
    main()
