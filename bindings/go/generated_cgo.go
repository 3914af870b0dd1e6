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

func readerStatsOf(from *C.rbcore_reader_stats) ReaderStats {
	var stats ReaderStats
	stats.Records = uint64(from.records)
	stats.Bytes = uint64(from.bytes)
	stats.Discards = uint64(from.discards)
	stats.Batches = uint64(from.batches)
	stats.Commits = uint64(from.commits)
	stats.Wakeups = uint64(from.wakeups)
	stats.Rings = uint64(from.rings)
	return stats
}

func ringStatsOf(from *C.rbcore_ring_stats) RingStats {
	var stats RingStats
	stats.MapID = uint64(from.map_id)
	stats.RingSize = uint64(from.ring_size)
	stats.BytesWaiting = uint64(from.bytes_waiting)
	stats.HighWater = uint64(from.high_water)
	stats.Records = uint64(from.records)
	stats.Bytes = uint64(from.bytes)
	stats.Discards = uint64(from.discards)
	stats.Abandoned = uint64(from.abandoned)
	stats.Skipped = uint64(from.skipped)
	stats.Lost = uint64(from.lost)
	stats.ProducerPos = uint64(from.producer_pos)
	stats.ReadPos = uint64(from.read_pos)
	stats.UserPos = uint64(from.user_pos)
	stats.ConsumerPos = uint64(from.consumer_pos)
	stats.StartPos = uint64(from.start_pos)
	stats.PassedBytes = uint64(from.passed_bytes)
	stats.LostBytes = uint64(from.lost_bytes)
	stats.FirstRing = uint64(from.first_ring)
	stats.ReaderPID = uint64(from.reader_pid)
	stats.Broken = from.flags&C.RBCORE_RING_BROKEN != 0
	stats.Unguarded = from.flags&C.RBCORE_RING_UNGUARDED != 0
	stats.Paced = from.flags&C.RBCORE_RING_PACED != 0
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

// causes has the texts of errors, by function and errno.
var causes = []struct {
	function string
	errno    syscall.Errno
	text     string
}{
	{"rbcore_supports", syscall.EPERM, "the process may not ask the kernel: it needs CAP_BPF"},
	{"rbcore_supports", syscall.EMFILE, "there is no file descriptor or memory for the attempt"},
	{"rbcore_supports", syscall.ENFILE, "there is no file descriptor or memory for the attempt"},
	{"rbcore_supports", syscall.ENOMEM, "there is no file descriptor or memory for the attempt"},
	{"rbcore_memory_ring_create", syscall.EINVAL, "the size must be a power of two, from a page to 1 GiB"},
	{"rbcore_memory_ring_create", syscall.EMFILE, "the process has too many open file descriptors"},
	{"rbcore_memory_ring_create", syscall.ENFILE, "the system has too many open files"},
	{"rbcore_memory_ring_create", syscall.ENOMEM, "there is no memory"},
	{"rbcore_memory_ring_create", syscall.ENOSYS, "the kernel has no memfd_create(2)"},
	{"rbcore_memory_ring_create", syscall.EFBIG, "the ring is larger than RLIMIT_FSIZE allows"},
	{"rbcore_reader_open", syscall.EINVAL, "WithPolling needs a latency, and WithMaxLatency(0) is none"},
	{"rbcore_reader_open", syscall.ENOMEM, "there is no memory"},
	{"rbcore_reader_open", syscall.EMFILE, "the process has too many open file descriptors"},
	{"rbcore_reader_open", syscall.ENFILE, "the system has too many open files"},
	{"rbcore_reader_open", syscall.ENOSPC, "the user has reached the limit of epoll registrations"},
	{"rbcore_reader_open", syscall.EPERM, "a filter of system calls (seccomp) refuses one that a reader needs"},
	{"rbcore_reader_open", syscall.ENOSYS, "a filter of system calls (seccomp) refuses one that a reader needs"},
	{"rbcore_reader_ring_stats", syscall.EINVAL, "the reader has no ring of this index"},
	{"rbcore_source_ring_stats", syscall.EINVAL, "the ring has no file descriptor"},
	{"rbcore_source_ring_stats", syscall.EBADF, "a file descriptor is not open"},
	{"rbcore_source_ring_stats", syscall.EBADFD, "a descriptor is of neither a BPF map nor a memory ring"},
	{"rbcore_source_ring_stats", syscall.ENOENT, "there is no map of this path or id"},
	{"rbcore_source_ring_stats", syscall.EMEDIUMTYPE, "the map is no ring buffer, or the loss map counts no losses"},
	{"rbcore_source_ring_stats", syscall.EOPNOTSUPP, "a 32-bit process cannot read this kernel's rings"},
	{"rbcore_source_ring_stats", syscall.EACCES, "the descriptor does not allow reading and writing, or the process lacks a capability"},
	{"rbcore_source_ring_stats", syscall.EPERM, "the descriptor does not allow reading and writing, or the process lacks a capability"},
	{"rbcore_source_ring_stats", syscall.ENOMEM, "there is no memory"},
	{"rbcore_source_ring_stats", syscall.EMFILE, "the process has too many open file descriptors"},
	{"rbcore_source_ring_stats", syscall.ENFILE, "the system has too many open files"},
	{"rbcore_source_ring_stats", syscall.ENOSYS, "the kernel has no bpf(2)"},
	{"rbcore_snapshot_read", syscall.EBADMSG, "the next record is impossible: a hostile producer wrote it"},
	{"rbcore_snapshot_save", syscall.ENODATA, "the snapshot is empty, because taking it failed for want of memory"},
	{"rbcore_snapshot_save", syscall.ENOMEM, "there is no memory to wait for the file"},
	{"rbcore_snapshot_load", syscall.ENODATA, "the file is at its end, and has no more snapshots"},
	{"rbcore_snapshot_load", syscall.EBADMSG, "the file is not a snapshot, or it is cut off or damaged"},
	{"rbcore_snapshot_load", syscall.E2BIG, "the file was written by a newer version"},
	{"rbcore_snapshot_load", syscall.EOPNOTSUPP, "the file is from a machine of the other byte order"},
	{"rbcore_snapshot_load", syscall.ENOMEM, "there is no memory"},
	{"rbcore_producer_open", syscall.EINVAL, "the ring has no file descriptor"},
	{"rbcore_producer_open", syscall.EBADF, "the ring's file descriptor is not open"},
	{"rbcore_producer_open", syscall.EBADFD, "the descriptor is of neither a BPF map nor a memory ring"},
	{"rbcore_producer_open", syscall.ENOMEM, "there is no memory"},
	{"rbcore_producer_open", syscall.EMFILE, "the process has too many open file descriptors"},
	{"rbcore_producer_open", syscall.ENFILE, "the system has too many open files"},
	{"rbcore_producer_open", syscall.ENOENT, "/proc is not mounted"},
	{"rbcore_producer_open", syscall.EMEDIUMTYPE, "the map is not of type BPF_MAP_TYPE_USER_RINGBUF"},
	{"rbcore_producer_open", syscall.EOPNOTSUPP, "a 32-bit process cannot write into this kernel's user rings"},
	{"rbcore_producer_open", syscall.EBUSY, "another producer has the user ring"},
	{"rbcore_producer_open", syscall.EBADMSG, "the ring's positions are impossible"},
	{"rbcore_producer_open", syscall.EACCES, "the descriptor does not allow reading and writing, or the process lacks a capability"},
	{"rbcore_producer_open", syscall.EPERM, "the descriptor does not allow reading and writing, or the process lacks a capability"},
	{"rbcore_producer_open", syscall.EUSERS, "the memory ring has as many producers as it can have"},
	{"rbcore_producer_reserve", syscall.EAGAIN, "the ring is full"},
	{"rbcore_producer_reserve", syscall.EMSGSIZE, "the record can never fit into the ring"},
	{"rbcore_producer_reserve", syscall.EBADMSG, "the ring's positions are impossible, or in overwrite mode its oldest records"},
	{"rbcore_producer_reserve_wait", syscall.EAGAIN, "the ring was still full when the time was up"},
	{"rbcore_producer_reserve_wait", syscall.EINTR, "a signal was caught during the wait"},
	{"rbcore_producer_reserve_wait", syscall.ENOMEM, "the ring is full, and there is no memory or file descriptor to wait with"},
	{"rbcore_producer_reserve_wait", syscall.EMFILE, "the ring is full, and there is no memory or file descriptor to wait with"},
	{"rbcore_producer_reserve_wait", syscall.ENFILE, "the ring is full, and there is no memory or file descriptor to wait with"},
	{"rbcore_producer_reserve_wait", syscall.ENOSPC, "the ring is full, and the user has reached the limit of epoll registrations"},
	{"rbcore_producer_reserve_wait", syscall.EMSGSIZE, "the record can never fit into the ring"},
	{"rbcore_producer_reserve_wait", syscall.EBADMSG, "the ring's positions are impossible, or in overwrite mode its oldest records"},
	{"rbcore_producer_submit", syscall.EINVAL, "the record is not reserved by this producer, or a flag is unknown"},
	{"rbcore_producer_output", syscall.EAGAIN, "the ring is full"},
	{"rbcore_producer_output", syscall.EMSGSIZE, "the record can never fit into the ring"},
	{"rbcore_producer_output", syscall.EBADMSG, "the ring's positions are impossible, or in overwrite mode its oldest records"},
	{"rbcore_producer_output", syscall.EINVAL, "a flag is unknown"},
	{"rbcore_producer_output_batch", syscall.EAGAIN, "no record was written: the ring is full"},
	{"rbcore_producer_output_batch", syscall.EMSGSIZE, "the first record can never fit into the ring"},
	{"rbcore_producer_output_batch", syscall.EBADMSG, "the ring's positions are impossible, or in overwrite mode its oldest records"},
	{"rbcore_producer_output_batch", syscall.EINVAL, "a flag is unknown"},
}

// words has the package's words for what the library's messages speak of.
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
