#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Batches and deferred commit: records are given back only after they are safe in a file, so that a
reader that dies repeats records, and never loses one.

batch.py FILE
"""

import os
import struct
import sys
from typing import IO

import rbcore

RECORDS = 1000
BATCH = 64


def save(file: IO[str], records: list[memoryview]) -> None:
    """Makes the records safe."""
    for record in records:
        print(struct.unpack("I", record)[0], file=file)
    file.flush()
    os.fdatasync(file.fileno())


def drain(reader: rbcore.Reader, file: IO[str], room: int) -> int:
    """Saves and commits until the ring is empty or room records are saved; returns their number."""
    total = 0
    while total < room and (batch := reader.read()):
        count = min(len(batch), room - total)
        save(file, batch[:count])
        batch.commit(count)
        total += count
    return total


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: batch.py FILE")
    with rbcore.MemoryRing(65536) as ring, open(sys.argv[1], "w") as file:
        with rbcore.Producer(ring) as producer:
            for number in range(RECORDS):
                producer.output(struct.pack("I", number))

        # The first reader has room for 300 records: it stops within a batch, and commits up to there.
        with rbcore.Reader(ring, batch_size=BATCH) as reader:
            count = drain(reader, file, 300)
            print(f"the first reader saved {count} records and stopped within a batch")

        # The second one gets exactly what was not committed.
        with rbcore.Reader(ring, batch_size=BATCH) as reader:
            print(f"the second reader saved the other {drain(reader, file, RECORDS)}")


if __name__ == "__main__":
    main()
