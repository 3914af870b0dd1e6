# SPDX-License-Identifier: MIT
"""Copies of what a ring holds."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol, Union, cast

from ._abi import SnapshotInfo
from ._errors import check
from ._owned import owned_snapshot
from ._rbcore import ffi, lib
from ._records import SHAPE, SPAN, Keep, Records
from ._source import HasFileno, Identity, fd_of

if TYPE_CHECKING:
    import numpy
    from typing_extensions import Self  # noqa: UP035 -- typing has it from 3.11 on


class Writable(Protocol):
    def write(self, data: bytes, /) -> Any: ...


class Readable(Protocol):
    def read(self) -> bytes: ...


#: A path, a file that is open, or its descriptor.
File = Union[str, "os.PathLike[str]", HasFileno, int]

SPANS_MAX = 1024  # read at once
PART = 1 << 16  # bytes, written at once


class Snapshot(Records):
    """Holds what a ring held at one moment, oldest record first, each a read-only memoryview of a
    copy.

    It comes from snapshot() of a reader, or from load(). arrays() gives numpy arrays of it. It does
    not need the ring or the reader any more. Its memory lives as long as a view of it.

    If a hostile producer has written an impossible record, the records end before it. Iteration and
    arrays() then raise Corrupt behind the last one.
    """

    def __init__(self, handle: Any) -> None:
        """Called by snapshot() and load() with the handle of a snapshot that was taken."""
        self._handle = handle
        self._end, spans, shape = found_in(handle)
        super().__init__(spans, shape)

    def __iter__(self) -> Iterator[memoryview]:
        return super().__iter__() if self._end == 0 else chain(super().__iter__(), self._fail())

    def arrays(self, dtype: Any) -> Iterator[numpy.ndarray[Any, Any]]:
        return chain(super().arrays(dtype), self._fail())

    arrays.__doc__ = Records.arrays.__doc__

    @classmethod
    def load(cls, file: File | Readable) -> Self:
        """Reads a snapshot that was saved, from the current position of a file that is open.

        Any object with read() will do (gzip.open, io.BytesIO). It is read to its end, and set back
        to where the snapshot ends, if something follows. Raises Corrupt if the content is not a
        snapshot or is damaged, and EndOfFile if there is none.
        """
        out = ffi.new("rbcore_snapshot **")
        with source_of(file) as fd:
            check(lib.rbcore_snapshot_load(out, fd), "rbcore_snapshot_load")
        return cls(owned_snapshot(out[0]))

    def save(self, file: File | Writable) -> None:
        """Writes the snapshot: to a new file at a path, or from the position of one that is open.

        Any object with write() will do (gzip.open, io.BytesIO).
        """
        self._held_spans(0)
        with target_of(file) as fd:
            check(lib.rbcore_snapshot_save(self._handle, fd), "rbcore_snapshot_save")

    @property
    def info(self) -> SnapshotInfo:
        """Says which ring it is of, what it holds, and when it was taken."""
        self._held_spans(0)
        out = ffi.new("rbcore_snapshot_info *")
        lib.rbcore_snapshot_info_init(out, ffi.sizeof("rbcore_snapshot_info"))
        check(lib.rbcore_snapshot_info_get(self._handle, out), "rbcore_snapshot_info_get")
        info = SnapshotInfo(*(getattr(out, name) for name in SnapshotInfo._fields))
        return info._replace(boot_id=bytes(ffi.buffer(out.boot_id)))

    def identity(self, index: int) -> Identity:
        """Identifies a record among all records of all machines."""
        info = self.info
        is_memory_ring = info.kind == lib.RBCORE_SOURCE_MEMORY_RING
        return Identity(info.boot_id, is_memory_ring, info.ring_id, self.position(index))

    # ---- Within

    def _keeper(self) -> Keep:
        return Keep(self._handle)

    def _fail(self) -> Iterator[Any]:
        """Raises Corrupt when it is first asked, if the records end with an impossible one."""
        check(self._end, "rbcore_snapshot_read")
        yield from ()

    def _give_away(self) -> Any:
        """Returns the handle, for a new snapshot. This one ends."""
        if self._is_held():
            raise BufferError("views of the snapshot are still in use")
        self._held_spans(0)
        handle, self._handle, self._is_back = self._handle, None, True
        self._export = None
        return handle


def found_in(handle: Any) -> tuple[int, bytes, tuple[int, int, int, int]]:
    """Reads a new snapshot. Returns how it ends, its spans and their shape."""
    array = ffi.new("rbcore_span[]", SPANS_MAX)
    found = memoryview(ffi.buffer(array))
    spans = bytearray()
    while (n := lib.rbcore_py_snapshot_spans(handle, array, SPANS_MAX)) > 0:
        spans += found[: n * SPAN.size]
    shape = ffi.new("rbcore_py_shape *")
    lib.rbcore_py_shape_of(ffi.from_buffer("rbcore_span[]", spans), len(spans) // SPAN.size, shape)
    return n, bytes(spans), SHAPE.unpack(ffi.buffer(shape))


def take(reader: Any, ring: int, consume: bool, reuse: Snapshot | None) -> tuple[int, Any]:
    """Returns the result of rbcore_reader_snapshot, and the snapshot's handle."""
    old = ffi.NULL if reuse is None else reuse._give_away()
    out = ffi.new("rbcore_snapshot **", old)
    flags = lib.RBCORE_SNAPSHOT_CONSUME if consume else 0
    result = lib.rbcore_reader_snapshot(reader, ring, out, flags)
    if reuse is None and result == 0:
        old = owned_snapshot(out[0])
    return result, old


