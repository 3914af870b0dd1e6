# SPDX-License-Identifier: MIT
"""Writes records into a memory ring."""

from __future__ import annotations

import errno
import weakref
from typing import TYPE_CHECKING, Any

from ._base import Keep
from ._errors import check, error_of
from ._rbcore import ffi, lib
from ._source import MemoryRing, fill_source

if TYPE_CHECKING:
    from typing import Self


class Producer:
    """Writes records into a memory ring. Any thread may use it.

    For wake: None wakes the reader as the kernel does, if it had given back all before; True always
    wakes it, False never.
    """

    def __init__(self, ring: MemoryRing) -> None:
        source, _ = fill_source(ring)
        out = ffi.new("rbcore_producer **")
        check(lib.rbcore_producer_open(out, source), "rbcore_producer_open")
        self._open: Any = ffi.gc(out[0], lib.rbcore_producer_free)

    def output(self, data: bytes | bytearray | memoryview, *, wake: bool | None = None) -> None:
        """Copies data into a record. Raises Full if there is no room: then it is lost and counted."""
        content = ffi.from_buffer(data)
        result = lib.rbcore_producer_output(
            self._handle(), content, len(content), wakeup_flags(wake)
        )
        check(result, "rbcore_producer_output")

    def reserve(self, size: int) -> Reservation:
        """Reserves a record, to be written in place; raises Full if there is no room.

        with producer.reserve(8) as view:   # discarded if an exception ends it, else submitted
            view[:] = ...
        """
        return Reservation(self._handle(), size)

    def close(self) -> None:
        """What is reserved and not submitted is abandoned: the reader skips and counts it."""
        self._open = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _handle(self) -> Any:
        handle = self._open
        if handle is None:
            raise error_of(-errno.ESHUTDOWN, "", "the producer is closed")
        return handle


class Reservation:
    """A record that is being written; the reader stops before it until it is finished."""

    __slots__ = ("_data", "_export", "_handle", "_view")

    def __init__(self, handle: Any, size: int) -> None:
        self._data: Any = None
        out = ffi.new("void **")
        check(lib.rbcore_producer_reserve(handle, out, size), "rbcore_producer_reserve")
        self._handle = handle
        self._data = out[0]
        export = ffi.buffer(ffi.gc(self._data, Keep(handle)), size)
        self._export = weakref.ref(export)
        self._view = memoryview(export)

    @property
    def view(self) -> memoryview:
        """Where the content goes, in the ring itself; not cleared."""
        return self._view

    def submit(self, *, wake: bool | None = None) -> None:
        """Hands the record to the reader. Raises BufferError if a slice of the view is in use."""
        self._finish(lib.rbcore_producer_submit, "rbcore_producer_submit", wake)

    def discard(self, *, wake: bool | None = None) -> None:
        """Gives the record up: the reader skips it. Raises as submit does."""
        self._finish(lib.rbcore_producer_discard, "rbcore_producer_discard", wake)

    def _finish(self, finish: Any, name: str, wake: bool | None) -> None:
        if self._data is None:
            raise ValueError("the record was submitted or discarded already")
        self._view.release()
        if self._export() is not None:
            raise BufferError("a slice of the record's view is still in use")
        check(finish(self._handle, self._data, wakeup_flags(wake)), name)
        self._data = None

    def __enter__(self) -> memoryview:
        return self._view

    def __exit__(self, kind: object, *_: object) -> None:
        if self._data is not None:
            if kind is None:
                self.submit()
            else:
                self.discard()

    def __del__(self) -> None:
        # Forgotten: the reader would wait for it as long as the producer lives.
        if self._data is not None:
            try:
                self.discard()
            except BufferError:
                pass  # somebody still writes: abandoned when the producer closes


def wakeup_flags(wake: bool | None) -> int:
    if wake is None:
        return 0
    return lib.RBCORE_FORCE_WAKEUP if wake else lib.RBCORE_NO_WAKEUP
