# SPDX-License-Identifier: MIT
# Generated from include/rbcore/rbcore.h by bindings/generate.py. Do not edit.
from __future__ import annotations

import errno
from enum import IntFlag
from typing import NamedTuple


class RingFlags(IntFlag):
    """The flags of RingStats."""

    #: The ring's content is impossible (reads raise Corrupt).
    BROKEN = 1
    #: The ring was opened although another reader has it (insist), or without its lock, because
    #: something that is no living reader has the lock. Later readers may not notice this one.
    UNGUARDED = 2
    #: The ring is paced: a timer reads it, and its records wake nobody (see max_latency of
    #: Reader).
    PACED = 4


class RecordFlags(IntFlag):
    """The flags of a record."""

    #: The record's data is in a copy (of a snapshot, overwrite-mode ring or tap).
    COPIED = 1
    #: Records before this one were lost: see RingStats.lost_bytes. The first record after the
    #: loss has this flag, whether it is read or is in a snapshot that consumes
    #: (Reader.snapshot() with consume).
    LOST_BEFORE = 2


class ReaderStats(NamedTuple):
    """Counts what a reader did since it was opened, over all its rings, removed ones included."""

    #: Records handed out.
    records: int
    #: Bytes of their data.
    bytes: int
    #: Records skipped because their producer discarded them.
    discards: int
    #: Calls of read and next that returned records.
    batches: int
    #: Advances of a ring's consumer position.
    commits: int
    #: Waits of next that an event ended, and events emptied by read.
    wakeups: int
    #: Rings that it has now.
    rings: int


class RingStats(NamedTuple):
    """Describes one ring. Counts begin when the ring was added, unless a field says otherwise. None
    means not known.
    """

    #: The cookie of its source.
    cookie: int
    #: RingFlags.BROKEN, ...
    flags: RingFlags
    #: BPF map id; None for a memory ring.
    map_id: int | None
    #: Bytes of its data area.
    ring_size: int
    #: Bytes not handed out, with headers and unfinished records.
    bytes_waiting: int
    #: The most bytes not given back that a read ever found.
    high_water: int
    #: Records handed out.
    records: int
    #: Bytes of their data.
    bytes: int
    #: Records skipped because their producer discarded them.
    discards: int
    #: Records skipped because their producer died before it submitted them; only in a memory
    #: ring.
    abandoned: int
    #: Records skipped by latest.
    skipped: int
    #: Records refused because the ring was full, since it was created: from the loss map, or
    #: counted by a memory ring's producers; None without a loss map.
    lost: int | None
    #: End of the last record reserved.
    producer_pos: int
    #: Up to here records were handed out or skipped.
    read_pos: int
    #: Up to here they were given back.
    user_pos: int
    #: Up to here the kernel knows that they were; with a tap the ring's.
    consumer_pos: int
    #: Where reading began.
    start_pos: int
    #: Bytes, with headers, of records that were not handed out: discarded, abandoned, skipped,
    #: or consumed by a snapshot.
    passed_bytes: int
    #: Bytes, with headers, that were overwritten before they were read (overwrite mode), or
    #: freed by the consumer and reused (tap); start_pos, the records handed out with their
    #: headers, passed_bytes and lost_bytes add up to read_pos.
    lost_bytes: int
    #: The index that Reader.add() returned for its source.
    first_ring: int
    #: The process that has the ring by this library: of a tap, the ring's reader; 0: none that
    #: lives; None: one of another pid namespace.
    reader_pid: int | None


class SnapshotInfo(NamedTuple):
    """Says which ring a snapshot was taken of, what it holds, and when it was taken."""

    #: The boot of the ring's machine. No other ring has the same boot_id, kind and ring_id.
    boot_id: bytes
    #: The kind of the ring: 3 is a BPF map, 4 a memory ring.
    kind: int
    #: The BPF map's id, or the memory ring's inode number.
    ring_id: int
    #: Bytes of the ring's data area.
    ring_size: int
    #: Position of the oldest record in it.
    first_pos: int
    #: End of the newest; with headers, it has end_pos - first_pos bytes.
    end_pos: int
    #: End of the last record reserved, complete or not.
    producer_pos: int
    #: Bytes overwritten during the call, before they were copied.
    missed: int
    #: When it was taken, by CLOCK_REALTIME.
    realtime_ns: int
    #: When it was taken, by CLOCK_BOOTTIME.
    boottime_ns: int


