# SPDX-License-Identifier: MIT
"""The reader whose records are given back one by one, in any order, by any thread."""

from __future__ import annotations

import weakref
from typing import Any

from ._base import ReaderBase
from ._batch import identity_of
from ._owned import owned_record
from ._rbcore import ffi, lib
from ._source import Identity


class Lease:
    """A record of its holder's own, for as long as the holder likes, in any thread.

    It is given back when the lease and all views of it are gone, at the end of a with statement, or
    by release().
    """

    __slots__ = ("_export", "_handle", "_record", "_view")

    def __init__(self, handle: Any, record: Any) -> None:
        self._record = ffi.new("rbcore_record *", record)
        # The record keeps the reader open until it is back; a lease that was released does not.
        self._handle = weakref.ref(handle)
        export = ffi.buffer(owned_record(handle, self._record), record.size)
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
        return int(self._record.position)

    @property
    def ring(self) -> int:
        """The index of the ring that it comes from."""
        return int(self._record.ring)

    def identity(self) -> Identity:
        """What names it among all records of all machines; ValueError if the reader is gone."""
        handle = self._handle()
        if handle is None:
            raise ValueError("the record was given back to the ring")
        return identity_of(handle, self._record)

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
        return int(self._record.size)

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
        self._found = ffi.new("int *")  # how many of them are nobody's yet

    def next(self, timeout: float | None = None) -> list[Lease]:
        return self._alone(self._next, timeout)

    # ---- Within

    def _next(self, timeout: float | None) -> list[Lease]:
        leases: list[Lease] = []
        found = self._found
        try:
            self._fill(timeout)
            for i in range(found[0]):
                leases.append(Lease(self._open, self._records[i]))
            found[0] = 0
            return leases
        finally:
            if found[0]:
                # A signal handler has raised: what has no lease yet nobody would ever give back.
                rest, count = self._records + len(leases), found[0] - len(leases)
                leases.clear()
                found[0] = 0
                lib.rbcore_reader_release(self._open, rest, count)

    def _wait(self, timeout_ns: int) -> int:
        return lib.rbcore_py_next_records(
            self._open, self._records, self._max, timeout_ns, self._found
        )
