#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records handed to threads, which hold them as long as they like and give them back in any order;
nothing is copied before. Prints how often each program was started, at Ctrl-C.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter

import rbcore
from execs import Exec, end_on_signals, summary
from libbpf import Program

WORKERS = 4


def work(leases: queue.Queue[rbcore.Lease | None], started: Counter[bytes]) -> None:
    while (lease := leases.get()) is not None:
        with lease as view:  # released at the end
            started[Exec.from_buffer_copy(view).name] += 1


def main() -> None:
    leases: queue.Queue[rbcore.Lease | None] = queue.Queue(256)  # full: the reader waits, too
    counters: list[Counter[bytes]] = [Counter() for _ in range(WORKERS)]
    workers = [  # daemons: or they would wait for leases after an exception, too
        threading.Thread(target=work, args=(leases, counter), daemon=True) for counter in counters
    ]
    for worker in workers:
        worker.start()
    with Program("execs.bpf.c") as bpf:
        losses = bpf.map_fd("execs_lost")
        with rbcore.LeaseReader(bpf.map_fd("execs"), loss_map=losses) as reader:
            end_on_signals(reader)
            print("reading", flush=True)
            for batch in reader:
                for lease in batch:
                    leases.put(lease)
            for _ in workers:
                leases.put(None)
            for worker in workers:
                worker.join()
            print(summary(reader))
    for name, count in sum(counters, Counter[bytes]()).most_common(10):
        print(f"{count:6} {name.decode(errors='replace')}")


if __name__ == "__main__":
    main()
