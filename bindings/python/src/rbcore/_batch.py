# SPDX-License-Identifier: MIT
"""A Reader hands out batches."""

from __future__ import annotations

from typing import Any, Protocol

from ._rbcore import ffi, lib
from ._records import SPAN, Keep, Records
from ._source import Identity, identity_of


class Lender(Protocol):
    """A batch needs this of its reader."""

    def _handle(self) -> Any: ...

    def _commit_up_to(self, batch: Batch, count: int, now: bool) -> None: ...

    def _describe(self, first: Any, last: Any, header: Any, content: Any) -> None: ...


class Batch(Records):
    """Holds records in the order in which they came, each a read-only memoryview of the ring
    itself.

    A view, a slice or a cast of one, or a numpy array, stays valid and unchanged as long as it
    lives. The ring does not wait for it: if its space is needed, the records are moved to memory of
    their own, at the same addresses (Reader says when). (The last record is a copy from the
    beginning, if it has at most 64 KiB.)

    What loops over the batch, arrays(), unpack() or decode() have gone through is given back when
    the reader is closed: see Reader.close().
    """

    # When a loop asks for the next batch, its variables still refer to the last record. Copying it
    # is cheaper than moving it. It is also cheaper than not giving it back: a ring with records
    # that were not given back does not wake its reader.
    _copied_max = 65536

    _contents = b""  # spans of what snapshot_header() returned: it is moved with the records

    def __init__(
        self, reader: Lender, keep: Keep, spans: bytes, shape: tuple[int, int, int, int]
    ) -> None:
        super().__init__(spans, shape)
        self._reader = reader
        self._keep = keep

    def ring(self, index: int) -> int:
        """Returns the index of the ring that a record comes from."""
        _, _, _, ring, _ = self._record(index)
        return ring

    def identity(self, index: int) -> Identity:
        """Identifies a record among all records of all machines."""
        self._record(index)
        return identity_of(self._reader._handle(), self._c_record(index))

    def commit(self, count: int | None = None, *, now: bool = False) -> None:
        """Gives back the first count records, or all, and all batches before.

        Raises BufferError, and gives back nothing, if a view of these batches lives in the ring,
        and ValueError if the batch does not have so many records. Nothing happens if they were
        given back already, or moved out of the ring. With now the kernel is told at once, also
        while the ring is paced.
        """
        self._reader._commit_up_to(self, self._count if count is None else count, now)

    def snapshot_header(self, first: int = 0, last: int = -1) -> tuple[bytes, memoryview]:
        """Describes the records from first to last as a snapshot, without copying them.

        Returns a header and the content: written one after the other they are a file, as save() of
        a Snapshot writes it. Both records are of one ring. What lies between them is part of the
        content, which is a view like those of records. It holds the batch as they do.

        Raises Error if the records are of two rings, or last comes before first, and Corrupt if
        between them is a record that a dead producer left unfinished, or one that no producer
        writes. Each record can be described by itself then.
        """
        _, position, _, ring, _ = self._record(first)
        self._record(last)
        header = bytearray(lib.RBCORE_SNAPSHOT_HEADER_SIZE)
        content = ffi.new("rbcore_slice *")
        self._reader._describe(
            self._c_record(first), self._c_record(last), ffi.from_buffer(header), content
        )
        data = int(ffi.cast("uintptr_t", content.data))
        data += lib.rbcore_py_shift(self._keep.windows, ring)
        self._contents += SPAN.pack(data, position, content.size, content.size, 1, ring, 0)
        return bytes(header), self._view_of(data, content.size)

    # ---- Within

    def _view_of(self, data: int, size: int) -> memoryview:
        """Returns a view that counts as one of the root's slices as long as it lives."""
        keep = Keep((self._keep, self._root()[:0]))
        pointer = ffi.gc(ffi.cast("void *", data), keep)
        return memoryview(ffi.buffer(pointer, size)).toreadonly()

    def _keeper(self) -> Keep:
        return self._keep

    def _c_record(self, index: int) -> Any:
        """Returns a record in the form that the library takes."""
        data, position, size, ring, _ = self._locate(index + self._count if index < 0 else index)
        data -= lib.rbcore_py_shift(self._keep.windows, ring)
        return ffi.new("rbcore_record *", [ffi.cast("void *", data), position, size, ring, 0])
