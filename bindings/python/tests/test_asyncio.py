# SPDX-License-Identifier: MIT
"""async for runs beside other tasks of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import rbcore
from conftest import Ring, numbers


def test_async_for(ring: Ring, reader: rbcore.Reader) -> None:
    async def write() -> None:
        for number in range(0, 100, 10):
            ring.write(*range(number, number + 10))
            await asyncio.sleep(0.001)
        reader.flush()

    async def read() -> list[int]:
        seen = []
        async for batch in reader:
            seen += numbers(batch)
        return seen

    async def both() -> list[int]:
        writer = asyncio.create_task(write())
        seen = await asyncio.wait_for(read(), 30)
        await writer
        return seen

    assert asyncio.run(both()) == list(range(100))
    stats = reader.ring_stats()
    assert stats.user_pos == stats.producer_pos


def test_a_paced_ring(make_ring: Callable[[int], Ring]) -> None:
    """It is read by the timer in the reader's descriptor: the event loop need not know of it."""
    ring = make_ring(1 << 24)
    paced = 0

    async def run(reader: rbcore.Reader) -> list[int]:
        nonlocal paced
        seen: list[int] = []
        ring.write(*range(20))
        async for batch in reader:
            seen += numbers(batch)
            if len(seen) % 20 == 0:
                paced += rbcore.RingFlags.PACED in reader.ring_stats().flags
                if len(seen) == 1000:
                    break
                ring.write(*range(len(seen), len(seen) + 20))
        return seen

    with rbcore.Reader(ring.source, max_latency=0.01) as reader:
        assert asyncio.run(asyncio.wait_for(run(reader), 30)) == list(range(1000))
    assert paced > 0


def test_others_have_their_turn(ring: Ring) -> None:
    """Records that never end do not stop a timer."""

    async def run(reader: rbcore.Reader) -> int:
        turns = 0
        asyncio.get_running_loop().call_later(0.05, reader.interrupt)
        ring.write(0)
        async for batch in reader:
            turns += len(batch)
            ring.write(0)  # there is always one more, and due at once
            assert turns < 1_000_000
        return turns

    with rbcore.Reader(ring.source, max_latency=0) as reader:
        assert asyncio.run(run(reader)) > 0


def test_cancellation(ring: Ring, reader: rbcore.Reader) -> None:
    async def run() -> list[int]:
        waiting = asyncio.create_task(reader.__anext__())
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
        ring.write(4)
        return numbers(await asyncio.wait_for(reader.__anext__(), 30))

    assert asyncio.run(run()) == [4]


def test_shutdown_ends_it(ring: Ring, reader: rbcore.Reader) -> None:
    async def run() -> list[rbcore.Batch]:
        asyncio.get_running_loop().call_later(0.01, reader.shutdown)
        return [batch async for batch in reader]

    assert asyncio.run(asyncio.wait_for(run(), 30)) == []


def test_leases(ring: Ring) -> None:
    async def run() -> int:
        with rbcore.LeaseReader(ring.source) as reader:
            ring.write(1, 2, 3)
            async for leases in reader:
                return len(leases)
        return 0

    assert asyncio.run(asyncio.wait_for(run(), 30)) == 3