@contextmanager
def source_of(file: File | Readable) -> Generator[int, None, None]:
    """Yields the descriptor to read from."""
    if is_by_descriptor(file, "read"):
        with descriptor_of(cast(File, file), os.O_RDONLY) as fd:
            yield fd
        return
    readable = cast(Any, file)
    content = readable.read()
    with copy_in_memory() as fd:
        write_all(fd, content)
        os.lseek(fd, 0, os.SEEK_SET)
        yield fd
        left = len(content) - os.lseek(fd, 0, os.SEEK_CUR)
        if left:
            readable.seek(-left, os.SEEK_CUR)


@contextmanager
def target_of(file: File | Writable) -> Generator[int, None, None]:
    """Yields the descriptor to write to."""
    if is_by_descriptor(file, "write"):
        with descriptor_of(cast(File, file), os.O_WRONLY | os.O_CREAT | os.O_TRUNC) as fd:
            yield fd
        return
    with copy_in_memory() as fd:
        yield fd
        os.lseek(fd, 0, os.SEEK_SET)
        while part := os.read(fd, PART):
            write_part(cast(Any, file), part)


def is_by_descriptor(file: object, method: str) -> bool:
    """Tells whether the descriptor has the file's content. That of gzip.open has the compressed
    one.
    """
    raw = getattr(file, "raw", file)
    return isinstance(raw, io.FileIO) or not hasattr(file, method)


@contextmanager
def copy_in_memory() -> Generator[int, None, None]:
    fd = os.memfd_create("rbcore snapshot")
    try:
        yield fd
    finally:
        os.close(fd)


def write_all(fd: int, content: bytes) -> None:
    while content:
        content = content[os.write(fd, content) :]


def write_part(file: Any, part: bytes) -> None:
    if not isinstance(file, io.RawIOBase):
        file.write(part)
        return
    while part:  # it may take less than it is given
        written = file.write(part)
        if written is None:
            raise BlockingIOError(errno.EAGAIN, "the file takes no more now")
        part = part[written:]


@contextmanager
def descriptor_of(file: File, flags: int) -> Generator[int, None, None]:
    if isinstance(file, (str, os.PathLike)):
        fd = os.open(file, flags | os.O_CLOEXEC, 0o666)
        try:
            yield fd
        finally:
            os.close(fd)
        return
    fd = fd_of(file)
    is_object = isinstance(file, io.IOBase) or hasattr(file, "raw")
    opened = cast(Any, file)
    if is_object:
        opened.flush()  # earlier writes come first
        with suppress(OSError):  # it may be a pipe
            os.lseek(fd, opened.tell(), os.SEEK_SET)  # more may have been read than was asked for
    yield fd
    if is_object:
        with suppress(OSError):
            opened.seek(os.lseek(fd, 0, os.SEEK_CUR))