#: The texts of errors, by function and errno.
CAUSES: dict[tuple[str, int], str] = {
    ("rbcore_supports", errno.EPERM): "the process may not ask the kernel: it needs CAP_BPF",
    ("rbcore_supports", errno.EMFILE): "there is no file descriptor or memory for the attempt",
    ("rbcore_supports", errno.ENFILE): "there is no file descriptor or memory for the attempt",
    ("rbcore_supports", errno.ENOMEM): "there is no file descriptor or memory for the attempt",
    ("rbcore_memory_ring_create", errno.EINVAL): "the size must be a power of two, from a page to 1 GiB",
    ("rbcore_memory_ring_create", errno.EMFILE): "the process has too many open file descriptors",
    ("rbcore_memory_ring_create", errno.ENFILE): "the system has too many open files",
    ("rbcore_memory_ring_create", errno.ENOMEM): "there is no memory",
    ("rbcore_memory_ring_create", errno.ENOSYS): "the kernel has no memfd_create(2)",
    ("rbcore_memory_ring_create", errno.EFBIG): "the ring is larger than RLIMIT_FSIZE allows",
    ("rbcore_reader_open", errno.EINVAL): "max_latency must not be negative, nor 0 with poll",
    ("rbcore_reader_open", errno.ENOMEM): "there is no memory",
    ("rbcore_reader_open", errno.EMFILE): "the process has too many open file descriptors",
    ("rbcore_reader_open", errno.ENFILE): "the system has too many open files",
    ("rbcore_reader_open", errno.ENOSPC): "the user has reached the limit of epoll registrations",
    ("rbcore_reader_open", errno.EPERM): "a filter of system calls (seccomp) refuses one that a reader needs",
    ("rbcore_reader_open", errno.ENOSYS): "a filter of system calls (seccomp) refuses one that a reader needs",
    ("rbcore_reader_read", errno.EAGAIN): "only discarded or unfinished records were found so far: call again",
    ("rbcore_reader_read", errno.ENODATA): "all that was there at the flush has been delivered",
    ("rbcore_reader_read", errno.ECANCELED): "the reader was interrupted",
    ("rbcore_reader_read", errno.ESHUTDOWN): "the reader was shut down",
    ("rbcore_reader_read", errno.EBADMSG): "the content of a ring is impossible",
    ("rbcore_reader_read", errno.ENOBUFS): "too many batches of several rings are not committed: commit first",
    ("rbcore_reader_read", errno.EINVAL): "at least one record must be asked for",
    ("rbcore_reader_next", errno.EINTR): "a signal was caught, or the process was stopped and continued",
    ("rbcore_reader_next", errno.EAGAIN): "only discarded or unfinished records were found so far: call again",
    ("rbcore_reader_next", errno.ENODATA): "all that was there at the flush has been delivered",
    ("rbcore_reader_next", errno.ECANCELED): "the reader was interrupted",
    ("rbcore_reader_next", errno.ESHUTDOWN): "the reader was shut down",
    ("rbcore_reader_next", errno.EBADMSG): "the content of a ring is impossible",
    ("rbcore_reader_next", errno.ENOBUFS): "too many batches of several rings are not committed: commit first",
    ("rbcore_reader_ring_stats", errno.EINVAL): "the reader has no ring of this index",
    ("rbcore_source_ring_stats", errno.EINVAL): "the ring has no file descriptor",
    ("rbcore_source_ring_stats", errno.EBADF): "a file descriptor is not open",
    ("rbcore_source_ring_stats", errno.EBADFD): "a descriptor is of neither a BPF map nor a memory ring",
    ("rbcore_source_ring_stats", errno.ENOENT): "there is no map of this path or id",
    ("rbcore_source_ring_stats", errno.EMEDIUMTYPE): "the map is no ring buffer, or the loss map counts no losses",
    ("rbcore_source_ring_stats", errno.EOPNOTSUPP): "a 32-bit process cannot read this kernel's rings",
    ("rbcore_source_ring_stats", errno.EACCES): "the descriptor does not allow reading and writing, or the process lacks a capability",
    ("rbcore_source_ring_stats", errno.EPERM): "the descriptor does not allow reading and writing, or the process lacks a capability",
    ("rbcore_source_ring_stats", errno.ENOMEM): "there is no memory",
    ("rbcore_source_ring_stats", errno.EMFILE): "the process has too many open file descriptors",
    ("rbcore_source_ring_stats", errno.ENFILE): "the system has too many open files",
    ("rbcore_source_ring_stats", errno.ENOSYS): "the kernel has no bpf(2)",
    ("rbcore_reader_identity", errno.EINVAL): "the reader has no ring of this index",
    ("rbcore_reader_snapshot", errno.EINVAL): "the reader has no ring of this index",
    ("rbcore_reader_snapshot", errno.EBUSY): "records of the ring are handed out and not given back",
    ("rbcore_reader_snapshot", errno.EAGAIN): "producers overwrote the ring faster than it was copied, in 16 attempts",
    ("rbcore_reader_snapshot", errno.EBADMSG): "the ring's content is impossible",
    ("rbcore_reader_snapshot", errno.ENOMEM): "there is no memory",
    ("rbcore_snapshot_read", errno.EBADMSG): "the next record is impossible: a hostile producer wrote it",
    ("rbcore_snapshot_save", errno.ENODATA): "the snapshot is empty, because taking it failed for want of memory",
    ("rbcore_snapshot_save", errno.ENOMEM): "there is no memory to wait for the file",
    ("rbcore_snapshot_load", errno.ENODATA): "the file is at its end, and has no more snapshots",
    ("rbcore_snapshot_load", errno.EBADMSG): "the file is not a snapshot, or it is cut off or damaged",
    ("rbcore_snapshot_load", errno.E2BIG): "the file was written by a newer version",
    ("rbcore_snapshot_load", errno.EOPNOTSUPP): "the file is from a machine of the other byte order",
    ("rbcore_snapshot_load", errno.ENOMEM): "there is no memory",
    ("rbcore_producer_open", errno.EINVAL): "the ring has no file descriptor",
    ("rbcore_producer_open", errno.EBADF): "the ring's file descriptor is not open",
    ("rbcore_producer_open", errno.EBADFD): "the descriptor is of neither a BPF map nor a memory ring",
    ("rbcore_producer_open", errno.ENOMEM): "there is no memory",
    ("rbcore_producer_open", errno.EMFILE): "the process has too many open file descriptors",
    ("rbcore_producer_open", errno.ENFILE): "the system has too many open files",
    ("rbcore_producer_open", errno.ENOENT): "there is no map of this path or id, or /proc is not mounted",
    ("rbcore_producer_open", errno.EMEDIUMTYPE): "the map is not of type BPF_MAP_TYPE_USER_RINGBUF",
    ("rbcore_producer_open", errno.EOPNOTSUPP): "a 32-bit process cannot write into this kernel's user rings",
    ("rbcore_producer_open", errno.EBUSY): "another producer has the user ring",
    ("rbcore_producer_open", errno.EBADMSG): "the ring's positions are impossible",
    ("rbcore_producer_open", errno.EACCES): "the descriptor does not allow reading and writing, or the process lacks a capability",
    ("rbcore_producer_open", errno.EPERM): "the descriptor does not allow reading and writing, or the process lacks a capability",
    ("rbcore_producer_open", errno.EUSERS): "the memory ring has as many producers as it can have",
    ("rbcore_producer_reserve", errno.EAGAIN): "the ring is full",
    ("rbcore_producer_reserve", errno.EMSGSIZE): "the record can never fit into the ring",
    ("rbcore_producer_reserve", errno.EBADMSG): "the ring's positions are impossible, or in overwrite mode its oldest records",
    ("rbcore_producer_reserve_wait", errno.EAGAIN): "the ring was still full when the time was up",
    ("rbcore_producer_reserve_wait", errno.EINTR): "a signal was caught during the wait",
    ("rbcore_producer_reserve_wait", errno.ENOMEM): "the ring is full, and there is no memory or file descriptor to wait with",
    ("rbcore_producer_reserve_wait", errno.EMFILE): "the ring is full, and there is no memory or file descriptor to wait with",
    ("rbcore_producer_reserve_wait", errno.ENFILE): "the ring is full, and there is no memory or file descriptor to wait with",
    ("rbcore_producer_reserve_wait", errno.ENOSPC): "the ring is full, and the user has reached the limit of epoll registrations",
    ("rbcore_producer_reserve_wait", errno.EMSGSIZE): "the record can never fit into the ring",
    ("rbcore_producer_reserve_wait", errno.EBADMSG): "the ring's positions are impossible, or in overwrite mode its oldest records",
    ("rbcore_producer_submit", errno.EINVAL): "the record is not reserved by this producer, or a flag is unknown",
    ("rbcore_producer_output", errno.EAGAIN): "the ring is full",
    ("rbcore_producer_output", errno.EMSGSIZE): "the record can never fit into the ring",
    ("rbcore_producer_output", errno.EBADMSG): "the ring's positions are impossible, or in overwrite mode its oldest records",
    ("rbcore_producer_output", errno.EINVAL): "a flag is unknown",
    ("rbcore_producer_output_batch", errno.EAGAIN): "no record was written: the ring is full",
    ("rbcore_producer_output_batch", errno.EMSGSIZE): "the first record can never fit into the ring",
    ("rbcore_producer_output_batch", errno.EBADMSG): "the ring's positions are impossible, or in overwrite mode its oldest records",
    ("rbcore_producer_output_batch", errno.EINVAL): "a flag is unknown",
}
