# SPDX-License-Identifier: MIT
"""What was handled does not come again, and what was not does: how readers end."""

from __future__ import annotations

import os
import signal
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import pytest
import rbcore
from conftest import Ring, numbers


def number_of(record: memoryview) -> int:
    return int(struct.unpack_from("<Q", record)[0])


def left_for_the_next(ring: Ring) -> list[int]:
    with rbcore.Reader(ring.source) as reader:
        return [number for batch in reader.batches(0) for number in numbers(batch)]


def take(ring: Ring, count: int) -> Iterator[int]:
    with rbcore.Reader(ring.source) as reader:
        seen = 0
        for batch in reader:
            for record in batch:
                yield number_of(record)
                seen += 1
            if seen >= count:
                break


def test_a_tool_that_takes_some_and_ends(ring: Ring) -> None:
    seen: list[int] = []
    for number in range(0, 15, 3):
        ring.write(number, number + 1, number + 2)
        seen += take(ring, 3)
    assert seen == list(range(15))
    assert left_for_the_next(ring) == []


def test_break_within_a_batch_is_with_the_record_at_hand(ring: Ring) -> None:
    ring.write(*range(10))
    with rbcore.Reader(ring.source) as reader:
        for record in reader.next(10):
            if number_of(record) == 3:
                break
    assert left_for_the_next(ring) == [4, 5, 6, 7, 8, 9]


def test_return_is_as_break(ring: Ring) -> None:
    def first(wanted: int) -> int:
        with rbcore.Reader(ring.source) as reader:
            for batch in reader:
                for record in batch:
                    if number_of(record) == wanted:
                        return wanted
        return -1

    ring.write(*range(10))
    assert first(3) == 3
    assert left_for_the_next(ring) == [4, 5, 6, 7, 8, 9]


@pytest.mark.parametrize("at", [0, 3, 9])
def test_an_exception_leaves_the_record_at_hand(ring: Ring, at: int) -> None:
    ring.write(*range(10))
    with pytest.raises(KeyError), rbcore.Reader(ring.source) as reader:
        for batch in reader:
            for record in batch:
                if number_of(record) == at:
                    raise KeyError
    assert left_for_the_next(ring) == list(range(at, 10))


def test_an_exception_behind_the_loop_leaves_the_batch(ring: Ring) -> None:
    """What was made of its records may be lost: a transaction that was not committed."""
    for make in (list, lambda batch: [number_of(record) for record in batch]):
        ring.write(*range(10))
        with pytest.raises(KeyError), rbcore.Reader(ring.source) as reader:
            rows = make(reader.next(10))
            raise KeyError(len(rows))
        assert left_for_the_next(ring) == list(range(10))


def test_close_leaves_the_record_at_hand(ring: Ring) -> None:
    ring.write(*range(10))
    reader = rbcore.Reader(ring.source)
    records = iter(reader.next(10))
    for _ in range(4):
        next(records)
    reader.close()
    assert left_for_the_next(ring) == list(range(3, 10))


@pytest.mark.parametrize("way", ["records", "tuples"])
def test_close_by_a_signal_handler_in_the_midst_of_a_loop(ring: Ring, way: str) -> None:
    """The loop goes on, within its with statement, and then all was handled."""
    ring.write(*range(10))
    seen = 0
    before = signal.signal(signal.SIGUSR1, lambda *_: reader.close())
    with rbcore.Reader(ring.source) as reader:
        for batch in reader:
            for _ in batch if way == "records" else batch.unpack("<Q"):
                seen += 1
                if seen == 4:
                    os.kill(os.getpid(), signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)
    assert seen == 10
    assert left_for_the_next(ring) == []


def test_close_behind_the_loop(ring: Ring) -> None:
    ring.write(*range(10))
    reader = rbcore.Reader(ring.source)
    assert len(list(reader.next(10))) == 10
    reader.close()
    assert left_for_the_next(ring) == []


def test_close_in_finally_knows_of_the_exception(ring: Ring) -> None:
    ring.write(*range(10))
    reader = rbcore.Reader(ring.source)
    with pytest.raises(KeyError):
        try:
            raise KeyError(len(list(reader.next(10))))
        finally:
            reader.close()
    assert left_for_the_next(ring) == list(range(10))


def test_what_no_loop_went_through_stays(ring: Ring) -> None:
    ring.write(1, 2)
    with rbcore.Reader(ring.source) as reader:
        assert number_of(reader.next(10)[0]) == 1  # an index is no loop
    assert left_for_the_next(ring) == [1, 2]


def test_reversed_is_no_loop(ring: Ring) -> None:
    ring.write(1, 2)
    with rbcore.Reader(ring.source) as reader:
        assert [number_of(record) for record in reversed(reader.next(10))] == [2, 1]
    assert left_for_the_next(ring) == [1, 2]


