# SPDX-License-Identifier: MIT
# Generated from include/rbcore/rbcore.h by bindings/generate.py. Do not edit.
from __future__ import annotations

import errno
from enum import IntFlag
from typing import NamedTuple


class RingFlags(IntFlag):
    """Of RingStats."""

    #: its content is impossible (-EBADMSG).
    BROKEN = 1
    #: The ring was opened although another reader has it (RBCORE_SOURCE_INSIST), or without its
    #: lock, because something that is no living reader has the lock. Later readers may not
    #: notice this one.
    UNGUARDED = 2
    #: Busy now: read by the timer (see rbcore_reader_next).
    PACED = 4


class RecordFlags(IntFlag):
    """Of a record."""

    #: Flags of a record: data points into a copy (of a snapshot, overwrite-mode ring or tap).
    COPIED = 1
    #: Records before this one were lost: see rbcore_ring_stats.lost_bytes. The first record
    #: after the loss has this flag, whether it is read or is in a snapshot that consumes
    #: (RBCORE_SNAPSHOT_CONSUME).
    LOST_BEFORE = 2


class ReaderStats(NamedTuple):
    """Since the reader was opened, over all its rings, removed ones included."""

    #: handed out
    records: int
    #: of their data
    bytes: int
    #: records that their producer discarded, skipped
    discards: int
    #: calls of read and next that returned records
    batches: int
    #: advances of a ring's consumer position
    commits: int
    #: waits of next that an event ended, and events emptied by read
    wakeups: int
    #: rings now
    rings: int


class RingStats(NamedTuple):
    """Of one ring, since it was added unless said otherwise. None: not known."""

    #: of its source
    cookie: int
    #: RingFlags.BROKEN, ...
    flags: RingFlags
    #: BPF map id; None for a memory ring
    map_id: int | None
    #: bytes of its data area
    ring_size: int
    #: produced and not handed out: headers, unfinished ones included
    bytes_waiting: int
    #: most bytes produced and not given back that a read ever found
    high_water: int
    #: handed out
    records: int
    #: of their data
    bytes: int
    #: records that their producer discarded, skipped
    discards: int
    #: records that a producer left unfinished when it died, skipped; only in a memory ring
    abandoned: int
    #: records skipped by RBCORE_SOURCE_LATEST
    skipped: int
    #: records refused because the ring was full, since it was created: from the loss map, or
    #: counted by a memory ring's producers; None without a loss map
    lost: int | None
    #: end of the last record reserved
    producer_pos: int
    #: up to here records were handed out or skipped
    read_pos: int
    #: up to here they were given back
    user_pos: int
    #: up to here the kernel knows that they were; with a tap the ring's
    consumer_pos: int
    #: where reading began
    start_pos: int
    #: of records that were not handed out, with headers: discarded ones, abandoned, skipped,
    #: and those consumed by a snapshot
    passed_bytes: int
    #: overwritten before they were read, with headers (overwrite mode), or freed by the
    #: consumer and reused (tap); with the spans of the records handed out: start_pos + handed
    #: out + passed + lost = read_pos
    lost_bytes: int


class SnapshotInfo(NamedTuple):
    """Says which ring a snapshot was taken of, what it holds, and when it was taken."""

    #: with kind and ring_id what rbcore_identity has
    boot_id: bytes
    #: RBCORE_SOURCE_MAP_ID or RBCORE_SOURCE_MEMORY_RING
    kind: int
    #: See the type.
    ring_id: int
    #: bytes of the ring's data area
    ring_size: int
    #: of the oldest record in it
    first_pos: int
    #: end of the newest: with headers it has end_pos - first_pos bytes
    end_pos: int
    #: end of the last record reserved, complete or not
    producer_pos: int
    #: bytes that were overwritten after the call began, before copied
    missed: int
    #: when it was taken: CLOCK_REALTIME
    realtime_ns: int
    #: likewise: CLOCK_BOOTTIME
    boottime_ns: int


#: By function and errno.
CAUSES: dict[tuple[str, int], str] = {
    ("rbcore_supports", errno.EPERM): "the process may not ask the kernel: it needs CAP_BPF",
    ("rbcore_supports", errno.EMFILE): "no file descriptor or memory for the attempt",
    ("rbcore_supports", errno.ENFILE): "no file descriptor or memory for the attempt",
    ("rbcore_supports", errno.ENOMEM): "no file descriptor or memory for the attempt",
    ("rbcore_memory_ring_create", errno.EINVAL): "the size must be a power of two, from a page to 1 GiB",
    ("rbcore_memory_ring_create", errno.EMFILE): "the process has too many open file descriptors",
    ("rbcore_memory_ring_create", errno.ENFILE): "the system has too many open files",
    ("rbcore_memory_ring_create", errno.ENOMEM): "no memory",
    ("rbcore_memory_ring_create", errno.ENOSYS): "the kernel has no memfd_create(2)",
    ("rbcore_memory_ring_create", errno.EFBIG): "the ring is larger than RLIMIT_FSIZE allows",
    ("rbcore_reader_open", errno.EINVAL): "max_latency must not be negative, nor 0 with poll",
    ("rbcore_reader_open", errno.ENOMEM): "no memory or file descriptors",
    ("rbcore_reader_open", errno.EMFILE): "no memory or file descriptors",
    ("rbcore_reader_open", errno.ENFILE): "no memory or file descriptors",
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
    ("rbcore_reader_identity", errno.EINVAL): "the reader has no ring of this index",
    ("rbcore_reader_snapshot", errno.EINVAL): "the reader has no ring of this index",
    ("rbcore_reader_snapshot", errno.EBUSY): "records of the ring are handed out and not given back",
    ("rbcore_reader_snapshot", errno.EAGAIN): "producers overwrote the ring faster than it was copied, in 16 attempts",
    ("rbcore_reader_snapshot", errno.EBADMSG): "the ring's content is impossible",
    ("rbcore_reader_snapshot", errno.ENOMEM): "no memory",
    ("rbcore_snapshot_read", errno.EBADMSG): "the next record is impossible: a hostile producer wrote it",
    ("rbcore_snapshot_save", errno.ENODATA): "the snapshot is empty, because taking it failed for want of memory",
    ("rbcore_snapshot_save", errno.ENOMEM): "no memory to wait for the file",
    ("rbcore_snapshot_load", errno.ENODATA): "the file is at its end, and has no more snapshots",
    ("rbcore_snapshot_load", errno.EBADMSG): "the file is not a snapshot, or it is cut off or damaged",
    ("rbcore_snapshot_load", errno.E2BIG): "the file was written by a newer version",
    ("rbcore_snapshot_load", errno.EOPNOTSUPP): "the file is from a machine of the other byte order",
    ("rbcore_snapshot_load", errno.ENOMEM): "no memory",
    ("rbcore_producer_open", errno.EINVAL): "the ring has no file descriptor",
    ("rbcore_producer_open", errno.EBADF): "the ring's file descriptor is not open",
    ("rbcore_producer_open", errno.EBADFD): "the descriptor is of neither a BPF map nor a memory ring",
    ("rbcore_producer_open", errno.ENOMEM): "no memory or file descriptors",
    ("rbcore_producer_open", errno.EMFILE): "no memory or file descriptors",
    ("rbcore_producer_open", errno.ENFILE): "no memory or file descriptors",
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
