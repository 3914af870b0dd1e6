# SPDX-License-Identifier: MIT
"""Views that are kept never stop the ring, and stay as they were."""

from __future__ import annotations

import os
import struct
import threading
import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import rbcore
from conftest import Ring, numbers, open_ring
from test_views import HOLDERS, content

numpy = pytest.importorskip("numpy")


def number_of(record: memoryview) -> int:
    return int(struct.unpack_from("<Q", record)[0])


def in_traceback(batch: rbcore.Batch) -> Any:
    """An exception that is kept, with the frame in which the view is."""

    def fail(view: memoryview) -> None:
        raise ValueError(number_of(view))

    try:
        fail(batch[1])
    except ValueError as error:
        return Caught(error)


class Caught:
    def __init__(self, error: ValueError) -> None:
        self.error = error

    def __iter__(self) -> Iterator[bytes]:
        for frame, _ in traceback.walk_tb(self.error.__traceback__):
            if "view" in frame.f_locals:
                yield bytes(frame.f_locals["view"])


def in_generator(batch: rbcore.Batch) -> Any:
    def views() -> Iterator[bytes]:
        for view in batch[:3]:
            yield bytes(view)

    generator = views()
    next(generator)
    return generator


KEEPERS = [*HOLDERS, in_traceback, in_generator]


def shown(kept: Any) -> int:
    if isinstance(kept, Caught):
        return int.from_bytes(next(iter(kept)), "little")
    return content(kept)


@pytest.mark.parametrize("size", [4096, 4097, 5000, 65537])
def test_a_loop_over_large_records(size: int) -> None:
    """The loop's variable keeps the last one, in a ring that was full once."""
    ring_size = 32768 if size < 30000 else 1 << 18
    with rbcore.MemoryRing(ring_size) as memory, rbcore.Reader(memory) as reader:
        producer = rbcore.Producer(memory)
        sent = (ring_size - 1) // (size + 15 & ~7)  # as many as there is room for
        producer.output_batch([struct.pack("<Q", i).ljust(size, b"x") for i in range(sent)])

        def write() -> None:
            for number in range(sent, 60):
                with producer.reserve(size, timeout=20) as view:
                    struct.pack_into("<Q", view, 0, number)
            reader.flush()

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        seen = [number_of(record) for batch in reader for record in batch]
        thread.join()
    assert seen == list(range(60))


def test_the_variable_of_a_loop_costs_no_move() -> None:
    """Nothing is held when the loop waits, as long as the record has at most 64 KiB."""
    with rbcore.MemoryRing(1 << 18) as memory, rbcore.Reader(memory) as reader:
        producer = rbcore.Producer(memory)
        for size in (8, 4097, 65536):
            producer.output(bytes(size))
            for batch in reader.batches(0.01):
                for record in batch:
                    assert len(record) == size
            assert reader.held_bytes == 0
        assert reader.evacuated_bytes == 0


