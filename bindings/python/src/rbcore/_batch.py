# SPDX-License-Identifier: MIT
"""What a Reader hands out: a batch of records, as views into the ring itself."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, overload

from ._errors import check
from ._rbcore import ffi, lib
from ._source import Identity

if TYPE_CHECKING:
    import numpy

    from ._reader import Reader

# The last record of a batch is a copy, if it is not larger than this: it is what the variables of a
# loop still refer to when the loop asks for the next batch, and would keep the ring from knowing
# that all before was read. (A ring with records that were not given back wakes nobody.)
COPIED_MAX = 4096

RECORD_WORDS = 3
SIZE_SHIFT = 0 if sys.byteorder == "little" else 32

# Slices for records of one size in a row, by (stride, size): the same for each batch.
_slices: dict[tuple[int, int], list[slice]] = {}
_SLICES_MAX = 8


def slices_for(stride: int, size: int, count: int) -> list[slice]:
    found = _slices.get((stride, size), [])
    if len(found) < count:
        if len(_slices) >= _SLICES_MAX:
            _slices.clear()
        found = [slice(at, at + size) for at in range(0, count * stride, stride)]
        _slices[stride, size] = found
    return found


class Batch(Sequence[memoryview]):
    """Records in the order in which they came, each a read-only memoryview of the ring itself.

    All views of a batch come from one exporter. As long as one of them lives, or a slice, a cast or
    a numpy array of one, the batch is not given back to the ring, whatever else is done. (The last
    record, if it is small, is a copy that holds nothing.)
    """

    __slots__ = ("_count", "_cut", "_export", "_first", "_reader", "_records", "_shape", "_view")

    def __init__(self, reader: Reader, records: Any, count: int) -> None:
        self._reader = reader
        self._records = records  # None: given back
        self._count = count
        self._first = 0  # all before it were given back
        self._shape: Any = None
        self._export: weakref.ref[Any] | None = None
        self._view: memoryview | None = None
        self._cut: list[slice] | None = None

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return self._count != 0

    def __repr__(self) -> str:
        state = "" if self._records is not None else ", given back"
        return f"<rbcore.Batch of {self._count} records{state}>"

    def __iter__(self) -> Iterator[memoryview]:
        count = self._count
        if not count:
            return iter(())
        self._usable(0)
        is_copied = self._last_is_copied()
        if count == 1 and is_copied:  # of a slow ring: no need for more
            return iter((self._copy(0),))
        root, cut = self._root(), self._slices()
        if is_copied:
            last = (self._copy(count - 1),)
            return chain(map(root.__getitem__, islice(cut, count - 1)), last)
        return map(root.__getitem__, islice(cut, count))

    @overload
    def __getitem__(self, index: int) -> memoryview: ...

    @overload
    def __getitem__(self, index: slice) -> list[memoryview]: ...

    def __getitem__(self, index: int | slice) -> memoryview | list[memoryview]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        at = self._index(index)
        if at == self._count - 1 and self._last_is_copied():
            return self._copy(at)
        return self._root()[self._slices()[at]]

    def arrays(self, dtype: Any) -> Iterator[numpy.ndarray[Any, Any]]:
        """The records as read-only numpy arrays of dtype, without copying or touching them.

        One array for each run of records of one size: mostly one for the whole batch, two where it
        passes the end of the ring. A record may be larger than dtype, which then is its beginning.
        An array that lives holds the batch: del it before a wait.
        """
        import numpy

        kind = numpy.dtype(dtype)
        if kind.hasobject:
            raise ValueError("records are no Python objects")
        self._usable(0)
        count = self._count
        root = self._root() if count else memoryview(b"")
        base = ffi.cast("char *", self._shape.base) if count else None
        out = ffi.new("uint64_t *")
        at = 0
        while at < count:
            shape = self._shape
            if shape.stride:  # one run
                n, stride, size, offset = count, shape.stride, shape.size, 0
            else:
                n = lib.rbcore_py_run(self._records + at, count - at, out)
                record = self._records[at]
                stride, size = out[0], record.size
                offset = ffi.cast("char *", record.data) - base
            if size < kind.itemsize:
                raise ValueError(f"a record of {size} bytes is no {kind!r}")
            yield numpy.ndarray((n,), kind, root, offset, (stride,))
            at += n

    def position(self, index: int) -> int:
        """The position of a record in its ring: its identity among the ring's records."""
        return int(self._records[self._index(index)].position)

    def ring(self, index: int) -> int:
        """The index of the ring that a record comes from."""
        return int(self._records[self._index(index)].ring)

    def identity(self, index: int) -> Identity:
        """What names a record among all records of all machines."""
        return identity_of(self._reader._handle(), self._records + self._index(index))

    def commit(self, count: int | None = None, *, now: bool = False) -> None:
        """Gives back the first count records, or all, and all batches before.

        Raises BufferError, and gives back nothing, if a view of these batches lives. now: tells the
        kernel at once, also while the ring is busy.
        """
        self._reader._commit_up_to(self, self._count if count is None else count, now)

    # ---- Within

    def _usable(self, index: int) -> None:
        if self._count and (self._records is None or index < self._first):
            raise ValueError("the record was given back to the ring")

    def _index(self, index: int) -> int:
        at = index + self._count if index < 0 else index
        if not 0 <= at < self._count:
            raise IndexError("no record of this index")
        self._usable(at)
        return at

    def _root(self) -> memoryview:
        """The view that all others are slices of."""
        view = self._view
        if view is None:
            export = self._export() if self._export is not None else None
            if export is None:
                shape = self._describe()
                export = ffi.buffer(ffi.gc(shape.base, self._reader._keep), shape.extent)
                self._export = weakref.ref(export)
            view = self._view = memoryview(export).toreadonly()
        return view

    def _describe(self) -> Any:
        if self._shape is None:
            self._shape = ffi.new("rbcore_py_shape *")
            lib.rbcore_py_shape_of(self._records, self._count, self._shape)
        return self._shape

    def _slices(self) -> list[slice]:
        cut = self._cut
        if cut is None:
            shape = self._describe()
            if shape.stride:
                cut = slices_for(shape.stride, shape.size, self._count)
            else:
                cut = self._slices_of_each(int(ffi.cast("uintptr_t", shape.base)))
            self._cut = cut
        return cut

    def _slices_of_each(self, base: int) -> list[slice]:
        size = self._count * ffi.sizeof("rbcore_record")
        words = memoryview(ffi.buffer(self._records, size)).cast("Q").tolist()
        return [
            slice(data - base, data - base + (rest >> SIZE_SHIFT & 0xFFFFFFFF))
            for data, rest in zip(words[::RECORD_WORDS], words[2::RECORD_WORDS])
        ]

    def _last_is_copied(self) -> bool:
        return bool(self._records[self._count - 1].size <= COPIED_MAX)

    def _copy(self, index: int) -> memoryview:
        record = self._records[index]
        return memoryview(bytes(ffi.buffer(record.data, record.size)))

    def _is_held(self) -> bool:
        """Whether somebody but this batch has a view of it."""
        self._view = None
        return self._export is not None and self._export() is not None


def identity_of(handle: Any, record: Any) -> Identity:
    out = ffi.new("rbcore_identity *")
    lib.rbcore_identity_init(out, ffi.sizeof("rbcore_identity"))
    check(lib.rbcore_reader_identity(handle, record, out), "rbcore_reader_identity")
    is_memory_ring = out.kind == lib.RBCORE_SOURCE_MEMORY_RING
    return Identity(bytes(ffi.buffer(out.boot_id)), is_memory_ring, out.ring_id, out.position)
