# SPDX-License-Identifier: MIT
"""The reader whose records are given back one by one, in any order, by any thread."""

from __future__ import annotations

import weakref
from typing import Any

from ._base import ReaderBase
from ._batch import identity_of
from ._rbcore import ffi, lib
from ._source import Identity


class _Return:
    """Gives a record back when the last view of it is gone."""

    __slots__ = ("handle", "record")

    def __init__(self, handle: Any, record: Any) -> None:
        self.handle = handle
        self.record = record

    def __call__(self, _: object) -> None:
        lib.rbcore_reader_release(self.handle, self.record, 1)


class Lease:
    """A record of its holder's own, for as long as the holder likes, in any thread.

    It is given back when the lease and all views of it are gone, at the end of a with statement, or
    by release().
    """

    __slots__ = ("_export", "_return", "_view")

    def __init__(self, handle: Any, record: Any) -> None:
        self._return = _Return(handle, ffi.new("rbcore_record *", record))
        export = ffi.buffer(ffi.gc(record.data, self._return), record.size)
        self._export = weakref.ref(export)
        self._view: memoryview | None = memoryview(export).toreadonly()

    @property
    def view(self) -> memoryview:
        """The record: a read-only view of the ring itself."""
        view = self._view
        if view is None:
            raise ValueError("the record was given back to the ring")
        return view

    @property
    def position(self) -> int:
        """The position of the record in its ring: its identity among the ring's records."""
        return int(self._return.record.position)

    @property
    def ring(self) -> int:
        """The index of the ring that it comes from."""
        return int(self._return.record.ring)

    def identity(self) -> Identity:
        """What names the record among all records of all machines."""
        return identity_of(self._return.handle, self._return.record)

    def release(self) -> None:
        """Gives the record back, once; BufferError if a view of it is still in use."""
        view, self._view = self._view, None
        if view is None:
            return
        del view
        export = self._export()
        if export is not None:
            self._view = memoryview(export).toreadonly()
            raise BufferError("a view of the record is still in use")

    def __len__(self) -> int:
        return int(self._return.record.size)

    def __enter__(self) -> memoryview:
        return self.view

    def __exit__(self, *_: object) -> None:
        # The variable of the with statement still refers to the view.
        if self._view is not None:
            self._view.release()
            self._view = None


class LeaseReader(ReaderBase["list[Lease]"]):
    __doc__ = f"""Hands out lists of Leases: records that go back one by one, in any order.

    {ReaderBase.__doc__}"""

    _flags = lib.RBCORE_READER_RELEASE
    _usual_max = 512

    def _prepare(self) -> None:
        self._records = ffi.new("rbcore_record[]", self._max)  # what was found last

    def next(self, timeout: float | None = None) -> list[Lease]:
        self._begin()
        try:
            count = self._fill(timeout)
            return [Lease(self._open, self._records[i]) for i in range(count)]
        finally:
            self._end()

    def _wait(self, timeout_ns: int) -> int:
        return lib.rbcore_reader_next(self._open, self._records, self._max, timeout_ns)
