# SPDX-License-Identifier: MIT
"""A source is a ring that a reader reads or a producer writes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Union

from ._errors import check
from ._rbcore import ffi, lib

if TYPE_CHECKING:
    from typing_extensions import Self  # noqa: UP035 -- typing has it from 3.11 on


class MapID(int):
    """This marks an integer as the id of a BPF map, not a file descriptor: Reader(MapID(12))."""


class HasFileno(Protocol):
    def fileno(self) -> int: ...


class Identity(NamedTuple):
    """Identifies a record among all records of all machines."""

    boot_id: bytes  # all zero where it cannot be read
    is_memory_ring: bool
    ring_id: int  # the BPF map's id, or the memory ring's inode number
    position: int


class SourceStats(NamedTuple):
    """Says what ring_stats() sees of a ring. None means not known."""

    map_id: int | None  # None for a memory ring
    ring_size: int  # bytes of its data area
    producer_pos: int  # end of the last record reserved
    consumer_pos: int  # up to here records were given back
    bytes_waiting: int  # bytes not given back, with headers and unfinished records
    lost: int | None  # records refused because the ring was full, if they are counted
    reader_pid: int | None  # the process whose reader has it; 0: none; None: of another namespace


class MemoryRing:
    """This is a ring in memory, with the layout of the kernel's: for programs without BPF, and for
    tests.

    Its two descriptors can be passed to other processes, which open the ring by from_fds().
    Readers and producers keep descriptors of their own: the ring may be closed before them.
    overwrite: producers never wait for a reader, and a full ring holds the newest records.
    """

    def __init__(self, size: int, *, overwrite: bool = False) -> None:
        fds = ffi.new("int[2]")
        flags = lib.RBCORE_MEMORY_RING_OVERWRITE if overwrite else 0
        check(
            lib.rbcore_memory_ring_create(fds, fds + 1, size, flags),
            "rbcore_memory_ring_create",
        )
        self._fds: tuple[int, int] = (fds[0], fds[1])

    @classmethod
    def from_fds(cls, memory_fd: int, event_fd: int) -> Self:
        """Makes a ring of these descriptors, which now belong to the object."""
        ring = cls.__new__(cls)
        ring._fds = (memory_fd, event_fd)
        return ring

    @property
    def memory_fd(self) -> int:
        return self._fds[0]

    @property
    def event_fd(self) -> int:
        return self._fds[1]

    def close(self) -> None:
        fds, self._fds = self._fds, (-1, -1)
        for fd in fds:
            if fd >= 0:
                os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if hasattr(self, "_fds"):
            self.close()


#: A map's file descriptor or id, an object with a fileno(), a path where a map is pinned, or a
#: memory ring.
Source = Union[int, MapID, str, "os.PathLike[str]", HasFileno, MemoryRing]


def fill_source(
    source: Source,
    *,
    latest: bool = False,
    insist: bool = False,
    overwrite: bool = False,
    tap: bool = False,
    cookie: int = 0,
    loss_map: int | HasFileno | None = None,
) -> tuple[Any, Any | None]:
    """The C struct of a source, and what must live as long as it is used."""
    c = ffi.new("rbcore_source *")
    check(lib.rbcore_source_init(c, ffi.sizeof("rbcore_source")), "rbcore_source_init")
    keep = None
    if isinstance(source, MemoryRing):
        c.kind = lib.RBCORE_SOURCE_MEMORY_RING
        c.fd, c.event_fd = source.memory_fd, source.event_fd
    elif isinstance(source, MapID):
        c.kind = lib.RBCORE_SOURCE_MAP_ID
        c.map_id = source
    elif isinstance(source, (str, os.PathLike)):
        c.kind = lib.RBCORE_SOURCE_PINNED_PATH
        path = os.fsencode(source)
        if b"\0" in path:  # C would see a path that ends there
            raise ValueError("the path contains a NUL byte")
        keep = ffi.new("char[]", path)
        c.path = keep
    else:
        c.kind = lib.RBCORE_SOURCE_MAP_FD
        c.fd = fd_of(source)
    c.flags = (
        lib.RBCORE_SOURCE_LATEST * latest
        | lib.RBCORE_SOURCE_INSIST * insist
        | lib.RBCORE_SOURCE_OVERWRITE * overwrite
        | lib.RBCORE_SOURCE_TAP * tap
    )
    c.cookie = cookie
    if loss_map is not None:
        c.loss_fd = fd_of(loss_map)
    return c, keep


def ring_stats(source: Source, *, loss_map: int | HasFileno | None = None) -> SourceStats:
    """Looks at a ring without a reader. Nothing is claimed or changed, and its reader is not
    disturbed.

    loss_map is the map in which the BPF program counts losses (rbcore_bpf.h). Errors are those of
    Reader.add(), but a ring that has a reader is not Busy.
    """
    c, keep = fill_source(source, loss_map=loss_map)
    out = ffi.new("rbcore_ring_stats *")
    lib.rbcore_ring_stats_init(out, ffi.sizeof("rbcore_ring_stats"))
    check(lib.rbcore_source_ring_stats(c, out), "rbcore_source_ring_stats")
    del keep
    return SourceStats(*(known(getattr(out, name)) for name in SourceStats._fields))


def known(value: int) -> Any:
    return None if value == lib.RBCORE_UNKNOWN else value


def fd_of(source: int | HasFileno) -> int:
    return source if isinstance(source, int) else source.fileno()


def identity_of(handle: Any, record: Any) -> Identity:
    out = ffi.new("rbcore_identity *")
    lib.rbcore_identity_init(out, ffi.sizeof("rbcore_identity"))
    check(lib.rbcore_reader_identity(handle, record, out), "rbcore_reader_identity")
    is_memory_ring = out.kind == lib.RBCORE_SOURCE_MEMORY_RING
    return Identity(bytes(ffi.buffer(out.boot_id)), is_memory_ring, out.ring_id, out.position)
