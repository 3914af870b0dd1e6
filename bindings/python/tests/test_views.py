# SPDX-License-Identifier: MIT
"""No view dangles, whatever the program does; nothing leaks."""

from __future__ import annotations

import gc
import os
import struct
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import rbcore
from conftest import Ring, numbers

numpy = pytest.importorskip("numpy")


def a_view(batch: rbcore.Batch) -> Any:
    return batch[0]


def a_slice(batch: rbcore.Batch) -> Any:
    with batch[0] as view:  # released; the slice lives
        return view[:4]


def a_cast(batch: rbcore.Batch) -> Any:
    with batch[0] as view:
        return view.cast("Q")


def an_array_of_a_view(batch: rbcore.Batch) -> Any:
    return numpy.frombuffer(batch[0], "u8")


def a_run(batch: rbcore.Batch) -> Any:
    return next(batch.arrays("u8"))


def a_field_of_a_run(batch: rbcore.Batch) -> Any:
    return next(batch.arrays([("a", "u4"), ("b", "u4")]))["a"][:1]


def an_iterator(batch: rbcore.Batch) -> Any:
    iterator = iter(batch)
    next(iterator)
    return iterator


HOLDERS = [a_view, a_slice, a_cast, an_array_of_a_view, a_run, a_field_of_a_run, an_iterator]


def content(held: Any) -> int:
    if hasattr(held, "__next__"):
        return content(next(held))
    return int.from_bytes(memoryview(held).tobytes()[:4], "little")


@pytest.mark.parametrize("hold", HOLDERS)
def test_commit_refuses_a_live_view(
    ring: Ring, reader: rbcore.Reader, hold: Callable[[rbcore.Batch], Any]
) -> None:
    ring.write(7, 8, 9)
    batch = reader.next(10)
    held = hold(batch)
    commits: list[Callable[[], None]] = [reader.commit, batch.commit, lambda: batch.commit(1)]
    for commit in commits:
        with pytest.raises(BufferError):
            commit()
    assert reader.ring_stats().user_pos == 0
    assert content(held) in (7, 8)
    del held
    batch.commit()
    assert reader.ring_stats().user_pos == 3 * 16


@pytest.mark.parametrize("hold", HOLDERS)
@pytest.mark.parametrize("end", ["close", "forget"])
def test_a_view_outlives_everything(
    ring: Ring, hold: Callable[[rbcore.Batch], Any], end: str
) -> None:
    ring.write(7, 8, 9)
    reader = rbcore.Reader(ring.source)
    batch = reader.next(10)
    held = hold(batch)
    if end == "close":
        reader.close()
    del batch, reader
    if end == "close":  # the ring is free at once, and what comes does not touch the view
        with rbcore.Reader(ring.source) as second:
            assert numbers(second.next(10))[-1] == 9
            second.commit(now=True)
            lap(ring, second)
    else:
        with pytest.raises(rbcore.Busy):  # the ring is taken until the view is gone
            rbcore.Reader(ring.source)
    assert content(held) in (7, 8)
    del held
    gc.collect()
    rbcore.Reader(ring.source).close()


def lap(ring: Ring, reader: rbcore.Reader) -> None:
    """Fills the whole ring with other records, and reads them."""
    for _ in range(ring.size // 16 // 64 + 1):
        ring.write(*range(1000, 1064))
        assert len(reader.next(10)) == 64


def test_the_variables_of_a_loop_hold_nothing(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1, 2)
    for batch in reader.batches(0.01):
        for record in batch:
            last = record
    assert struct.unpack("<Q", last)[0] == 2
    assert reader.ring_stats().user_pos == 2 * 16


def test_a_large_last_record_is_not_copied() -> None:
    with rbcore.MemoryRing(1 << 18) as memory, rbcore.Reader(memory) as reader:
        producer = rbcore.Producer(memory)
        for size in (65536, 65537):
            producer.output(bytes(size))
            batch = reader.next(10)
            view = batch[-1]
            assert len(view) == size
            if size <= 65536:
                batch.commit()
        with pytest.raises(BufferError):
            batch.commit()


def test_what_was_given_back_is_not_readable(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1, 2)
    batch = reader.next(10)
    batch.commit()
    for use in (
        lambda: batch[0],
        lambda: iter(batch),
        lambda: next(batch.arrays("u8")),
        lambda: batch.position(0),
    ):
        with pytest.raises(ValueError, match="given back"):
            use()


def test_what_a_closed_reader_had_is_not_readable(ring: Ring) -> None:
    ring.write(3)
    reader = rbcore.Reader(ring.source)
    batch = reader.next(10)
    reader.close()
    with pytest.raises(ValueError, match="given back"):
        batch[0]


def test_views_are_read_only(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1, 2)
    batch = reader.next(10)
    for view in batch:
        with pytest.raises(TypeError):
            view[0] = 1
    array = next(batch.arrays("u8"))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_arrays_are_of_the_ring_itself(make_ring: Callable[[int], Ring]) -> None:
    ring = make_ring(4096)
    with rbcore.Reader(ring.source) as reader:
        ring.write(*range(200))
        for _ in reader.batches(0.05):
            reader.commit()
        ring.write(*range(60))  # passes the end of the ring
        batch = reader.next(10)
        arrays = list(batch.arrays("<u8"))
        assert numpy.concatenate(arrays).tolist() == list(range(60))
        assert len(arrays) == 1  # the ring is mapped twice
        assert {array.strides for array in arrays} == {(16,)}
        with pytest.raises(ValueError, match="8 bytes"):
            next(batch.arrays("S9"))
        with pytest.raises(ValueError, match="objects"):
            next(batch.arrays("O"))
        assert next(batch.arrays("<u4")).tolist()[:3] == [0, 1, 2]


def test_arrays_of_several_sizes() -> None:
    with rbcore.MemoryRing(65536) as memory, rbcore.Reader(memory) as reader:
        producer = rbcore.Producer(memory)
        sizes = [8] * 5 + [16] * 3 + [24] + [8] * 2
        for i, size in enumerate(sizes):
            producer.output(struct.pack("<Q", i).ljust(size, b"\xff"))
            if i == 2:
                producer.reserve(100).discard()
        arrays = list(reader.next(10).arrays("<u8"))
        assert numpy.concatenate(arrays).tolist() == list(range(len(sizes)))


def test_nothing_leaks(ring: Ring) -> None:
    fds = len(os.listdir("/proc/self/fd"))
    dead: list[weakref.ref[Any]] = []
    for _ in range(20):
        with rbcore.Reader(ring.source) as reader:
            ring.write(1, 2, 3)
            for batch in reader.batches(0):
                views = list(batch)
                assert batch._export is not None
                dead.append(weakref.ref(batch._export))
                views += [views[0][2:], views[1].cast("Q")]
                array = next(batch.arrays("u8"))
                del views, array
            dead.append(weakref.ref(reader))
        del reader, batch
    assert [ref for ref in dead if ref() is not None] == []
    assert len(os.listdir("/proc/self/fd")) == fds


def test_a_cycle_is_collected(ring: Ring) -> None:
    ring.write(1, 2)
    reader = rbcore.Reader(ring.source)
    cycle: list[Any] = [reader.next(10)[0]]
    cycle.append(cycle)
    reader.close()
    del reader, cycle
    gc.collect()
    rbcore.Reader(ring.source).close()
