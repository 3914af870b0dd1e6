//go:build linux && cgo

// Code generated from include/rbcore/rbcore.h by bindings/generate.py. DO NOT EDIT.

// SPDX-License-Identifier: MIT

package ringbuf

// #include "shim.h"
import "C"

import (
	"strings"
	"syscall"
)

func statsOf(reader *C.rbcore_reader_stats, ring *C.rbcore_ring_stats) Stats {
	var stats Stats
	stats.Records = uint64(reader.records)
	stats.Bytes = uint64(reader.bytes)
	stats.Discards = uint64(reader.discards)
	stats.Batches = uint64(reader.batches)
	stats.Commits = uint64(reader.commits)
	stats.Wakeups = uint64(reader.wakeups)
	stats.MapID = uint64(ring.map_id)
	stats.RingSize = uint64(ring.ring_size)
	stats.BytesWaiting = uint64(ring.bytes_waiting)
	stats.HighWater = uint64(ring.high_water)
	stats.Abandoned = uint64(ring.abandoned)
	stats.Skipped = uint64(ring.skipped)
	stats.Lost = uint64(ring.lost)
	stats.ProducerPos = uint64(ring.producer_pos)
	stats.ReadPos = uint64(ring.read_pos)
	stats.UserPos = uint64(ring.user_pos)
	stats.ConsumerPos = uint64(ring.consumer_pos)
	stats.StartPos = uint64(ring.start_pos)
	stats.PassedBytes = uint64(ring.passed_bytes)
	stats.LostBytes = uint64(ring.lost_bytes)
	stats.Broken = ring.flags&C.RBCORE_RING_BROKEN != 0
	stats.Unguarded = ring.flags&C.RBCORE_RING_UNGUARDED != 0
	stats.Paced = ring.flags&C.RBCORE_RING_PACED != 0
	return stats
}

func infoOf(from *C.rbcore_snapshot_info) SnapshotInfo {
	var info SnapshotInfo
	for i := range info.BootID {
		info.BootID[i] = byte(from.boot_id[i])
	}
	info.Kind = uint64(from.kind)
	info.RingID = uint64(from.ring_id)
	info.RingSize = uint64(from.ring_size)
	info.FirstPos = uint64(from.first_pos)
	info.EndPos = uint64(from.end_pos)
	info.ProducerPos = uint64(from.producer_pos)
	info.Missed = uint64(from.missed)
	info.RealtimeNS = uint64(from.realtime_ns)
	info.BoottimeNS = uint64(from.boottime_ns)
	return info
}

