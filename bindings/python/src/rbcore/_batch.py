# SPDX-License-Identifier: MIT
"""What a Reader hands out."""

from __future__ import annotations

from typing import Any, Protocol

from ._rbcore import ffi, lib
from ._records import Keep, Records
from ._source import Identity, identity_of


class Lender(Protocol):
    """The reader, as far as a batch needs it."""

    def _handle(self) -> Any: ...

    def _commit_up_to(self, batch: Batch, count: int, now: bool) -> None: ...


class Batch(Records):
    """Records in the order in which they came, each a read-only memoryview of the ring itself.

    A view, a slice or a cast of one, or a numpy array, stays valid and unchanged as long as it lives.
    The ring does not wait for it: where its space is needed the records are moved to memory of
    their own, at the same addresses (Reader tells when). (The last record, if it has at most 64 KiB,
    is a copy from the beginning.)

    What loops have gone through, over the batch, arrays(), unpack() or decode(), is given back when
    the reader is closed, see Reader.close().
    """

    # The last record is what the variables of a loop still refer to when the loop asks for the next
    # batch. To copy it is cheaper than to move it, and than a wait for a record that nobody knows
    # to be read. (A ring with records that were not given back wakes nobody.)
    _copied_max = 65536

    def __init__(
        self, reader: Lender, keep: Keep, spans: bytes, shape: tuple[int, int, int, int]
    ) -> None:
        super().__init__(spans, shape)
        self._reader = reader
        self._keep = keep

    def ring(self, index: int) -> int:
        """The index of the ring that a record comes from."""
        _, _, _, ring, _ = self._record(index)
        return ring

    def identity(self, index: int) -> Identity:
        """What names a record among all records of all machines."""
        self._record(index)
        return identity_of(self._reader._handle(), self._c_record(index))

    def commit(self, count: int | None = None, *, now: bool = False) -> None:
        """Gives back the first count records, or all, and all batches before.

        Raises BufferError, and gives back nothing, if a view of these batches lives in the ring, and
        ValueError if the batch has not as many records. Nothing happens if all were given back
        already, or were moved out of the ring. now: tells the kernel at once, also while the ring is
        busy.
        """
        self._reader._commit_up_to(self, self._count if count is None else count, now)

    # ---- Within

    def _keeper(self) -> Keep:
        return self._keep

    def _c_record(self, index: int) -> Any:
        """As the library knows it."""
        data, position, size, ring, _ = self._locate(index + self._count if index < 0 else index)
        data -= lib.rbcore_py_shift(self._keep.windows, ring)
        return ffi.new("rbcore_record *", [ffi.cast("void *", data), position, size, ring, 0])
