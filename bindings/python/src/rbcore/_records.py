# SPDX-License-Identifier: MIT
"""Batches and snapshots derive from this: a sequence of views of records in place."""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate, chain, repeat
from operator import getitem
from struct import Struct
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from ._abi import RecordFlags
from ._layout import Layout, layout_of_class, layout_of_format
from ._progress import Progress
from ._rbcore import ffi, lib

if TYPE_CHECKING:
    import numpy

T = TypeVar("T")

# Records are kept as spans: the bytes of an array of rbcore_span.
SPAN = Struct("PQIIIHH")  # data, position, stride, size, count, ring, flags
SHAPE = Struct("QQQQ")  # count, base, extent, bytes: rbcore_py_shape
for struct, name in ((SPAN, "rbcore_span"), (SHAPE, "rbcore_py_shape")):
    if struct.size != ffi.sizeof(name):
        raise ImportError(f"{name} is not what it was")

POSITIONS = 1 << 64  # they go on with 0

# Makes many slices of a view by map(), without a tuple for each.
view_of = cast("Callable[[memoryview, slice], memoryview]", getitem)

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


# References to an exporter when nothing is exported: that of its owner, and that of getrefcount().
OURS = 2


class Keep:
    """Keeps a handle, or another Keep, alive as long as the object that has this as its destructor.

    It keeps the windows alive in which the memory lies, too.
    """

    __slots__ = ("handle", "windows")

    def __init__(self, handle: Any, windows: Any = None) -> None:
        self.handle: Any = handle
        self.windows: Any = windows

    def __call__(self, _: object) -> None:
        pass