// What the header says of a function's errors.
var causes = []struct {
	function string
	errno    syscall.Errno
	text     string
}{
	{"rbcore_supports", syscall.EPERM, "the process may not ask the kernel"},
	{"rbcore_supports", syscall.EMFILE, "no file descriptor or memory for the attempt"},
	{"rbcore_supports", syscall.ENFILE, "no file descriptor or memory for the attempt"},
	{"rbcore_supports", syscall.ENOMEM, "no file descriptor or memory for the attempt"},
	{"rbcore_memory_ring_create", syscall.EINVAL, "the size is no power of two, smaller than a page or larger than 1 GiB"},
	{"rbcore_memory_ring_create", syscall.EMFILE, "no file descriptors are left"},
	{"rbcore_memory_ring_create", syscall.ENFILE, "no file descriptors are left"},
	{"rbcore_memory_ring_create", syscall.ENOMEM, "no memory"},
	{"rbcore_memory_ring_create", syscall.ENOSYS, "the kernel has no memfd_create(2)"},
	{"rbcore_memory_ring_create", syscall.EFBIG, "the ring is larger than RLIMIT_FSIZE allows"},
	{"rbcore_reader_open", syscall.EINVAL, "WithPolling needs a latency, and WithMaxLatency(0) is none"},
	{"rbcore_reader_open", syscall.ENOMEM, "no memory or file descriptors"},
	{"rbcore_reader_open", syscall.EMFILE, "no memory or file descriptors"},
	{"rbcore_reader_open", syscall.ENFILE, "no memory or file descriptors"},
	{"rbcore_reader_open", syscall.ENOSPC, "the user has the most epoll registrations"},
	{"rbcore_reader_open", syscall.EPERM, "a filter (seccomp(2)) refuses a call that a reader needs, perhaps by another error: of epoll(7), eventfd(2), timerfd_create(2), timerfd_settime(2) or madvise(2)"},
	{"rbcore_reader_open", syscall.ENOSYS, "a filter (seccomp(2)) refuses a call that a reader needs, perhaps by another error: of epoll(7), eventfd(2), timerfd_create(2), timerfd_settime(2) or madvise(2)"},
	{"rbcore_snapshot_read", syscall.EBADMSG, "what follows is impossible: a hostile producer wrote it"},
	{"rbcore_snapshot_save", syscall.ENODATA, "the snapshot is empty, because taking it failed for want of memory"},
	{"rbcore_snapshot_save", syscall.ENOMEM, "no memory for a wait"},
	{"rbcore_snapshot_load", syscall.ENODATA, "the file is at its end"},
	{"rbcore_snapshot_load", syscall.EBADMSG, "it is no snapshot, is cut off, or damaged: a checksum is wrong, or a size impossible"},
	{"rbcore_snapshot_load", syscall.E2BIG, "it was written by a later version, in a form that this one does not know"},
	{"rbcore_snapshot_load", syscall.EOPNOTSUPP, "it was written on a machine of the other byte order"},
	{"rbcore_snapshot_load", syscall.ENOMEM, "no memory"},
	{"rbcore_producer_open", syscall.EINVAL, "the ring has no descriptor"},
	{"rbcore_producer_open", syscall.EBADF, "the ring's descriptor is not open"},
	{"rbcore_producer_open", syscall.EBADFD, "the descriptor is neither that of a BPF map nor that of a memory ring"},
	{"rbcore_producer_open", syscall.ENOMEM, "no memory or file descriptors"},
	{"rbcore_producer_open", syscall.EMFILE, "no memory or file descriptors"},
	{"rbcore_producer_open", syscall.ENFILE, "no memory or file descriptors"},
	{"rbcore_producer_open", syscall.ENOENT, "/proc is not mounted"},
	{"rbcore_producer_open", syscall.EMEDIUMTYPE, "the map is not of type BPF_MAP_TYPE_USER_RINGBUF"},
	{"rbcore_producer_open", syscall.EOPNOTSUPP, "a 32-bit process cannot write into this kernel's user rings"},
	{"rbcore_producer_open", syscall.EBUSY, "another producer has the user ring"},
	{"rbcore_producer_open", syscall.EBADMSG, "the ring's positions are impossible"},
	{"rbcore_producer_open", syscall.EACCES, "no permission: the fd, or what the mode of path grants, is not both reading and writing, or the process lacks a capability"},
	{"rbcore_producer_open", syscall.EPERM, "no permission: the fd, or what the mode of path grants, is not both reading and writing, or the process lacks a capability"},
	{"rbcore_producer_open", syscall.EUSERS, "the memory ring has ProducersMax producers"},
	{"rbcore_producer_reserve", syscall.EAGAIN, "the ring is full: the record is lost, and counted as such in a memory ring"},
	{"rbcore_producer_reserve", syscall.EMSGSIZE, "the record can never fit: size is more than the ring's size - 16"},
	{"rbcore_producer_reserve", syscall.EBADMSG, "the ring's positions are impossible, or in overwrite mode its oldest records"},
	{"rbcore_producer_reserve_wait", syscall.EAGAIN, "the time is up and the ring still full"},
	{"rbcore_producer_reserve_wait", syscall.EINTR, "a signal was caught while it slept; nothing was reserved, call again"},
	{"rbcore_producer_reserve_wait", syscall.ENOMEM, "user ring: it is full, and no memory or file descriptor for the wait, or the user has the most epoll registrations"},
	{"rbcore_producer_reserve_wait", syscall.EMFILE, "user ring: it is full, and no memory or file descriptor for the wait, or the user has the most epoll registrations"},
	{"rbcore_producer_reserve_wait", syscall.ENFILE, "user ring: it is full, and no memory or file descriptor for the wait, or the user has the most epoll registrations"},
	{"rbcore_producer_reserve_wait", syscall.ENOSPC, "user ring: it is full, and no memory or file descriptor for the wait, or the user has the most epoll registrations"},
	{"rbcore_producer_reserve_wait", syscall.EMSGSIZE, "the record can never fit: size is more than the ring's size - 16"},
	{"rbcore_producer_reserve_wait", syscall.EBADMSG, "the ring's positions are impossible, or in overwrite mode its oldest records"},
	{"rbcore_producer_submit", syscall.EINVAL, "data is not a record that this producer has reserved, or a flag is unknown"},
	{"rbcore_producer_output", syscall.EAGAIN, "the ring is full: the record is lost, and counted as such in a memory ring"},
	{"rbcore_producer_output", syscall.EMSGSIZE, "the record can never fit: size is more than the ring's size - 16"},
	{"rbcore_producer_output", syscall.EBADMSG, "the ring's positions are impossible, or in overwrite mode its oldest records"},
	{"rbcore_producer_output", syscall.EINVAL, "a flag is unknown"},
	{"rbcore_producer_output_batch", syscall.EAGAIN, "none was written: the ring is full"},
	{"rbcore_producer_output_batch", syscall.EMSGSIZE, "the first record can never fit"},
	{"rbcore_producer_output_batch", syscall.EBADMSG, "the ring's positions are impossible, or in overwrite mode its oldest records"},
	{"rbcore_producer_output_batch", syscall.EINVAL, "a flag is unknown"},
}

// The package's words for what the library's messages speak of.
var words = strings.NewReplacer(
	"loss_fd", "the loss map, descriptor",
	"event_fd", "the event descriptor",
	"RBCORE_READER_RELEASE", "WithRelease",
	"RBCORE_READER_POLL", "WithPolling",
	"RBCORE_SOURCE_LATEST", "WithLatest",
	"RBCORE_SOURCE_INSIST", "WithInsist",
	"RBCORE_SOURCE_OVERWRITE", "WithOverwrite",
	"RBCORE_SOURCE_TAP", "WithTap",
	"RBCORE_MEMORY_RING_OVERWRITE", "NewOverwriteRing",
)