@pytest.mark.parametrize("keep", KEEPERS)
@pytest.mark.parametrize("kind", ["memory", "kernel"])
def test_what_is_kept_stays_as_it_was(kind: str, keep: Callable[[rbcore.Batch], Any]) -> None:
    """A view lives through three laps of the ring, and the reader's end."""
    ring = open_ring(kind, 4096)
    reader = rbcore.Reader(ring.source)
    kept = []
    for number in range(0, 3 * 4096 // 16, 16):
        ring.write(*range(number, number + 16))  # as many as were given back
        batch = reader.next(10)
        assert numbers(batch) == list(range(number, number + 16))
        if number % 64 == 0:
            kept.append((number, keep(batch)))
        del batch
    assert reader.evacuated_bytes > 0
    reader.close()
    with rbcore.Reader(ring.source) as second:
        ring.write(*range(9000, 9100))
        assert [number for batch in second.batches(0) for number in numbers(batch)][-1] == 9099
        for number, each in kept:
            assert shown(each) in (number, number + 1, number + 2)
    ring.close()


def test_what_is_kept_is_moved_when_nothing_comes(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1, 2, 3)
    kept = reader.next(10)[0]
    assert (reader.held_bytes, reader.evacuated_bytes) == (3 * 16, 0)
    assert not reader.next(0.05)
    assert (reader.held_bytes, reader.evacuated_bytes) == (0, 3 * 16)
    stats = reader.ring_stats()
    assert stats.user_pos == stats.producer_pos
    assert number_of(kept) == 1


def test_a_batch_that_was_moved_is_still_there(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1, 2, 3)
    batch = reader.next(10)
    kept = batch[0]
    reader.next(0.05)
    ring.write(4)
    other = reader.next(10)
    assert numbers(batch) == [1, 2, 3]
    assert batch.identity(1).position == 16
    batch.commit()  # and this is nothing any more
    assert reader.held_bytes == 16
    assert numbers(other) == [4]
    assert number_of(kept) == 1


def test_what_is_held_of_a_batch(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(*range(10))
    batch = reader.next(10)
    for count in (3, 3, 7):
        batch.commit(count)
        assert reader.held_bytes == (10 - count) * 16
    kept = batch[7]
    reader.next(0.05)
    assert (reader.held_bytes, reader.evacuated_bytes) == (0, 3 * 16)
    assert number_of(kept) == 7


@pytest.mark.parametrize("way", ["read", "look"])
def test_read_and_look_move_as_well(make_ring: Callable[[int], Ring], way: str) -> None:
    ring = make_ring(4096)
    with rbcore.Reader(ring.source) as reader:
        kept = []
        for number in range(500):
            ring.write(number, 0)
            kept.append(getattr(reader, way)()[0])
        assert reader.evacuated_bytes > 0
        assert [number_of(view) for view in kept] == list(range(500))


def test_several_rings(make_ring: Callable[[int], Ring]) -> None:
    rings = [make_ring(4096), make_ring(8192), make_ring(4096)]
    with rbcore.Reader(*(ring.source for ring in rings)) as reader:
        kept: list[tuple[int, int, memoryview]] = []
        for number in range(500):
            for i, ring in enumerate(rings):
                ring.write(10 * number + i, 0)
            batch = reader.next(10)
            kept += [(batch.ring(i), batch.position(i), batch[i]) for i in range(len(batch))]
            if number == 250:
                while reader.held_bytes:
                    reader.next(0.01)
                reader.remove(1)
                assert reader.add(rings[1].source) == 3
        assert reader.evacuated_bytes > 0
        for index, position, view in kept:
            if position % 32 == 0:
                assert number_of(view) == 10 * (position // 32) + index % 2 + 2 * (index == 2)


@pytest.mark.parametrize("options", [{"tap": True}, {"overwrite": True}])
def test_copies_of_rings(options: dict[str, bool]) -> None:
    overwrite = options.get("overwrite", False)
    with rbcore.MemoryRing(4096, overwrite=overwrite) as memory:
        producer = rbcore.Producer(memory)
        first = None if overwrite else rbcore.Reader(memory)
        with rbcore.Reader(memory, **options) as reader:
            kept: list[list[Any]] = []
            for number in range(1000):
                producer.output_batch([struct.pack("<Q", number)] * 2)
                kept.append(reader.read()[:1] or [b""])
                if first is not None:
                    first.read()
                    first.commit(now=True)
            assert reader.evacuated_bytes > 0
        for number, views in enumerate(kept):
            assert bytes(views[0]) in (struct.pack("<Q", number), b"")
        if first is not None:
            first.close()


def test_an_exception_that_is_kept_stops_nothing(make_ring: Callable[[int], Ring]) -> None:
    ring = make_ring(4096)
    errors: list[ValueError] = []
    with rbcore.Reader(ring.source) as reader:
        for number in range(0, 5000, 50):
            ring.write(*range(number, number + 50))
            for batch in reader.batches(0):
                for record in batch:
                    if number_of(record) % 500 == 7:
                        errors.append(ValueError(record))
        assert reader.stats().records == 5000
    assert [number_of(error.args[0]) for error in errors] == list(range(7, 5000, 500))


def test_moving_does_not_grow(make_ring: Callable[[int], Ring]) -> None:
    """Neither mappings nor descriptors are left."""

    def used() -> tuple[int, int]:
        maps = Path("/proc/self/maps").read_text().count("\n")
        return maps, len(os.listdir("/proc/self/fd"))

    ring = make_ring(4096)
    with rbcore.Reader(ring.source) as reader:
        before = None
        kept: deque[memoryview] = deque(maxlen=2)
        for number in range(2000):
            ring.write(*range(number, number + 60))
            kept.append(reader.next(10)[0])
            if number == 20:
                before = used()
        assert [number_of(view) for view in kept] == [1998, 1999]
        assert reader.evacuated_bytes >= 1000 * 60 * 16
        assert before is not None
        maps, fds = used()
        assert maps <= before[0] + 8
        assert fds == before[1]


def test_views_are_read_while_they_are_moved(make_ring: Callable[[int], Ring]) -> None:
    ring = make_ring(65536)
    wrong = 0
    stop = threading.Event()
    current: list[memoryview] = []

    def watch() -> None:
        nonlocal wrong
        while not stop.is_set():
            for view in current[:]:
                wrong += view[0] != 5

    with rbcore.Reader(ring.source) as reader:
        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            for _ in range(50):
                ring.write(*[5] * 1000)
                current[:] = current[-2:] + reader.next(10)[:2]
        finally:
            stop.set()
            thread.join()
        assert reader.evacuated_bytes > 0
    assert wrong == 0


def test_one_warning(make_ring: Callable[[int], Ring]) -> None:
    ring = make_ring(4096)
    with warnings.catch_warnings(record=True) as caught, rbcore.Reader(ring.source) as reader:
        warnings.simplefilter("always")
        kept = []
        for number in range(1000):
            ring.write(number, 0)
            batch = reader.next(10)
            if number >= 50:
                kept.append(batch[0])
    (warning,) = caught
    assert warning.category is ResourceWarning
    assert "oldest of them at 1600 of ring 0" in str(warning.message)
    assert warning.filename == __file__


def test_no_warning_for_what_is_let_go(make_ring: Callable[[int], Ring]) -> None:
    ring = make_ring(4096)
    with warnings.catch_warnings(), rbcore.Reader(ring.source) as reader:
        warnings.simplefilter("error")
        for number in range(0, 5000, 20):
            ring.write(*range(number, number + 20))
            kept = reader.next(10)[0]
            reader.next(0.002)
        assert number_of(kept) == 4980
        assert reader.evacuated_bytes > 4096


def test_without_memory_for_it(
    ring: Ring, reader: rbcore.Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said, nothing is lost, and a later call does it."""
    ring.write(1, 2)
    kept = reader.next(10)[0]
    monkeypatch.setattr("rbcore._windows.Windows.move", no_memory)
    with pytest.raises(rbcore.Error) as caught:
        reader.next(0.05)
    assert isinstance(caught.value, OSError)
    monkeypatch.undo()
    ring.write(3)
    assert numbers(reader.next(10)) == [3]
    reader.next(0.05)
    assert reader.evacuated_bytes > 0
    assert number_of(kept) == 1


def no_memory(*_: object) -> None:
    raise rbcore.Error(12, "no memory")


def test_closing_without_memory_for_it(ring: Ring, monkeypatch: pytest.MonkeyPatch) -> None:
    """Views keep the ring taken."""
    ring.write(1, 2)
    reader = rbcore.Reader(ring.source)
    kept = reader.next(10)[0]
    monkeypatch.setattr("rbcore._windows.Windows.move", no_memory)
    reader.close()
    monkeypatch.undo()
    with pytest.raises(rbcore.Busy):
        rbcore.Reader(ring.source)
    assert number_of(kept) == 1
    del kept
    with rbcore.Reader(ring.source) as second:
        assert numbers(second.next(10)) == [1, 2]


def test_in_a_child_of_fork(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1, 2)
    kept = reader.next(10)[0]
    child = os.fork()
    if child == 0:
        reader.close()
        os._exit(0 if number_of(kept) == 1 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert not reader.next(0.05)
    assert number_of(kept) == 1
    assert reader.held_bytes == 0
