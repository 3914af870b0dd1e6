#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Records handed to threads, which hold them as long as they like and give them back in any order;
nothing is copied.
"""

from __future__ import annotations

import queue
import struct
import threading
import time

import rbcore

RECORDS = 20_000
RING_SIZE = 65536  # all records together would not fit
WORKERS = 4


class Worker(threading.Thread):
    furthest = 0  # position that was released, to see the disorder
    lock = threading.Lock()

    def __init__(self, leases: queue.Queue[rbcore.Lease | None]) -> None:
        super().__init__()
        self.leases = leases
        self.sum = 0
        self.out_of_order = 0

    def run(self) -> None:
        while (lease := self.leases.get()) is not None:
            number = struct.unpack("I", lease.view)[0]
            if number % 100 == 0:
                time.sleep(0.0001)  # some records are more work than others
            self.sum += number
            self.note_order(lease.position)
            lease.release()

    def note_order(self, position: int) -> None:
        with Worker.lock:
            self.out_of_order += position < Worker.furthest
            Worker.furthest = max(position, Worker.furthest)


def produce(ring: rbcore.MemoryRing) -> None:
    with rbcore.Producer(ring) as producer:
        for number in range(RECORDS):
            while True:  # in a real program a full ring loses the record; here it is tried again
                try:
                    producer.output(struct.pack("I", number))
                    break
                except rbcore.Full:
                    time.sleep(0.0001)


def main() -> None:
    leases: queue.Queue[rbcore.Lease | None] = queue.Queue(256)
    workers = [Worker(leases) for _ in range(WORKERS)]
    with rbcore.MemoryRing(RING_SIZE) as ring, rbcore.LeaseReader(ring, batch_size=64) as reader:
        producer = threading.Thread(target=produce, args=[ring])
        for thread in (producer, *workers):
            thread.start()
        seen = 0
        while seen < RECORDS:
            for lease in reader.next():
                leases.put(lease)
                seen += 1
        for _ in workers:
            leases.put(None)
        for thread in (producer, *workers):
            thread.join()
        stats = reader.ring_stats()
        total = sum(worker.sum for worker in workers)
        given_back = "all" if stats.user_pos == stats.producer_pos else "NOT all"
        print(f"{stats.records} records by {WORKERS} workers, sum {total}, {given_back} given back")
        print(f"released out of order: {sum(worker.out_of_order for worker in workers)}")


if __name__ == "__main__":
    main()
