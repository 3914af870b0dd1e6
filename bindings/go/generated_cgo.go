//go:build linux && cgo

// Code generated from include/rbcore/rbcore.h by bindings/generate.py. DO NOT EDIT.

// SPDX-License-Identifier: MIT

package ringbuf

// #include "shim.h"
import "C"

import "syscall"

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
	{"rbcore_supports", syscall.EPERM, "the process may not ask the kernel (it needs CAP_BPF)"},
	{"rbcore_supports", syscall.EMFILE, "no file descriptor or memory for the attempt"},
	{"rbcore_supports", syscall.ENFILE, "no file descriptor or memory for the attempt"},
	{"rbcore_supports", syscall.ENOMEM, "no file descriptor or memory for the attempt"},
	{"rbcore_memory_ring_create", syscall.EINVAL, "ring_size is zero, not a power of two, smaller than a page or larger than 1 GiB; a flag is unknown"},
	{"rbcore_memory_ring_create", syscall.EMFILE, "from the kernel, for want of what memfd_create(2), eventfd(2) and ftruncate(2) need (-EFBIG: RLIMIT_FSIZE; no SIGXFSZ is delivered)"},
	{"rbcore_memory_ring_create", syscall.ENFILE, "from the kernel, for want of what memfd_create(2), eventfd(2) and ftruncate(2) need (-EFBIG: RLIMIT_FSIZE; no SIGXFSZ is delivered)"},
	{"rbcore_memory_ring_create", syscall.ENOMEM, "from the kernel, for want of what memfd_create(2), eventfd(2) and ftruncate(2) need (-EFBIG: RLIMIT_FSIZE; no SIGXFSZ is delivered)"},
	{"rbcore_memory_ring_create", syscall.ENOSYS, "from the kernel, for want of what memfd_create(2), eventfd(2) and ftruncate(2) need (-EFBIG: RLIMIT_FSIZE; no SIGXFSZ is delivered)"},
	{"rbcore_memory_ring_create", syscall.EFBIG, "from the kernel, for want of what memfd_create(2), eventfd(2) and ftruncate(2) need (-EFBIG: RLIMIT_FSIZE; no SIGXFSZ is delivered)"},
	{"rbcore_source_init", syscall.EINVAL, "size is below sizeof(size_t) or above 4096"},
	{"rbcore_reader_open", syscall.EINVAL, "options->size is absurd, a flag is unknown, max_latency_ns is negative, or 0 with RBCORE_READER_POLL"},
	{"rbcore_reader_open", syscall.E2BIG, "options are from a newer version and use what this one does not know"},
	{"rbcore_reader_open", syscall.ENOMEM, "no memory or file descriptors (a reader has 3, and up to 3 a ring)"},
	{"rbcore_reader_open", syscall.EMFILE, "no memory or file descriptors (a reader has 3, and up to 3 a ring)"},
	{"rbcore_reader_open", syscall.ENFILE, "no memory or file descriptors (a reader has 3, and up to 3 a ring)"},
	{"rbcore_reader_open", syscall.ENOSPC, "the user has the most epoll registrations (a reader has 2, and 1 a ring)"},
	{"rbcore_reader_add", syscall.EINVAL, "source->size is absurd, kind or a flag is unknown, or a field that the kind needs is missing"},
	{"rbcore_reader_add", syscall.E2BIG, "source is from a newer version and uses what this one does not know"},
	{"rbcore_reader_add", syscall.EBADF, "fd, event_fd or loss_fd is not an open file descriptor"},
	{"rbcore_reader_add", syscall.ENOENT, "path or map_id names nothing"},
	{"rbcore_reader_add", syscall.EMEDIUMTYPE, "the map is not of type BPF_MAP_TYPE_RINGBUF, or the loss map not a BPF_MAP_TYPE_PERCPU_ARRAY of rbcore_bpf.h's values; or with WithOverwrite the ring is not in overwrite mode"},
	{"rbcore_reader_add", syscall.EBADFD, "fd is no BPF map; or no memory ring: not a memfd sealed against changes of its size, or of another size or layout; or event_fd is no non-blocking eventfd"},
	{"rbcore_reader_add", syscall.EOPNOTSUPP, "the ring is in overwrite mode (BPF_F_RB_OVERWRITE of a map, NewOverwriteRing), and WithOverwrite is missing; or this is a 32-bit process, and the kernel counts positions in 32 bits, too, or may do so (before Linux 6.3 that is told by uname(2) alone)"},
	{"rbcore_reader_add", syscall.EACCES, "no permission: the fd is read-only or write-only (also for a tap: the kernel maps neither), or the process lacks the capability that the kernel demands (CAP_BPF; for map_id CAP_SYS_ADMIN)"},
	{"rbcore_reader_add", syscall.EPERM, "no permission: the fd is read-only or write-only (also for a tap: the kernel maps neither), or the process lacks the capability that the kernel demands (CAP_BPF; for map_id CAP_SYS_ADMIN)"},
	{"rbcore_reader_add", syscall.EBUSY, "another reader has the ring, as far as that can be known: see above (rbcore_reader_message says which process)"},
	{"rbcore_reader_add", syscall.EBADMSG, "the ring's positions are impossible"},
	{"rbcore_reader_add", syscall.ENOSPC, "the reader has RBCORE_RINGS_MAX rings, or the user the most epoll registrations"},
	{"rbcore_reader_add", syscall.ESHUTDOWN, "after Close"},
	{"rbcore_reader_add", syscall.EFBIG, "WithOverwrite or WithTap: no memory for the copy can be had, as in NewMemoryRing"},
	{"rbcore_reader_add", syscall.ENOMEM, "no memory or file descriptors"},
	{"rbcore_reader_add", syscall.EMFILE, "no memory or file descriptors"},
	{"rbcore_reader_add", syscall.ENFILE, "no memory or file descriptors"},
	{"rbcore_reader_add", syscall.ENOSYS, "WithOverwrite or WithTap: no memory for the copy can be had, as in NewMemoryRing"},
	{"rbcore_reader_remove", syscall.EINVAL, "no ring of this index"},
	{"rbcore_reader_remove", syscall.EBUSY, "(without WithRelease) records of the ring are handed out and not committed"},
	{"rbcore_reader_read", syscall.EAGAIN, "no record found yet, but the bound on discarded records was reached, or records that dead producers left unfinished were skipped: call again"},
	{"rbcore_reader_read", syscall.ENODATA, "once, when all that was there at Flush has been delivered"},
	{"rbcore_reader_read", syscall.ECANCELED, "once, after a context that is done"},
	{"rbcore_reader_read", syscall.ESHUTDOWN, "after Close"},
	{"rbcore_reader_read", syscall.EBADMSG, "a ring's content is impossible, and no other ring has records. It stays so until the ring is removed; rbcore_reader_message tells which"},
	{"rbcore_reader_read", syscall.ENOBUFS, "with several rings and without WithRelease: the records not committed come from more than 1024 turns a ring: commit first"},
	{"rbcore_reader_read", syscall.EINVAL, "records is NULL or max is 0"},
	{"rbcore_reader_next", syscall.EINTR, "a signal was caught, or the process was stopped and continued; nothing was lost, call again"},
	{"rbcore_reader_next", syscall.EAGAIN, "the time is up, and the bound on discarded records was reached or records that dead producers left unfinished were skipped: call again"},
	{"rbcore_reader_next", syscall.EINVAL, "max is 0, or timeout_ns is negative and not RBCORE_FOREVER"},
	{"rbcore_reader_next", syscall.ENODATA, "once, when all that was there at Flush has been delivered"},
	{"rbcore_reader_next", syscall.ECANCELED, "once, after a context that is done"},
	{"rbcore_reader_next", syscall.ESHUTDOWN, "after Close"},
	{"rbcore_reader_next", syscall.EBADMSG, "a ring's content is impossible, and no other ring has records. It stays so until the ring is removed; rbcore_reader_message tells which"},
	{"rbcore_reader_next", syscall.ENOBUFS, "with several rings and without WithRelease: the records not committed come from more than 1024 turns a ring: commit first"},
	{"rbcore_reader_next_spans", syscall.EINVAL, "also if max_records is 0, or the reader was opened with WithRelease"},
	{"rbcore_reader_commit", syscall.EINVAL, "the reader was opened with WithRelease; *last is not a record that is handed out and not committed (then nothing was committed); a flag is unknown. A *last that was made up, not handed out, may pass for one; and one of a memory ring whose header a hostile producer changed meanwhile does not (last == NULL always works)"},
	{"rbcore_reader_release", syscall.EINVAL, "the reader was not opened with WithRelease; or some of the records are not held: released before, or not from this reader. The others were released"},
	{"rbcore_reader_stats_get", syscall.EINVAL, "out->size is absurd"},
	{"rbcore_reader_ring_stats", syscall.EINVAL, "no ring of this index (one that was removed is there until the records held of it were released), or out->size is absurd"},
	{"rbcore_reader_identity", syscall.EINVAL, "no ring of the record's index, or out->size is absurd"},
	{"rbcore_reader_snapshot", syscall.EINVAL, "no ring of this index (one that was removed is none, though records of it are held), or a flag is unknown"},
	{"rbcore_reader_snapshot", syscall.EBUSY, "RBCORE_SNAPSHOT_CONSUME, and records of the ring are handed out and not given back, or the release of one has not returned yet"},
	{"rbcore_reader_snapshot", syscall.EAGAIN, "producers overwrote the ring faster than it was copied, in 16 attempts"},
	{"rbcore_reader_snapshot", syscall.EBADMSG, "the ring's content is impossible"},
	{"rbcore_reader_snapshot", syscall.ENOMEM, "no memory"},
	{"rbcore_snapshot_read", syscall.EBADMSG, "what follows is impossible: a hostile producer wrote it"},
	{"rbcore_snapshot_read", syscall.EINVAL, "records is NULL or max is 0"},
	{"rbcore_snapshot_info_get", syscall.EINVAL, "out->size is absurd"},
	{"rbcore_snapshot_save", syscall.ENODATA, "the snapshot is empty, because taking it failed for want of memory"},
	{"rbcore_snapshot_save", syscall.ENOMEM, "no memory for a wait"},
	{"rbcore_snapshot_load", syscall.ENODATA, "the file is at its end"},
	{"rbcore_snapshot_load", syscall.EBADMSG, "it is no snapshot, is cut off, or damaged: a checksum is wrong, or a size impossible"},
	{"rbcore_snapshot_load", syscall.E2BIG, "it was written by a later version, in a form that this one does not know"},
	{"rbcore_snapshot_load", syscall.EOPNOTSUPP, "it was written on a machine of the other byte order"},
	{"rbcore_snapshot_load", syscall.ENOMEM, "no memory"},
	{"rbcore_producer_open", syscall.EINVAL, "source->size is absurd, kind or a flag is unknown, or a field that the kind needs is missing"},
	{"rbcore_producer_open", syscall.E2BIG, "source is from a newer version and uses what this one does not know"},
	{"rbcore_producer_open", syscall.EBADF, "fd, event_fd or loss_fd is not an open file descriptor"},
	{"rbcore_producer_open", syscall.EBADFD, "fd is no BPF map; or no memory ring: not a memfd sealed against changes of its size, or of another size or layout; or event_fd is no non-blocking eventfd"},
	{"rbcore_producer_open", syscall.ENOMEM, "no memory or file descriptors"},
	{"rbcore_producer_open", syscall.EMFILE, "no memory or file descriptors"},
	{"rbcore_producer_open", syscall.ENFILE, "no memory or file descriptors"},
	{"rbcore_producer_open", syscall.ENOENT, "path or map_id names nothing; memory ring: /proc is not mounted"},
	{"rbcore_producer_open", syscall.EMEDIUMTYPE, "the map is not of type BPF_MAP_TYPE_USER_RINGBUF"},
	{"rbcore_producer_open", syscall.EOPNOTSUPP, "user ring: this is a 32-bit process, as rbcore_reader_add"},
	{"rbcore_producer_open", syscall.EBUSY, "another producer has the user ring"},
	{"rbcore_producer_open", syscall.EBADMSG, "the ring's positions are impossible"},
	{"rbcore_producer_open", syscall.EACCES, "no permission: the descriptor does not allow both reading and writing, or the process lacks the capability that the kernel demands (as rbcore_reader_add)"},
	{"rbcore_producer_open", syscall.EPERM, "no permission: the descriptor does not allow both reading and writing, or the process lacks the capability that the kernel demands (as rbcore_reader_add)"},
	{"rbcore_producer_open", syscall.EUSERS, "the memory ring has ProducersMax producers"},
	{"rbcore_producer_reserve", syscall.EAGAIN, "the ring is full: the record is lost, and counted as such in a memory ring. (In overwrite mode: the record whose turn it is to be overwritten is still being written, as in the kernel. One that a dead producer left so is discarded.)"},
	{"rbcore_producer_reserve", syscall.EMSGSIZE, "the record can never fit: size is more than the ring's size - 16 (the kernel never fills a ring to the last 8 bytes, and each record has a header of 8). In a user ring: more than its size - 8, or than 16 MiB - 1, which is the largest that a BPF program can be given (a larger one would stop the ring for good)"},
	{"rbcore_producer_reserve", syscall.EBADMSG, "the ring's positions are impossible, or in overwrite mode its oldest records"},
	{"rbcore_producer_reserve_wait", syscall.EAGAIN, "the time is up and the ring still full. The record is still the caller's, and not counted as lost. (With timeout_ns 0 as rbcore_producer_reserve.)"},
	{"rbcore_producer_reserve_wait", syscall.EINTR, "a signal was caught while it slept; nothing was reserved, call again. (One that comes between two looks at the ring is not noticed: who needs it waits in parts)"},
	{"rbcore_producer_reserve_wait", syscall.EINVAL, "timeout_ns is negative and not RBCORE_FOREVER"},
	{"rbcore_producer_reserve_wait", syscall.ENOMEM, "user ring: it is full, and no memory or file descriptor for the wait (one for each thread that waits), or the user has the most epoll registrations"},
	{"rbcore_producer_reserve_wait", syscall.EMFILE, "user ring: it is full, and no memory or file descriptor for the wait (one for each thread that waits), or the user has the most epoll registrations"},
	{"rbcore_producer_reserve_wait", syscall.ENFILE, "user ring: it is full, and no memory or file descriptor for the wait (one for each thread that waits), or the user has the most epoll registrations"},
	{"rbcore_producer_reserve_wait", syscall.ENOSPC, "user ring: it is full, and no memory or file descriptor for the wait (one for each thread that waits), or the user has the most epoll registrations"},
	{"rbcore_producer_reserve_wait", syscall.EMSGSIZE, "the record can never fit: size is more than the ring's size - 16 (the kernel never fills a ring to the last 8 bytes, and each record has a header of 8). In a user ring: more than its size - 8, or than 16 MiB - 1, which is the largest that a BPF program can be given (a larger one would stop the ring for good)"},
	{"rbcore_producer_reserve_wait", syscall.EBADMSG, "the ring's positions are impossible, or in overwrite mode its oldest records"},
	{"rbcore_producer_submit", syscall.EINVAL, "data is not a record that this producer has reserved, or a flag is unknown"},
	{"rbcore_producer_output", syscall.EAGAIN, "the ring is full: the record is lost, and counted as such in a memory ring. (In overwrite mode: the record whose turn it is to be overwritten is still being written, as in the kernel. One that a dead producer left so is discarded.)"},
	{"rbcore_producer_output", syscall.EMSGSIZE, "the record can never fit: size is more than the ring's size - 16 (the kernel never fills a ring to the last 8 bytes, and each record has a header of 8). In a user ring: more than its size - 8, or than 16 MiB - 1, which is the largest that a BPF program can be given (a larger one would stop the ring for good)"},
	{"rbcore_producer_output", syscall.EBADMSG, "the ring's positions are impossible, or in overwrite mode its oldest records"},
	{"rbcore_producer_output", syscall.EINVAL, "a flag is unknown, or data is NULL and size is not 0"},
	{"rbcore_producer_output_batch", syscall.EAGAIN, "none was written: the ring is full"},
	{"rbcore_producer_output_batch", syscall.EMSGSIZE, "none was written: as rbcore_producer_reserve, for the first"},
	{"rbcore_producer_output_batch", syscall.EBADMSG, "none was written: as rbcore_producer_reserve, for the first"},
	{"rbcore_producer_output_batch", syscall.EINVAL, "a flag is unknown; or none was written: slices[0].data is NULL and its size is not 0"},
}
