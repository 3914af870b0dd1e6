# SPDX-License-Identifier: MIT
"""Records become tuples, dataclasses and structures of ctypes, without numpy."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any

import pytest
import rbcore


@dataclass
class Event:
    time: Annotated[int, "Q"]
    kind: Annotated[int, "B"]
    pid: Annotated[int, "I"]  # 3 bytes of padding before it, as in C
    name: Annotated[bytes, "16s"]


class CEvent(ctypes.Structure):
    _fields_ = (
        ("time", ctypes.c_uint64),
        ("kind", ctypes.c_uint8),
        ("pid", ctypes.c_uint32),
        ("name", ctypes.c_char * 16),
    )


FORM = "QBI16s"


def content(number: int, size: int = 32) -> bytes:
    return struct.pack(FORM, number, number % 7, 3 * number, b"name%d" % number).ljust(size, b"+")


def as_tuple(event: Any) -> tuple[Any, ...]:
    return event.time, event.kind, event.pid, event.name.rstrip(b"\0")


WAYS: dict[str, Callable[[Any], Iterator[tuple[Any, ...]]]] = {
    "unpack": lambda records: ((*t[:3], t[3].rstrip(b"\0")) for t in records.unpack(FORM)),
    "dataclass": lambda records: map(as_tuple, records.decode(Event)),
    "ctypes": lambda records: map(as_tuple, records.decode(CEvent)),
}
SIZES = {
    "one": [32],
    "a run": [32] * 20,
    "larger ones": [40] * 5,
    "runs": [32] * 5 + [36] * 3 + [48] + [32] * 2,
}


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("way", WAYS)
def test_each_record(way: str, sizes: str) -> None:
    wanted = [(i, i % 7, 3 * i, b"name%d" % i) for i in range(len(SIZES[sizes]))]
    with rbcore.MemoryRing(65536) as memory, rbcore.Reader(memory) as reader:
        producer = rbcore.Producer(memory)
        for number, size in enumerate(SIZES[sizes]):
            producer.output(content(number, size))
        snapshot = reader.snapshot()
        batch = reader.next(10)
        assert list(WAYS[way](batch)) == wanted
        made = list(WAYS[way](batch))
        batch.commit()  # what was made holds nothing
        assert made == wanted
        assert list(WAYS[way](snapshot)) == wanted


@pytest.mark.parametrize("way", WAYS)
def test_a_loop_that_is_left(way: str) -> None:
    """It holds nothing, and what it went through is given back."""
    with rbcore.MemoryRing(65536) as memory, rbcore.Producer(memory) as producer:
        producer.output_batch([content(i) for i in range(10)])
        with rbcore.Reader(memory) as reader:
            for number, *_ in WAYS[way](reader.next(10)):
                if number == 3:
                    break
            assert reader._held[-1]._is_held() is False
        with rbcore.Reader(memory) as reader:
            batch = reader.next(10)
            assert [number for number, *_ in WAYS[way](batch)] == [4, 5, 6, 7, 8, 9]
            batch.commit()
            with pytest.raises(ValueError, match="given back"):
                next(WAYS[way](batch))


@pytest.mark.parametrize("way", WAYS)
def test_a_record_that_is_too_small(way: str) -> None:
    with rbcore.MemoryRing(65536) as memory, rbcore.Reader(memory) as reader:
        producer = rbcore.Producer(memory)
        producer.output(content(0))
        producer.output(content(1)[:-4])
        made = WAYS[way](reader.next(10))
        assert next(made)[0] == 0
        with pytest.raises(ValueError, match="28 bytes is too small"):
            list(made)


def test_an_empty_batch() -> None:
    with rbcore.MemoryRing(4096) as memory, rbcore.Reader(memory) as reader:
        for way in WAYS.values():
            assert list(way(reader.next(0))) == []


@dataclass
class NoFormat:
    time: int


@dataclass
class TwoValues:
    time: Annotated[int, "2Q"]


@dataclass
class NotAFormat:
    time: Annotated[int, "?!"]


@dataclass
class Order:
    time: Annotated[int, "<Q"]


@dataclass
class NoArgument:
    time: Annotated[int, "Q"] = field(init=False)


@pytest.mark.parametrize("cls", [NoFormat, TwoValues, NotAFormat, Order, NoArgument])
def test_classes_that_are_none(cls: type) -> None:
    """The field is named."""
    with rbcore.MemoryRing(4096) as memory, rbcore.Reader(memory) as reader:
        with pytest.raises(TypeError, match=rf"{cls.__name__}\.time"):
            reader.next(0).decode(cls)
        with pytest.raises(TypeError, match="int is neither a dataclass"):
            reader.next(0).decode(int)
        with pytest.raises(struct.error):
            reader.next(0).unpack("no format")
