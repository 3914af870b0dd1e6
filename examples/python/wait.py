#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A reader in an event loop, asyncio's here, next to a timer."""

import asyncio
import os
import struct
import time

import rbcore

RECORDS = 200


def produce(ring: rbcore.MemoryRing) -> None:
    """Writes a record every other millisecond."""
    with rbcore.Producer(ring) as producer:
        for number in range(RECORDS):
            producer.output(struct.pack("I", number))
            time.sleep(0.002)


async def read(reader: rbcore.Reader) -> tuple[int, int]:
    records = turns = 0
    async for batch in reader:
        records += len(batch)
        turns += 1
        if records == RECORDS:
            break
    return records, turns


async def loop(reader: rbcore.Reader) -> None:
    reading = asyncio.create_task(asyncio.wait_for(read(reader), 30))
    ticks = 0
    while not reading.done() or not ticks:
        await asyncio.sleep(0.1)
        ticks += 1
    records, turns = await reading
    print(f"{records} records in {turns} turns of the loop, {ticks} ticks of its timer")


def main() -> None:
    with rbcore.MemoryRing(65536) as ring:
        child = os.fork()
        if child == 0:
            produce(ring)
            os._exit(0)
        with rbcore.Reader(ring) as reader:
            asyncio.run(loop(reader))
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
