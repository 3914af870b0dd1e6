# SPDX-License-Identifier: MIT
"""The reader whose records are given back one by one, in any order, by any thread."""

from __future__ import annotations

import sys
import weakref
from typing import Any

from ._base import ReaderBase
from ._owned import owned_record
from ._rbcore import ffi, lib
from ._records import OURS
from ._source import Identity, identity_of


class Lease:
    """A record that its holder may keep as long as it likes, in any thread.

    It is given back when the lease and all views of it are gone, at the end of a with statement, or
    by release(). A lease that was given back keeps nothing alive, not even the ring of a closed
    reader.
    """

    __slots__ = ("_entered", "_export", "_handle", "_owned", "_record")

    def __init__(self, handle: Any, record: Any) -> None:
        self._record = ffi.new("rbcore_record *", record)
        # The record keeps the reader open until it is back. A lease that was released does not.
        self._handle = weakref.ref(handle)
        self._entered: memoryview | None = None  # by a with statement
        self._owned: Any = owned_record(handle, self._record)
        self._export: Any = ffi.buffer(self._owned, record.size)

    @property
    def view(self) -> memoryview:
        """Returns the record as a read-only view of the ring itself, a new one each time."""
        export = self._export
        if export is None:
            raise ValueError("the record was given back to the ring")
        return memoryview(export).toreadonly()

    @property
    def position(self) -> int:
        """Returns the position of the record in its ring: its identity among the ring's records."""
        return int(self._record.position)

    @property
    def ring(self) -> int:
        """Returns the index of the ring that it comes from."""
        return int(self._record.ring)

    def identity(self) -> Identity:
        """Identifies it among all records of all machines. ValueError if the reader is gone."""
        handle = self._handle()
        if handle is None:
            raise ValueError("the record was given back to the ring")
        return identity_of(handle, self._record)

    def release(self) -> None:
        """Gives the record back. BufferError if a view of it is still in use."""
        if self._export is None:
            return
        if sys.getrefcount(self._export) > OURS:
            raise BufferError("a view of the record is still in use")
        ffi.release(self._owned)
        self._export = None

    def __len__(self) -> int:
        return int(self._record.size)

    def __enter__(self) -> memoryview:
        self._entered = self.view
        return self._entered

    def __exit__(self, *_: object) -> None:
        # The variable of the with statement still refers to the view.
        if self._entered is not None:
            self._entered.release()
            self._entered = None
        if self._export is None or sys.getrefcount(self._export) > OURS:
            # Objects made of the view still have the record. The last of them gives it back.
            self._export = self._owned = None
        else:
            self.release()


class LeaseReader(ReaderBase["list[Lease]"]):
    __doc__ = f"""Hands out lists of Leases: records that go back one by one, in any order.

    {ReaderBase.__doc__}"""

    _flags = lib.RBCORE_READER_RELEASE
    _usual_max = 512

    def _prepare(self) -> None:
        self._records = ffi.new("rbcore_record[]", self._max)  # what was found last
        self._found = ffi.new("int *")  # how many of them have no lease yet

    def next(self, timeout: float | None = None) -> list[Lease]:
        return self._alone(self._next, timeout)

    # ---- Within

    def _close(self) -> None:
        """Leaves the rings to the records that are not released: the next reader's error says so."""
        try:
            # After fork() there are none here: the rings are the parent's.
            for index in () if self._open is None else self._indexes():
                lib.rbcore_reader_remove(self._open, index)
        finally:
            super()._close()

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
                # A signal handler has raised. Records without a lease would never be given back.
                rest, count = self._records + len(leases), found[0] - len(leases)
                leases.clear()
                found[0] = 0
                lib.rbcore_reader_release(self._open, rest, count)

    def _wait(self, timeout_ns: int) -> int:
        return lib.rbcore_py_next_records(
            self._open, self._records, self._max, timeout_ns, self._found
        )
