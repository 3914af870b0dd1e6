# SPDX-License-Identifier: MIT
"""Writes records into rings."""

from __future__ import annotations

import errno
import time
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

from ._errors import check, error_of
from ._owned import owned_producer, owned_reservation
from ._rbcore import ffi, lib
from ._records import Keep
from ._source import Source, fill_source
from ._wait import LONGEST_WAIT, SECOND

if TYPE_CHECKING:
    from typing_extensions import Self  # noqa: UP035 -- typing has it from 3.11 on

#: The content of a record.
Buffer = Union[bytes, bytearray, memoryview]  # noqa: UP007 -- for Python 3.9


class Producer:
    """Writes records into a memory ring, or a map of type BPF_MAP_TYPE_USER_RINGBUF.

    A map is given as to a Reader, and has one producer at a time. insist opens it although another
    producer has it: use it only if that one is known to be dead or hung. Any thread may use the
    producer.

    wake=None wakes the reader as the kernel does, if it had given back all records before. True
    always wakes it, False never. (A user ring wakes no reader: a BPF program drains it when it
    runs.)
    """

    def __init__(self, ring: Source, *, insist: bool = False) -> None:
        source, keep = fill_source(ring, insist=insist)
        out = ffi.new("rbcore_producer **")
        check(lib.rbcore_producer_open(out, source), "rbcore_producer_open")
        del keep
        self._open: Any = owned_producer(out[0])

    def output(self, data: Buffer, *, wake: bool | None = None) -> None:
        """Copies data into a record. If there is no room, it is lost and counted: raises Full."""
        content = ffi.from_buffer(data)
        result = lib.rbcore_producer_output(
            self._handle(), content, len(content), wakeup_flags(wake)
        )
        check(result, "rbcore_producer_output")

    def output_batch(self, records: Sequence[Buffer], *, wake: bool | None = None) -> int:
        """Writes records in a row, none of another thread between them, and wakes at most once.

        Returns how many were written: fewer than all if the next one did not fit or is at fault.
        The rest is not lost: the caller still has it. Raises Full if there was room for none.
        """
        if not records:
            return 0
        contents = [ffi.from_buffer(record) for record in records]
        slices = ffi.new("rbcore_slice[]", [(content, len(content)) for content in contents])
        result = lib.rbcore_producer_output_batch(
            self._handle(), slices, len(contents), wakeup_flags(wake)
        )
        return check(result, "rbcore_producer_output_batch")

    def reserve(self, size: int, timeout: float | None = 0) -> Reservation:
        """Reserves a record, to be written in place. Raises Full if there is no room.

        timeout is how many seconds to wait for room, None is without end.

        with producer.reserve(8) as view:   # discarded if an exception ends it, else submitted
            view[:] = ...
        """
        return Reservation(self, size, timeout)

    def close(self) -> None:
        """Ends waits for room within a second: they raise Closed. Reservations stay valid."""
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
    """A record that is being written. The reader stops before it until it is finished."""

    __slots__ = ("_data", "_export", "_handle", "_view")

    def __init__(self, producer: Producer, size: int, timeout: float | None) -> None:
        self._handle = producer._handle()
        self._view: memoryview | None = None
        # A record that is forgotten is discarded when no view of it lives. Otherwise the reader
        # would wait for it as long as the producer lives.
        self._data: Any = owned_reservation(self._handle)
        reserve_wait(producer, self._data, size, timeout)
        export = ffi.buffer(ffi.gc(self._data[0], Keep(self._data)), size)
        self._export = weakref.ref(export)
        self._view = memoryview(export)

    @property
    def view(self) -> memoryview:
        """Returns the memory of the record, in the ring itself. It is not cleared."""
        view = self._view
        assert view is not None
        return view

    def submit(self, *, wake: bool | None = None) -> None:
        """Hands the record to the reader. Raises BufferError if a slice of the view is in use."""
        self._finish(lib.rbcore_producer_submit, "rbcore_producer_submit", wake)

    def discard(self, *, wake: bool | None = None) -> None:
        """Gives the record up: the reader skips it. Raises BufferError as submit() does."""
        self._finish(lib.rbcore_producer_discard, "rbcore_producer_discard", wake)

    def _finish(self, finish: Any, name: str, wake: bool | None) -> None:
        if not self._data[0]:
            raise ValueError("the record was submitted or discarded already")
        if self._view is not None:
            self._view.release()
            if self._export() is not None:
                raise BufferError("a slice of the record's view is still in use")
        data, flags = self._data[0], wakeup_flags(wake)
        self._data[0] = ffi.NULL  # first: a handler that raises must not finish it twice
        check(finish(self._handle, data, flags), name)

    def __enter__(self) -> memoryview:
        return self.view

    def __exit__(self, kind: object, *_: object) -> None:
        if self._data[0]:
            if kind is None:
                self.submit()
            else:
                self.discard()


def reserve_wait(producer: Producer, out: Any, size: int, timeout: float | None) -> None:
    """Waits in parts, as a reader does, so that Ctrl-C and close() end it."""
    left = LONGEST_WAIT
    deadline = None
    if timeout is not None:
        if timeout < 0:
            raise ValueError("timeout must not be negative")
        left = round(timeout * SECOND)
        deadline = time.monotonic_ns() + left
    while left > 0:
        result = lib.rbcore_producer_reserve_wait(
            producer._handle(), out, size, min(left, LONGEST_WAIT)
        )
        if result not in (-errno.EINTR, -errno.EAGAIN):
            check(result, "rbcore_producer_reserve_wait")
            return
        if deadline is not None:
            left = deadline - time.monotonic_ns()
    # The time is up: now a record that does not fit is lost, and counted.
    check(lib.rbcore_producer_reserve(producer._handle(), out, size), "rbcore_producer_reserve")


def wakeup_flags(wake: bool | None) -> int:
    if wake is None:
        return 0
    return lib.RBCORE_FORCE_WAKEUP if wake else lib.RBCORE_NO_WAKEUP
