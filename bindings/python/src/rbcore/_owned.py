# SPDX-License-Identifier: MIT
"""Objects of the C library, which are freed when the last reference is gone.

The destructors are functions of C, or made of them. In one that is written in Python a signal
handler may raise, and what it left undone would never be done.
"""

from __future__ import annotations

import gc
from functools import partial
from typing import Any

from ._rbcore import ffi, lib


def _watch(phase: str, _: dict[str, int]) -> None:
    lib.rbcore_py_collects(phase == "start")


gc.callbacks.append(_watch)  # see batch.h


def owned_reader(handle: Any) -> Any:
    return ffi.gc(handle, lib.rbcore_py_free_reader)


def owned_producer(handle: Any) -> Any:
    return ffi.gc(handle, lib.rbcore_py_free_producer)


def owned_snapshot(handle: Any) -> Any:
    return ffi.gc(handle, lib.rbcore_py_free_snapshot)


def owned_record(handle: Any, record: Any) -> Any:
    """The data of a record, which is released in the end."""
    return ffi.gc(record.data, partial(lib.rbcore_py_release, handle, record))


def owned_reservation(handle: Any) -> Any:
    """rbcore_producer_reserve puts the data here. A record that is there in the end is
    discarded.
    """
    return ffi.gc(ffi.new("void **"), partial(lib.rbcore_py_discard, handle))


def owned_rings(rings: Any) -> Any:
    return ffi.gc(not_null(rings), lib.rbcore_py_rings_free)


def owned_windows(windows: Any) -> Any:
    return ffi.gc(not_null(windows), lib.rbcore_py_free_windows)


def not_null(pointer: Any) -> Any:
    if pointer == ffi.NULL:
        raise MemoryError
    return pointer
