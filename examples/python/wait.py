#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A reader in an event loop, asyncio's here, next to another task: prints each program that the
machine starts, and once a second how many there were, until Ctrl-C.
"""

import asyncio
import signal

import rbcore
from execs import Exec, summary
from libbpf import Program


async def report(reader: rbcore.Reader) -> None:
    while True:
        await asyncio.sleep(1)
        print(f"-- {summary(reader)} so far", flush=True)


async def read(reader: rbcore.Reader) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, reader.flush)
    reports = asyncio.create_task(report(reader))
    print("reading", flush=True)
    async for batch in reader:
        for event in batch.decode(Exec):
            print(event, flush=True)
    reports.cancel()
    print(summary(reader))


def main() -> None:
    with Program("execs.bpf.c") as bpf:
        losses = bpf.map_fd("execs_lost")
        with rbcore.Reader(bpf.map_fd("execs"), loss_map=losses) as reader:
            asyncio.run(read(reader))


if __name__ == "__main__":
    main()