class Records(Sequence[memoryview]):
    """Holds records in their order, each a read-only memoryview. All views come from one
    exporter.
    """

    # Most batches are read once, by a loop. To keep them cheap, rare attributes have their defaults
    # here.
    _copied_max = -1  # the last record is a copy, if it is not larger than this
    _first = 0  # all records before it were given back
    _is_back = False  # all were
    _passed = 0  # by loops that ended before those of _loops began
    _loops: list[Progress] | None = None  # the last one, and those that were begun within it
    _view: memoryview | None = None  # that all others are slices of
    _export: Any = None  # the exporter of that view
    _starts: list[int] | None = None  # index of the first record of each span

    def __init__(self, spans: bytes, shape: tuple[int, int, int, int]) -> None:
        self._spans = spans
        self._count, self._base, self._extent, self._bytes = shape

    def __len__(self) -> int:
        return self._count

    def __bool__(self) -> bool:
        return self._count != 0

    def __repr__(self) -> str:
        state = ", given back" if self._is_back else ""
        return f"<rbcore.{type(self).__name__} of {self._count} records{state}>"

    def __iter__(self) -> Iterator[memoryview]:
        count = self._count
        if not count:
            return iter(())
        spans = self._held_spans(0)
        progress = self._begin()
        _, _, _, size, _, _, _ = SPAN.unpack_from(spans, len(spans) - SPAN.size)
        if size > self._copied_max:
            return chain(self._views(count, progress), progress.end())
        last: Any = iter((self._copy(count - 1),))
        if count == 1:  # of a slow ring: no need for more
            progress.follows(last)
            return chain(last, progress.end())
        views = self._views(count - 1, progress)
        progress.follows(last)
        return chain(views, last, progress.end())

    @overload
    def __getitem__(self, index: int) -> memoryview: ...

    @overload
    def __getitem__(self, index: slice) -> list[memoryview]: ...

    def __getitem__(self, index: int | slice) -> memoryview | list[memoryview]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        data, _, size, _, _ = self._record(index)
        if size <= self._copied_max and index in (self._count - 1, -1):
            return self._copy(index)
        root = self._root()
        return root[data - self._base : data - self._base + size]

    def arrays(self, dtype: Any) -> Iterator[numpy.ndarray[Any, Any]]:
        """Yields the records as read-only numpy arrays of dtype, without copying or touching them.

        There is one array for each run of records of one size: mostly one for all. A record may be
        larger than dtype: its first bytes are used. Raises ValueError if one is smaller.
        """
        import numpy

        kind = numpy.dtype(dtype)
        if kind.hasobject:
            raise ValueError("records are no Python objects")
        progress = self._begin()
        end = progress.end()
        for data, _, stride, size, count, _, _ in SPAN.iter_unpack(self._held_spans(0)):
            if size < kind.itemsize:
                progress.is_asked()
                raise ValueError(f"a record of {size} bytes is no {kind!r}")
            progress.is_at(count)
            root = self._root()
            yield numpy.ndarray((count,), kind, root, data - self._base, (stride,))
        yield from end

    def unpack(self, form: str) -> Iterator[tuple[Any, ...]]:
        """Makes a tuple of each record, as struct.unpack does, but cheaper.

        form is a format of the module struct. A record may be larger than the format: its first
        bytes are used. Raises ValueError if one is smaller, and struct.error if form is not a
        format. The tuples hold nothing of the ring.
        """
        return chain.from_iterable(self._made(layout_of_format(form)))

    def decode(self, cls: type[T]) -> Iterator[T]:
        """Makes an object of each record. cls is a ctypes.Structure or a dataclass.

        Each field of a dataclass has the format of one value, as in the module struct:

        @dataclass
        class Event:
            time: Annotated[int, "Q"]
            pid: Annotated[int, "I"]
            name: Annotated[bytes, "16s"]

        The fields are laid out as in C, with the alignment and the byte order of the machine. A
        record may be larger than the class: its first bytes are used. Raises ValueError if one is
        smaller, and TypeError for another kind of class. The objects are copies, and hold nothing
        of the ring.
        """
        kind: Any = cls
        return chain.from_iterable(self._made(layout_of_class(kind)))

    def position(self, index: int) -> int:
        """Returns the position of a record in its ring: its identity among the ring's records."""
        _, position, _, _, _ = self._record(index)
        return position

    def flags(self, index: int) -> RecordFlags:
        """Tells whether a record is a copy, and whether records before it were lost."""
        _, _, _, _, flags = self._record(index)
        return RecordFlags(flags)

    # ---- Within

    def _keeper(self) -> Keep:
        """Returns what keeps the memory of the records alive."""
        raise NotImplementedError

    def _held_spans(self, index: int) -> bytes:
        """The spans, if they and the record of this index were not given back."""
        if self._is_back or (index < self._first and self._count):
            raise ValueError("the records were given back")
        return self._spans

    def _record(self, index: int) -> tuple[int, int, int, int, int]:
        """Returns the address of a record's data, its position, size, ring and flags."""
        at = index + self._count if index < 0 else index
        if not 0 <= at < self._count:
            raise IndexError("there is no record of this index")
        self._held_spans(at)
        return self._locate(at)

    def _locate(self, at: int) -> tuple[int, int, int, int, int]:
        """Does what _record() does, also for a record that was given back."""
        spans = self._spans
        starts = self._starts
        if starts is None:
            counts = (count for _, _, _, _, count, _, _ in SPAN.iter_unpack(spans))
            starts = self._starts = [0, *accumulate(counts)]
        which = bisect_right(starts, at) - 1
        data, position, stride, size, _, ring, flags = SPAN.unpack_from(spans, which * SPAN.size)
        offset = (at - starts[which]) * stride
        if offset:  # only before the first one some can have been lost
            flags &= ~RecordFlags.LOST_BEFORE
        return data + offset, (position + offset) % POSITIONS, size, ring, flags

    def _bytes_before(self, at: int) -> int:
        """Returns how many bytes the records before this one take in their rings."""
        total = 0
        for _, _, stride, _, count, _, _ in SPAN.iter_unpack(self._spans):
            total += min(at, count) * stride
            at -= min(at, count)
        return total

    def _begin(self) -> Progress:
        """Notes that a loop over the records begins."""
        progress = Progress()
        loops = self._loops
        if loops is None:
            self._loops = [progress]
            return progress
        while loops and loops[-1].is_gone:
            self._passed = max(self._passed, loops[-1].done())
            loops.pop()
        loops.append(progress)
        return progress

    def _views(self, count: int, progress: Progress) -> Iterator[memoryview]:
        """Yields views of the first count records."""
        begins, slices = self._slices()
        progress.follows(begins)
        return map(view_of, repeat(self._root(), count), slices)

    def _made(self, layout: Layout) -> Iterator[Iterator[Any]]:
        """Yields the objects of a layout, run by run."""
        progress = self._begin()
        end = progress.end()
        for data, _, stride, size, count, _, _ in SPAN.iter_unpack(self._held_spans(0)):
            if size < layout.size:
                progress.is_asked()
                raise ValueError(f"a record of {size} bytes is too small for {layout.size} bytes")
            begin = data - self._base
            view = self._root()[begin : begin + (count - 1) * stride + size]
            records, counter = layout.many(view, stride, count)
            del view
            progress.follows(counter)
            yield records
            del records
        yield end

    def _root(self) -> memoryview:
        """The view that all others are slices of."""
        if self._view is None:
            if self._export is None:
                pointer = ffi.gc(ffi.cast("void *", self._base), self._keeper())
                self._export = ffi.buffer(pointer, self._extent)
            self._view = memoryview(self._export).toreadonly()
        return self._view

    def _slices(self) -> tuple[Any, Iterable[slice]]:
        """Yields a slice of the root for each record, and before it the iterator that counts
        them.
        """
        spans = self._spans
        if len(spans) == SPAN.size:
            _, _, stride, size, count, _, _ = SPAN.unpack(spans)
            slices = iter(slices_for(stride, size, count))
            return slices, slices
        count = self._count
        cut = ffi.new("uint64_t[]", 2 * count)
        array = ffi.from_buffer("rbcore_span[]", spans)
        lib.rbcore_py_cut(array, len(array), self._base, cut, cut + count)
        ends = memoryview(ffi.buffer(cut)).cast("Q").tolist()
        begins = iter(ends[:count])
        return begins, map(slice, begins, ends[count:])

    def _copy(self, index: int) -> memoryview:
        data, _, size, _, _ = self._record(index)
        return memoryview(bytes(ffi.buffer(ffi.cast("void *", data), size)))

    def _is_held(self) -> bool:
        """Tells whether there is a view besides the batch's own.

        Each buffer refers to its exporter, and so does a numpy array that is made of one. The count
        of references is exact on CPython without the GIL, too, where an object that is gone may
        live on.
        """
        self._view = None
        return self._export is not None and sys.getrefcount(self._export) > OURS
