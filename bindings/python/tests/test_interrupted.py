# SPDX-License-Identifier: MIT
"""Signal handlers, destructors, other threads and tasks can come between any two steps."""

from __future__ import annotations

import asyncio
import dis
import gc
import os
import select
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

import pytest
import rbcore
from conftest import Ring, numbers

PACKAGE = os.path.dirname(rbcore.__file__)
WATCHDOG = 20

# Behind these CPython looks whether a signal has come, and runs its handler.
LOOKS = ("CALL", "RESUME", "JUMP_BACKWARD", "JUMP_ABSOLUTE")


class Between:
    """Calls a function once in what runs in a with statement: as a signal handler would, and at the
    at-th point of the package where one can be called."""

    def __init__(self, at: int, call: Callable[[], None]) -> None:
        self.left = at
        self.call: Callable[[], None] | None = call
        self.instructions: dict[CodeType, list[str]] = {}

    def __enter__(self) -> None:
        sys.settrace(self.trace)

    def __exit__(self, *_: object) -> None:
        sys.settrace(None)

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        if event == "opcode" and self.call is not None and self.is_point(frame):
            self.left -= 1
            if self.left < 0:
                call, self.call = self.call, None
                call()
        return self.trace

    def is_point(self, frame: FrameType) -> bool:
        names = self.instructions.get(frame.f_code)
        if names is None:
            names = [""] * (len(frame.f_code.co_code) // 2 + 1)
            last = ""
            for instruction in dis.get_instructions(frame.f_code):
                names[instruction.offset // 2] = last
                last = instruction.opname
            self.instructions[frame.f_code] = names
        return names[frame.f_lasti // 2].startswith(LOOKS)


class Anywhere(Between):
    """As another thread would: at the at-th instruction of the package."""

    def is_point(self, frame: FrameType) -> bool:
        return True


def raises() -> None:
    raise KeyboardInterrupt


def quietly(call: Callable[[], object]) -> None:
    """What a handler does may fail, as the interrupted call may: what matters is what is left."""
    try:
        call()
    except (rbcore.Error, RuntimeError, ValueError, BufferError, KeyboardInterrupt):
        pass


CALLS: dict[str, Callable[[Any, rbcore.MemoryRing], object]] = {
    "next": lambda reader, ring: reader.next(0),
    "snapshot": lambda reader, ring: reader.snapshot(),
    "add": lambda reader, ring: reader.add(ring),
    "remove": lambda reader, ring: reader.remove(0),
    "commit": lambda reader, ring: reader.commit(),
    "close": lambda reader, ring: reader.close(),
    "stats": lambda reader, ring: reader.ring_stats(),
}
HANDLERS: dict[str, Callable[[Any], None]] = {
    "raise": lambda reader: raises(),
    "close": lambda reader: reader.close(),
    "next": lambda reader: quietly(lambda: reader.next(0)),
}


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", [rbcore.Reader, rbcore.LeaseReader])
def test_a_signal_handler_anywhere(kind: Any, call: str, handler: str) -> None:
    """Nothing hangs, the reader can be closed, and its ring is free for the next one, which gets what
    was not given back."""
    if call == "commit" and kind is rbcore.LeaseReader:
        pytest.skip("leases are released")
    other = rbcore.MemoryRing(4096)
    at = 0
    is_done = False
    while not is_done:
        is_done = interrupted_at(at, kind, call, handler, other)
        # Tests each of the first 40 points, then some: records are all alike.
        at += 1 if at < 40 else 7
    assert at > 3


def interrupted_at(at: int, kind: Any, call: str, handler: str, other: rbcore.MemoryRing) -> bool:
    with rbcore.MemoryRing(4096) as memory, rbcore.Producer(memory) as producer:
        for number in range(5):
            producer.output(struct.pack("<Q", number))
        reader = kind(memory, batch_size=3)
        first = reader.next(0)
        assert len(first) == 3
        del first
        between = Between(at, lambda: HANDLERS[handler](reader))
        kept: list[BaseException] = []
        with between:
            try:
                CALLS[call](reader, other)
            except (rbcore.Error, RuntimeError, ValueError, KeyboardInterrupt) as error:
                kept.append(error)  # with its frames
        reader.close()
        with pytest.raises(rbcore.Closed):
            reader.next(0)
        gc.collect(0)
        with rbcore.Reader(memory) as second, rbcore.Reader(other):
            left = [number for batch in second.batches(0) for number in numbers(batch)]
        assert left == list(range(5 - len(left), 5))
        if kind is rbcore.Reader and call in ("stats", "add", "close") and handler != "next":
            assert len(left) == 5
    return between.call is not None


LOOPS: dict[str, Callable[[rbcore.Batch], Iterator[int]]] = {
    "records": lambda batch: (int.from_bytes(record[:8], "little") for record in batch),
    "tuples": lambda batch: (number for (number,) in batch.unpack("<Q")),
    "indexes": lambda batch: (int.from_bytes(batch[i][:8], "little") for i in range(len(batch))),
}


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("handler", ["close", "raise"])
def test_a_signal_handler_anywhere_in_a_loop(handler: str, loop: str) -> None:
    """Within a with statement nothing is lost; nor handled twice, unless an exception ends it."""
    at = 0
    is_done = False
    while not is_done:
        with rbcore.MemoryRing(4096) as memory, rbcore.Producer(memory) as producer:
            for number in range(6):
                producer.output(struct.pack("<Q", number).ljust(8 + number // 3 * 8))
            seen: list[int] = []
            reader = rbcore.Reader(memory, batch_size=4)
            between = Between(at, call_of(handler, reader))
            try:
                with reader, between:
                    for batch in reader.batches(0):
                        seen.extend(LOOPS[loop](batch))
            except KeyboardInterrupt:
                pass
            with rbcore.Reader(memory) as second:
                left = [number for batch in second.batches(0) for number in LOOPS["records"](batch)]
        if loop == "indexes":  # is no loop: the last batch comes again
            left = [number for number in left if number not in seen]
        assert sorted({*seen, *left}) == list(range(6))
        assert handler == "raise" or len(seen) + len(left) == 6
        is_done = between.call is not None
        at += 1 if at < 60 else 3  # records are all alike
    assert at > 30


@pytest.mark.parametrize("handler", HANDLERS)
def test_views_are_moved_whatever_interrupts_it(
    handler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They stay as they were, and nothing is lost."""
    monkeypatch.setattr("rbcore._reader.GRACE", 0)
    at = 0
    is_done = False
    while not is_done:
        with rbcore.MemoryRing(4096) as memory, rbcore.Producer(memory) as producer:
            for number in range(5):
                producer.output(struct.pack("<Q", number))
            reader = rbcore.Reader(memory, batch_size=5)
            kept = reader.next(0)[1]
            producer.output(struct.pack("<Q", 5))
            other = reader.next(0)
            between = Between(at, call_of(handler, reader))
            with between:
                quietly(lambda reader=reader: reader.next(0))  # type: ignore[misc]
            quietly(lambda reader=reader: reader.next(0))  # type: ignore[misc]
            assert reader.held_bytes == 0
            quietly(lambda other=other: list(other))  # type: ignore[misc]
            reader.close()
            with rbcore.Reader(memory) as second:
                left = [number for batch in second.batches(0) for number in numbers(batch)]
                assert left in ([], [5])
                producer.output_batch([bytes(8)] * 250)
                assert sum(len(batch) for batch in second.batches(0)) == 250
            assert bytes(kept) == struct.pack("<Q", 1)
            del kept, other, reader
        is_done = between.call is not None
        at += 1 if at < 60 else 5
    assert at > 30


def call_of(handler: str, reader: rbcore.Reader) -> Callable[[], None]:
    return lambda: HANDLERS[handler](reader)


def test_a_reservation_is_finished_whatever_interrupts_it() -> None:
    at = 0
    is_done = False
    while not is_done:
        with rbcore.MemoryRing(4096) as memory, rbcore.Producer(memory) as producer:
            between = Between(at, raises)
            with between:
                quietly(lambda: producer.reserve(8).submit())
            producer.output(b"behind")
            with rbcore.Reader(memory) as reader:
                batch = reader.read()
                assert bytes(batch[-1]) == b"behind"  # or the reader would stop before it for ever
                stats = reader.ring_stats()
                assert (stats.records or 0) + (stats.discards or 0) <= 2
            del batch
        is_done = between.call is not None
        at += 1
    assert at > 10


class Last:
    """Looks when it is finalized, as a part of a cycle."""

    seen: list[bytes] = []  # noqa: RUF012

    def __init__(self, *things: Any) -> None:
        self.things = things
        self.itself = self

    def __del__(self) -> None:
        for thing in self.things:
            if isinstance(thing, memoryview):
                Last.seen.append(bytes(thing))


@pytest.mark.parametrize("kind", [rbcore.Reader, rbcore.LeaseReader])
def test_views_in_a_cycle_are_good_for_its_destructors(ring: Ring, kind: Any) -> None:
    Last.seen.clear()
    for _ in range(3):
        ring.write(5, 6)
        reader = kind(ring.source)
        found = reader.next(10)
        view = found[0] if kind is rbcore.Reader else found[0].view
        snapshot = rbcore.Reader(ring.source, tap=True).snapshot()
        last = Last(reader, found, view, snapshot[0])
        del reader, found, view, snapshot, last
        gc.collect()
        with rbcore.Reader(ring.source) as second:
            second.next(0)
    assert Last.seen == [struct.pack("<Q", 5)] * 6


def test_a_reservation_in_a_cycle_is_discarded() -> None:
    with rbcore.MemoryRing(4096) as memory, rbcore.Reader(memory) as reader:
        for _ in range(3):
            producer = rbcore.Producer(memory)
            reservation = producer.reserve(8)
            cycle: list[Any] = [producer, reservation]
            cycle.append(cycle)
            del producer, reservation, cycle
            gc.collect()
            assert not reader.next(0)
        stats = reader.ring_stats()
        assert (stats.discards, stats.abandoned) == (3, 0)


def test_closing_in_a_child_of_fork(ring: Ring) -> None:
    """Closing works although the thread that reads is not there."""
    with rbcore.Reader(ring.source) as reader:
        thread = threading.Thread(target=lambda: list(reader), daemon=True)
        thread.start()
        while not getattr(reader, "_uses", True):
            time.sleep(0.001)
        child = os.fork()
        if child == 0:
            reader.close()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        reader.interrupt()  # the parent's is not closed
        thread.join()


def test_closing_ends_a_wait_for_room() -> None:
    with rbcore.MemoryRing(4096) as memory:
        producer = rbcore.Producer(memory)
        while producer.output_batch([bytes(100)] * 40) == 40:
            pass
        outcome: list[BaseException] = []

        def wait() -> None:
            try:
                producer.reserve(1000, timeout=None)
            except rbcore.Error as error:
                outcome.append(error)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        time.sleep(0.01)  # most likely it waits by now; if not, the outcome is the same
        producer.close()
        thread.join()
        assert type(outcome[0]) is rbcore.Closed


def test_adding_a_ring_makes_fileno_readable() -> None:
    """A handler reads before the first read, and after one that found nothing; nothing else tells
    of the records.
    """
    first, second = rbcore.MemoryRing(4096), rbcore.MemoryRing(4096)
    with first, second, rbcore.Reader() as reader:
        producers = [rbcore.Producer(first), rbcore.Producer(second)]  # one that leaves wakes
        for i, (ring, record) in enumerate(((first, b"1"), (second, b"2"))):
            producers[i].output(record, wake=False)
            reader.add(ring)
            assert select.select([reader], [], [], WATCHDOG)[0]
            assert [bytes(view) for view in reader.next(0)] == [record]
            while reader.next(0):
                pass
        reader.remove(1)  # the one that was served last
        producers[0].output(b"3")
        assert [bytes(view) for view in reader.next(10)] == [b"3"]


@pytest.mark.parametrize("kind", [rbcore.Reader, rbcore.LeaseReader])
def test_adding_wakes_a_task(make_ring: Callable[[int], Ring], kind: Any) -> None:
    first, second = make_ring(4096), make_ring(4096)

    async def run() -> int:
        with kind(first.source) as reader:
            waiting = asyncio.create_task(reader.__anext__())
            await asyncio.sleep(0.01)
            second.write(7)
            reader.add(second.source)
            found = await asyncio.wait_for(waiting, WATCHDOG)
            return len(found)

    assert asyncio.run(run()) == 1


@pytest.mark.parametrize("where", ["task", "thread", "two tasks", "cancelled"])
def test_closing_ends_a_task_that_waits(ring: Ring, where: str) -> None:
    async def run() -> list[Any]:
        reader = rbcore.Reader(ring.source)

        async def read() -> list[int]:
            return [number async for batch in reader for number in numbers(batch)]

        tasks = [asyncio.create_task(read()) for _ in range(2 if where == "two tasks" else 1)]
        await asyncio.sleep(0.01)
        if where == "cancelled":
            tasks[0].cancel()
            tasks.append(asyncio.create_task(read()))
            await asyncio.sleep(0.01)
            tasks.pop(0)
        if where == "thread":
            await asyncio.get_running_loop().run_in_executor(None, reader.close)
        else:
            reader.close()
            rbcore.Reader(ring.source).close()  # its ring is free at once
        return await asyncio.wait_for(asyncio.gather(*tasks), WATCHDOG)

    assert [[]] * (2 if where == "two tasks" else 1) == asyncio.run(run())


def test_a_read_while_another_thread_closes(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told that the reader is closed, and not that it is in use: a task ends by that."""
    reader = rbcore.Reader(ring.source)
    is_closing, close = threading.Event(), reader._close

    def close_slowly() -> None:
        is_closing.set()
        time.sleep(0.05)
        close()

    monkeypatch.setattr(reader, "_close", close_slowly)
    thread = threading.Thread(target=reader.close)
    thread.start()
    assert is_closing.wait(WATCHDOG)
    with pytest.raises(rbcore.Closed):
        reader.next(0)
    thread.join()


def test_two_tasks_share_a_reader(ring: Ring, reader: rbcore.Reader) -> None:
    """Each record goes to one of them, and neither waits for ever."""
    seen: list[int] = []

    async def read() -> None:
        async for batch in reader:
            seen.extend(numbers(batch))

    async def run() -> None:
        tasks = [asyncio.create_task(read()) for _ in range(2)]
        for number in range(20):
            await asyncio.sleep(0.001)
            ring.write(number)
        while len(seen) < 20:
            await asyncio.sleep(0.001)
        reader.shutdown()
        await asyncio.gather(*tasks)

    asyncio.run(asyncio.wait_for(run(), WATCHDOG))
    assert seen == list(range(20))


def test_rings_while_another_thread_closes(ring: Ring) -> None:
    """It ends, or says that the reader is closed, wherever that comes."""
    at = 0
    beside: Anywhere | None = None
    while beside is None or beside.call is None:
        reader = rbcore.Reader(ring.source)
        beside = Anywhere(at, reader.close)
        found: list[int] = []
        try:
            with beside:
                found.extend(reader.rings())
        except rbcore.Closed:
            pass
        assert found in ([], [0])
        reader.close()
        at += 1
    assert found == [0]
    assert at > 20
