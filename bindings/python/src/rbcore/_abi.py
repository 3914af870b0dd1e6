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


#: What the header says of a function's errors.
CAUSES: dict[tuple[str, int], str] = {
    ("rbcore_supports", errno.EPERM): "the process may not ask the kernel (it needs CAP_BPF)",
    ("rbcore_supports", errno.EMFILE): "no file descriptor or memory for the attempt",
    ("rbcore_supports", errno.ENFILE): "no file descriptor or memory for the attempt",
    ("rbcore_supports", errno.ENOMEM): "no file descriptor or memory for the attempt",
    ("rbcore_memory_ring_create", errno.EINVAL): "ring_size is zero, not a power of two, smaller than a page or larger than 1 GiB; a flag is unknown",
    ("rbcore_memory_ring_create", errno.EMFILE): "from the kernel, for want of what memfd_create(2), eventfd(2) and ftruncate(2) need (-EFBIG: RLIMIT_FSIZE; no SIGXFSZ is delivered)",
    ("rbcore_memory_ring_create", errno.ENFILE): "from the kernel, for want of what memfd_create(2), eventfd(2) and ftruncate(2) need (-EFBIG: RLIMIT_FSIZE; no SIGXFSZ is delivered)",
    ("rbcore_memory_ring_create", errno.ENOMEM): "from the kernel, for want of what memfd_create(2), eventfd(2) and ftruncate(2) need (-EFBIG: RLIMIT_FSIZE; no SIGXFSZ is delivered)",
    ("rbcore_memory_ring_create", errno.ENOSYS): "from the kernel, for want of what memfd_create(2), eventfd(2) and ftruncate(2) need (-EFBIG: RLIMIT_FSIZE; no SIGXFSZ is delivered)",
    ("rbcore_memory_ring_create", errno.EFBIG): "from the kernel, for want of what memfd_create(2), eventfd(2) and ftruncate(2) need (-EFBIG: RLIMIT_FSIZE; no SIGXFSZ is delivered)",
    ("rbcore_source_init", errno.EINVAL): "size is below sizeof(size_t) or above 4096",
    ("rbcore_reader_open", errno.EINVAL): "options->size is absurd, a flag is unknown, max_latency_ns is negative, or 0 with RBCORE_READER_POLL",
    ("rbcore_reader_open", errno.E2BIG): "options are from a newer version and use what this one does not know",
    ("rbcore_reader_open", errno.ENOMEM): "no memory or file descriptors (a reader has 3, and up to 3 a ring)",
    ("rbcore_reader_open", errno.EMFILE): "no memory or file descriptors (a reader has 3, and up to 3 a ring)",
    ("rbcore_reader_open", errno.ENFILE): "no memory or file descriptors (a reader has 3, and up to 3 a ring)",
    ("rbcore_reader_open", errno.ENOSPC): "the user has the most epoll registrations (a reader has 2, and 1 a ring)",
    ("rbcore_reader_open", errno.EPERM): "a filter (seccomp(2)) refuses a call that a reader needs, perhaps by another error: of epoll(7), eventfd(2), timerfd_create(2), timerfd_settime(2) or madvise(2)",
    ("rbcore_reader_open", errno.ENOSYS): "a filter (seccomp(2)) refuses a call that a reader needs, perhaps by another error: of epoll(7), eventfd(2), timerfd_create(2), timerfd_settime(2) or madvise(2)",
    ("rbcore_reader_add", errno.EINVAL): "source->size is absurd, kind or a flag is unknown, or a field that the kind needs is missing",
    ("rbcore_reader_add", errno.E2BIG): "source is from a newer version and uses what this one does not know",
    ("rbcore_reader_add", errno.EBADF): "fd, event_fd or loss_fd is not an open file descriptor",
    ("rbcore_reader_add", errno.ENOENT): "path or map_id names nothing",
    ("rbcore_reader_add", errno.EMEDIUMTYPE): "the map is not of type BPF_MAP_TYPE_RINGBUF, the loss map is not a loss map of rbcore_bpf.h, or with RBCORE_SOURCE_OVERWRITE the ring is not in overwrite mode",
    ("rbcore_reader_add", errno.EBADFD): "fd is no BPF map, or no sealed memfd of a memory ring's size and layout, or event_fd is no non-blocking eventfd",
    ("rbcore_reader_add", errno.EOPNOTSUPP): "the ring is in overwrite mode and RBCORE_SOURCE_OVERWRITE is missing, or this is a 32-bit process and the kernel counts positions in 32 bits, too, or may do so",
    ("rbcore_reader_add", errno.EACCES): "no permission: the fd, or what the mode of path grants, is not both reading and writing, or the process lacks a capability",
    ("rbcore_reader_add", errno.EPERM): "no permission: the fd, or what the mode of path grants, is not both reading and writing, or the process lacks a capability",
    ("rbcore_reader_add", errno.EBUSY): "another reader has the ring (rbcore_reader_message says which process)",
    ("rbcore_reader_add", errno.EBADMSG): "the ring's positions are impossible",
    ("rbcore_reader_add", errno.ENOSPC): "the reader has RBCORE_RINGS_MAX rings, or the user the most epoll registrations",
    ("rbcore_reader_add", errno.ESHUTDOWN): "after rbcore_reader_shutdown",
    ("rbcore_reader_add", errno.EFBIG): "the reader's copy of the ring is larger than RLIMIT_FSIZE allows",
    ("rbcore_reader_add", errno.ENOMEM): "no memory or file descriptors",
    ("rbcore_reader_add", errno.EMFILE): "no memory or file descriptors",
    ("rbcore_reader_add", errno.ENFILE): "no memory or file descriptors",
    ("rbcore_reader_add", errno.ENOSYS): "no memory or file descriptors",
    ("rbcore_reader_remove", errno.EINVAL): "no ring of this index",
    ("rbcore_reader_remove", errno.EBUSY): "(without RBCORE_READER_RELEASE) records of the ring are handed out and not committed",
    ("rbcore_reader_read", errno.EAGAIN): "no record found yet, but the bound on discarded records was reached, or records that dead producers left unfinished were skipped: call again",
    ("rbcore_reader_read", errno.ENODATA): "once, when all that was there at rbcore_reader_flush has been delivered",
    ("rbcore_reader_read", errno.ECANCELED): "once, after rbcore_reader_interrupt",
    ("rbcore_reader_read", errno.ESHUTDOWN): "after rbcore_reader_shutdown",
    ("rbcore_reader_read", errno.EBADMSG): "a ring's content is impossible, and no other ring has records. It stays so until the ring is removed; rbcore_reader_message tells which",
    ("rbcore_reader_read", errno.ENOBUFS): "with several rings and without RBCORE_READER_RELEASE: the records not committed come from more than 1024 turns a ring: commit first",
    ("rbcore_reader_read", errno.EINVAL): "records is NULL or max is 0",
    ("rbcore_reader_next", errno.EINTR): "a signal was caught, or the process was stopped and continued; nothing was lost, call again",
    ("rbcore_reader_next", errno.EAGAIN): "the time is up, and the bound on discarded records was reached or records that dead producers left unfinished were skipped: call again",
    ("rbcore_reader_next", errno.EINVAL): "max is 0, or timeout_ns is negative and not RBCORE_FOREVER",
    ("rbcore_reader_next", errno.ENODATA): "once, when all that was there at rbcore_reader_flush has been delivered",
    ("rbcore_reader_next", errno.ECANCELED): "once, after rbcore_reader_interrupt",
    ("rbcore_reader_next", errno.ESHUTDOWN): "after rbcore_reader_shutdown",
    ("rbcore_reader_next", errno.EBADMSG): "a ring's content is impossible, and no other ring has records. It stays so until the ring is removed; rbcore_reader_message tells which",
    ("rbcore_reader_next", errno.ENOBUFS): "with several rings and without RBCORE_READER_RELEASE: the records not committed come from more than 1024 turns a ring: commit first",
    ("rbcore_reader_next_spans", errno.EINVAL): "also if max_records is 0, or the reader was opened with RBCORE_READER_RELEASE",
    ("rbcore_reader_commit", errno.EINVAL): "the reader was opened with RBCORE_READER_RELEASE; *last is not a record that is handed out and not committed (then nothing was committed); a flag is unknown. A *last that was made up, not handed out, may pass for one; and one of a memory ring whose header a hostile producer changed meanwhile does not (last == NULL always works)",
    ("rbcore_reader_release", errno.EINVAL): "the reader was not opened with RBCORE_READER_RELEASE; or some of the records are not held: released before, or not from this reader. The others were released",
    ("rbcore_reader_stats_get", errno.EINVAL): "out->size is absurd",
    ("rbcore_reader_ring_stats", errno.EINVAL): "no ring of this index (one that was removed is there until the records held of it were released), or out->size is absurd",
    ("rbcore_reader_identity", errno.EINVAL): "no ring of the record's index, or out->size is absurd",
    ("rbcore_reader_snapshot", errno.EINVAL): "no ring of this index (one that was removed is none, though records of it are held), or a flag is unknown",
    ("rbcore_reader_snapshot", errno.EBUSY): "RBCORE_SNAPSHOT_CONSUME, and records of the ring are handed out and not given back, or the release of one has not returned yet",
    ("rbcore_reader_snapshot", errno.EAGAIN): "producers overwrote the ring faster than it was copied, in 16 attempts",
    ("rbcore_reader_snapshot", errno.EBADMSG): "the ring's content is impossible",
    ("rbcore_reader_snapshot", errno.ENOMEM): "no memory",
    ("rbcore_snapshot_read", errno.EBADMSG): "what follows is impossible: a hostile producer wrote it",
    ("rbcore_snapshot_read", errno.EINVAL): "records is NULL or max is 0",
    ("rbcore_snapshot_info_get", errno.EINVAL): "out->size is absurd",
    ("rbcore_snapshot_save", errno.ENODATA): "the snapshot is empty, because taking it failed for want of memory",
    ("rbcore_snapshot_save", errno.ENOMEM): "no memory for a wait",
    ("rbcore_snapshot_load", errno.ENODATA): "the file is at its end",
    ("rbcore_snapshot_load", errno.EBADMSG): "it is no snapshot, is cut off, or damaged: a checksum is wrong, or a size impossible",
    ("rbcore_snapshot_load", errno.E2BIG): "it was written by a later version, in a form that this one does not know",
    ("rbcore_snapshot_load", errno.EOPNOTSUPP): "it was written on a machine of the other byte order",
    ("rbcore_snapshot_load", errno.ENOMEM): "no memory",
    ("rbcore_producer_open", errno.EINVAL): "source->size is absurd, kind or a flag is unknown, or a field that the kind needs is missing",
    ("rbcore_producer_open", errno.E2BIG): "source is from a newer version and uses what this one does not know",
    ("rbcore_producer_open", errno.EBADF): "fd, event_fd or loss_fd is not an open file descriptor",
    ("rbcore_producer_open", errno.EBADFD): "fd is no BPF map, or no sealed memfd of a memory ring's size and layout, or event_fd is no non-blocking eventfd",
    ("rbcore_producer_open", errno.ENOMEM): "no memory or file descriptors",
    ("rbcore_producer_open", errno.EMFILE): "no memory or file descriptors",
    ("rbcore_producer_open", errno.ENFILE): "no memory or file descriptors",
    ("rbcore_producer_open", errno.ENOENT): "path or map_id names nothing; memory ring: /proc is not mounted",
    ("rbcore_producer_open", errno.EMEDIUMTYPE): "the map is not of type BPF_MAP_TYPE_USER_RINGBUF",
    ("rbcore_producer_open", errno.EOPNOTSUPP): "user ring: this is a 32-bit process, as rbcore_reader_add",
    ("rbcore_producer_open", errno.EBUSY): "another producer has the user ring",
    ("rbcore_producer_open", errno.EBADMSG): "the ring's positions are impossible",
    ("rbcore_producer_open", errno.EACCES): "no permission: the fd, or what the mode of path grants, is not both reading and writing, or the process lacks a capability (as rbcore_reader_add)",
    ("rbcore_producer_open", errno.EPERM): "no permission: the fd, or what the mode of path grants, is not both reading and writing, or the process lacks a capability (as rbcore_reader_add)",
    ("rbcore_producer_open", errno.EUSERS): "the memory ring has RBCORE_PRODUCERS_MAX producers",
    ("rbcore_producer_reserve", errno.EAGAIN): "the ring is full: the record is lost, and counted as such in a memory ring. (In overwrite mode: the record whose turn it is to be overwritten is still being written, as in the kernel. One that a dead producer left so is discarded.)",
    ("rbcore_producer_reserve", errno.EMSGSIZE): "the record can never fit: size is more than the ring's size - 16 (the kernel never fills a ring to the last 8 bytes, and each record has a header of 8). In a user ring: more than its size - 8, or than 16 MiB - 1, which is the largest that a BPF program can be given (a larger one would stop the ring for good)",
    ("rbcore_producer_reserve", errno.EBADMSG): "the ring's positions are impossible, or in overwrite mode its oldest records",
    ("rbcore_producer_reserve_wait", errno.EAGAIN): "the time is up and the ring still full. The record is still the caller's, and not counted as lost. (With timeout_ns 0 as rbcore_producer_reserve.)",
    ("rbcore_producer_reserve_wait", errno.EINTR): "a signal was caught while it slept; nothing was reserved, call again. (A signal that comes between two looks at the ring is not noticed: if you need that, wait in parts)",
    ("rbcore_producer_reserve_wait", errno.EINVAL): "timeout_ns is negative and not RBCORE_FOREVER",
    ("rbcore_producer_reserve_wait", errno.ENOMEM): "user ring: it is full, and no memory or file descriptor for the wait (one for each thread that waits), or the user has the most epoll registrations",
    ("rbcore_producer_reserve_wait", errno.EMFILE): "user ring: it is full, and no memory or file descriptor for the wait (one for each thread that waits), or the user has the most epoll registrations",
    ("rbcore_producer_reserve_wait", errno.ENFILE): "user ring: it is full, and no memory or file descriptor for the wait (one for each thread that waits), or the user has the most epoll registrations",
    ("rbcore_producer_reserve_wait", errno.ENOSPC): "user ring: it is full, and no memory or file descriptor for the wait (one for each thread that waits), or the user has the most epoll registrations",
    ("rbcore_producer_reserve_wait", errno.EMSGSIZE): "the record can never fit: size is more than the ring's size - 16 (the kernel never fills a ring to the last 8 bytes, and each record has a header of 8). In a user ring: more than its size - 8, or than 16 MiB - 1, which is the largest that a BPF program can be given (a larger one would stop the ring for good)",
    ("rbcore_producer_reserve_wait", errno.EBADMSG): "the ring's positions are impossible, or in overwrite mode its oldest records",
    ("rbcore_producer_submit", errno.EINVAL): "data is not a record that this producer has reserved, or a flag is unknown",
    ("rbcore_producer_output", errno.EAGAIN): "the ring is full: the record is lost, and counted as such in a memory ring. (In overwrite mode: the record whose turn it is to be overwritten is still being written, as in the kernel. One that a dead producer left so is discarded.)",
    ("rbcore_producer_output", errno.EMSGSIZE): "the record can never fit: size is more than the ring's size - 16 (the kernel never fills a ring to the last 8 bytes, and each record has a header of 8). In a user ring: more than its size - 8, or than 16 MiB - 1, which is the largest that a BPF program can be given (a larger one would stop the ring for good)",
    ("rbcore_producer_output", errno.EBADMSG): "the ring's positions are impossible, or in overwrite mode its oldest records",
    ("rbcore_producer_output", errno.EINVAL): "a flag is unknown, or data is NULL and size is not 0",
    ("rbcore_producer_output_batch", errno.EAGAIN): "none was written: the ring is full",
    ("rbcore_producer_output_batch", errno.EMSGSIZE): "none was written: as rbcore_producer_reserve, for the first",
    ("rbcore_producer_output_batch", errno.EBADMSG): "none was written: as rbcore_producer_reserve, for the first",
    ("rbcore_producer_output_batch", errno.EINVAL): "a flag is unknown; or none was written: slices[0].data is NULL and its size is not 0",
}
