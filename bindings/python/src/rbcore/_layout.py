# SPDX-License-Identifier: MIT
"""A layout makes tuples, dataclasses or structures of ctypes of records."""

from __future__ import annotations

import ctypes
import dataclasses
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import chain, compress, repeat, starmap
from struct import Struct
from struct import error as struct_error
from typing import Any, NamedTuple, get_type_hints

from ._progress import Counter


class Layout(NamedTuple):
    """Makes an object of the first size bytes of a record.

    many makes the objects of a run of records. It takes a view of the run, the distance between two
    records, and their number. It returns the iterator, and a counter that knows how many are left
    and holds none of them.
    """

    size: int
    many: Callable[[memoryview, int, int], tuple[Iterator[Any], Counter]]


@lru_cache(maxsize=64)
def padded(form: str, padding: int) -> Struct:
    return Struct(f"{form}{padding}x")


def layout_of_format(form: str) -> Layout:
    """Makes tuples. All of a run but the last are read in one go, with the bytes between them."""
    single = Struct(form)

    def many(view: memoryview, stride: int, count: int) -> tuple[Iterator[Any], Counter]:
        last = (count - 1) * stride
        before = padded(form, stride - single.size).iter_unpack(view[:last])
        ticks: Any = repeat(True, count)
        return compress(chain(before, map(single.unpack_from, (view,), (last,))), ticks), ticks

    return Layout(single.size, many)


@lru_cache(maxsize=64)
def layout_of_class(cls: Any) -> Layout:
    if dataclasses.is_dataclass(cls):
        return layout_of_dataclass(cls)
    if issubclass(cls, ctypes.Structure):
        return layout_of_structure(cls)
    raise TypeError(f"{cls.__name__} is neither a dataclass nor a ctypes.Structure")


def layout_of_structure(cls: type[ctypes.Structure]) -> Layout:
    def many(view: memoryview, stride: int, count: int) -> tuple[Iterator[Any], Counter]:
        offsets: Any = iter(range(0, count * stride, stride))
        return map(cls.from_buffer_copy, repeat(view), offsets), offsets

    return Layout(ctypes.sizeof(cls), many)


def layout_of_dataclass(cls: Any) -> Layout:
    hints = get_type_hints(cls, include_extras=True)
    tuples = layout_of_format(
        "".join(format_of(cls, field, hints) for field in dataclasses.fields(cls))
    )

    def many(view: memoryview, stride: int, count: int) -> tuple[Iterator[Any], Counter]:
        each, ticks = tuples.many(view, stride, count)
        return starmap(cls, each), ticks  # one that cls refuses is what the loop is at

    return Layout(tuples.size, many)


def format_of(cls: type, field: Any, hints: dict[str, Any]) -> str:
    """Returns the format of one field, from Annotated[int, "Q"]."""
    name = f"{cls.__name__}.{field.name}"
    if not field.init or getattr(field, "kw_only", False):
        raise TypeError(f"{name} is not a positional argument of {cls.__name__}")
    formats = [each for each in getattr(hints[field.name], "__metadata__", ()) if type(each) is str]
    if len(formats) != 1:
        raise TypeError(f'{name} has no format: Annotated[int, "Q"] is one')
    try:
        values = len(Struct(formats[0]).unpack(bytes(Struct(formats[0]).size)))
    except struct_error as error:
        raise TypeError(f"{name}: {error}") from None
    if values != 1 or formats[0][0] in "@=<>!":
        raise TypeError(f"{name}: {formats[0]!r} is not the format of one value")
    return formats[0]