@pytest.mark.parametrize("way", ["records", "tuples"])
def test_commit_is_for_behind_a_loop(ring: Ring, way: str) -> None:
    ring.write(1, 2, 3)
    with rbcore.Reader(ring.source) as reader:
        batch = reader.next(10)
        for _ in batch if way == "records" else batch.unpack("<Q"):
            with pytest.raises(BufferError):
                batch.commit()
        batch.commit()
    assert left_for_the_next(ring) == []


def test_batches_before_the_last_are_done_with(ring: Ring) -> None:
    ring.write(1, 2)
    with rbcore.Reader(ring.source) as reader:
        kept = reader.next(10)[0]
        ring.write(3, 4)
        reader.next(10)
    assert number_of(kept) == 1
    assert left_for_the_next(ring) == [3, 4]


def test_loops_in_turn(ring: Ring) -> None:
    """The one that got farthest counts."""
    ring.write(*range(10))
    with rbcore.Reader(ring.source) as reader:
        batch = reader.next(10)
        for record in batch:
            if number_of(record) == 5:
                break
        assert number_of(next(iter(batch))) == 0
    assert left_for_the_next(ring) == [5, 6, 7, 8, 9]


def test_runs_of_several_sizes() -> None:
    with rbcore.MemoryRing(65536) as memory, rbcore.Producer(memory) as producer:
        for number in range(12):
            producer.output(struct.pack("<Q", number).ljust(8 + number // 4 * 8, b"x"))
        with rbcore.Reader(memory) as reader:
            batch = reader.next(10)
            for record in batch:
                if number_of(record) == 5:
                    break
        with rbcore.Reader(memory) as reader:
            arrays = reader.next(10).arrays("<u8")
            assert next(arrays).tolist() == [6, 7]
            assert next(arrays).tolist() == [8, 9, 10, 11]
            del arrays
        with rbcore.Reader(memory) as reader:
            assert not reader.next(0)


# ---- Loops beside each other

BEFORE: dict[str, Callable[[rbcore.Batch], Any]] = {
    "all": lambda batch: list(batch),
    "some": lambda batch: any(number_of(record) == 8 for record in batch),
    "tuples": lambda batch: sum(number for (number,) in batch.unpack("<Q")),
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("where", ["before", "within"])
def test_an_exception_in_one_of_several_loops(ring: Ring, where: str, before: str) -> None:
    """What another loop has seen is not handled by this one."""
    ring.write(*range(10))
    with pytest.raises(KeyError), rbcore.Reader(ring.source) as reader:
        for batch in reader:
            if where == "before":
                BEFORE[before](batch)
            for record in batch:
                if where == "within":
                    BEFORE[before](batch)
                if number_of(record) == 3:
                    raise KeyError
    assert left_for_the_next(ring) == list(range(3, 10))


def test_a_loop_within_another(ring: Ring) -> None:
    """The outer one goes on, and is what counts."""
    ring.write(*range(10))
    with rbcore.Reader(ring.source) as reader:
        batch = reader.next(10)
        for record in batch:
            if number_of(record) == 2:
                next(iter(batch))
    assert left_for_the_next(ring) == []


def test_two_loops_at_once(ring: Ring) -> None:
    ring.write(*range(10))
    reader = rbcore.Reader(ring.source)
    batch = reader.next(10)
    assert [number for _, (number,) in zip(batch, batch.unpack("<Q"))] == list(range(10))
    reader.close()
    assert left_for_the_next(ring) == []


# ---- Exceptions of the loop itself


@dataclass
class Picky:
    number: Annotated[int, "Q"]

    def __post_init__(self) -> None:
        if self.number == 3:
            raise KeyError


def test_a_class_that_refuses_a_record(ring: Ring) -> None:
    """It is the one that the loop is at; those before are done with."""
    ring.write(*range(10))
    with pytest.raises(KeyError), rbcore.Reader(ring.source) as reader:
        for _ in reader.next(10).decode(Picky):
            pass
    assert left_for_the_next(ring) == list(range(3, 10))


@pytest.mark.parametrize("way", ["arrays", "unpack"])
def test_a_record_that_is_too_small(way: str) -> None:
    with rbcore.MemoryRing(65536) as memory, rbcore.Producer(memory) as producer:
        for number in range(10):
            producer.output(struct.pack("<Q", number).ljust(16 if number < 4 else 8, b"x"))
        with pytest.raises(ValueError, match="8 bytes"), rbcore.Reader(memory) as reader:
            for _ in getattr(reader.next(10), way)("<QQ" if way == "unpack" else "<u8,<u8"):
                pass
        with rbcore.Reader(memory) as reader:
            assert [number_of(record) for record in reader.next(10)] == list(range(4, 10))
