# SPDX-License-Identifier: MIT
"""What a Reader hands out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._errors import check
from ._rbcore import ffi, lib
from ._records import Keep, Records
from ._source import Identity

if TYPE_CHECKING:
    from ._reader import Reader


class Batch(Records):
    """Records in the order in which they came, each a read-only memoryview of the ring itself.

    All views of a batch come from one exporter. As long as one of them lives, or a slice, a cast or
    a numpy array of one, the batch is not given back to the ring, whatever else is done. (The last
    record, if it is small, is a copy that holds nothing.)
    """

    # The last record is what the variables of a loop still refer to when the loop asks for the next
    # batch, and would keep the ring from knowing that all before was read. (A ring with records that
    # were not given back wakes nobody.)
    _copied_max = 4096

    def __init__(self, reader: Reader, spans: bytes, shape: tuple[int, int, int]) -> None:
        super().__init__(spans, shape)
        self._reader = reader

    def ring(self, index: int) -> int:
        """The index of the ring that a record comes from."""
        _, _, _, ring, _ = self._record(index)
        return ring

    def identity(self, index: int) -> Identity:
        """What names a record among all records of all machines."""
        return identity_of(self._reader._handle(), self._c_record(index))

    def commit(self, count: int | None = None, *, now: bool = False) -> None:
        """Gives back the first count records, or all, and all batches before.

        Raises BufferError, and gives back nothing, if a view of these batches lives. now: tells the
        kernel at once, also while the ring is busy.
        """
        self._reader._commit_up_to(self, self._count if count is None else count, now)

    # ---- Within

    def _keeper(self) -> Keep:
        return self._reader._keep

    def _c_record(self, index: int) -> Any:
        data, position, size, ring, _ = self._record(index)
        return ffi.new("rbcore_record *", [ffi.cast("void *", data), position, size, ring, 0])


def identity_of(handle: Any, record: Any) -> Identity:
    out = ffi.new("rbcore_identity *")
    lib.rbcore_identity_init(out, ffi.sizeof("rbcore_identity"))
    check(lib.rbcore_reader_identity(handle, record, out), "rbcore_reader_identity")
    is_memory_ring = out.kind == lib.RBCORE_SOURCE_MEMORY_RING
    return Identity(bytes(ffi.buffer(out.boot_id)), is_memory_ring, out.ring_id, out.position)
