# SPDX-License-Identifier: MIT
"""Copies of what a ring holds."""

from __future__ import annotations

from typing import Any

from ._abi import SnapshotInfo
from ._errors import check
from ._rbcore import ffi, lib
from ._records import SHAPE, SPAN, Keep, Records
from ._source import Identity

SPANS_MAX = 1024  # read at once


class Snapshot(Records):
    """What a ring held at one moment, oldest record first, each a read-only memoryview of a copy.

    It comes from snapshot() of a reader. arrays() gives numpy arrays of it. It lives
    on without the ring and the reader, and its memory as long as a view of it.
    """

    def __init__(self, handle: Any) -> None:
        """For snapshot() of a reader, which has filled what handle is of."""
        self._handle = handle
        super().__init__(*found_in(handle))

    @property
    def info(self) -> SnapshotInfo:
        """Of what ring it is, what it holds, when it was taken."""
        self._held_spans(0)
        out = ffi.new("rbcore_snapshot_info *")
        lib.rbcore_snapshot_info_init(out, ffi.sizeof("rbcore_snapshot_info"))
        check(lib.rbcore_snapshot_info_get(self._handle, out), "rbcore_snapshot_info_get")
        info = SnapshotInfo(*(getattr(out, name) for name in SnapshotInfo._fields))
        return info._replace(boot_id=bytes(ffi.buffer(out.boot_id)))

    def identity(self, index: int) -> Identity:
        """What names a record among all records of all machines."""
        info = self.info
        is_memory_ring = info.kind == lib.RBCORE_SOURCE_MEMORY_RING
        return Identity(info.boot_id, is_memory_ring, info.ring_id, self.position(index))

    # ---- Within

    def _keeper(self) -> Keep:
        return Keep(self._handle)

    def _give_away(self) -> Any:
        """The handle, for a new snapshot; this one ends."""
        if self._is_held():
            raise BufferError("views of the snapshot are still in use")
        self._held_spans(0)
        handle, self._handle, self._spans = self._handle, None, None
        return handle


def found_in(handle: Any) -> tuple[bytes, tuple[int, int, int]]:
    """The spans of a snapshot that was not read yet, and their shape."""
    array = ffi.new("rbcore_span[]", SPANS_MAX)
    found = memoryview(ffi.buffer(array))
    spans = bytearray()
    while n := lib.rbcore_py_snapshot_spans(handle, array, SPANS_MAX):
        check(n, "rbcore_snapshot_read")
        spans += found[: n * SPAN.size]
    shape = ffi.new("rbcore_py_shape *")
    lib.rbcore_py_shape_of(ffi.from_buffer("rbcore_span[]", spans), len(spans) // SPAN.size, shape)
    return bytes(spans), SHAPE.unpack(ffi.buffer(shape))


def take(reader: Any, ring: int, consume: bool, reuse: Snapshot | None) -> tuple[int, Any]:
    """The result of rbcore_reader_snapshot, and the snapshot's handle."""
    old = ffi.NULL if reuse is None else reuse._give_away()
    out = ffi.new("rbcore_snapshot **", old)
    flags = lib.RBCORE_SNAPSHOT_CONSUME if consume else 0
    result = lib.rbcore_reader_snapshot(reader, ring, out, flags)
    if reuse is None and result == 0:
        old = ffi.gc(out[0], lib.rbcore_snapshot_free)
    return result, old
