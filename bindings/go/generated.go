// Code generated from include/rbcore/rbcore.h by bindings/generate.py. DO NOT EDIT.

// SPDX-License-Identifier: MIT

package ringbuf

const (
	// FeatureKernelRing: rings of BPF programs, BPF_MAP_TYPE_RINGBUF (Linux 5.8)
	FeatureKernelRing = 1
	// FeatureMemoryRing: rings in memory, see NewMemoryRing
	FeatureMemoryRing = 2
	// FeatureOverwrite: BPF maps in overwrite mode (Linux 6.19)
	FeatureOverwrite = 4
	// FeatureUserRing: BPF_MAP_TYPE_USER_RINGBUF (Linux 6.1)
	FeatureUserRing = 8
	// SourceMapID: SnapshotInfo.Kind of a ring of BPF programs
	SourceMapID = 3
	// SourceMemoryRing: SnapshotInfo.Kind of a memory ring
	SourceMemoryRing = 4
	// Unknown: the value of a statistic that is not known, also of one that the library is too old
	// to know.
	Unknown = 18446744073709551615
	// ProducersMax: the most producer handles that can be open on a memory ring at once, over all
	// processes.
	ProducersMax = 64
	// NoWakeup: never wake the reader for this record
	NoWakeup = 1
	// ForceWakeup: always wake it, even if it is busy
	ForceWakeup = 2
)

// Stats has counts of what a reader did, and the state of its ring. Records count as
// handed out when they are fetched, a batch at a time.
type Stats struct {
	// records that were handed out
	Records uint64
	// bytes of their samples
	Bytes uint64
	// records that their producer discarded, skipped
	Discards uint64
	// fetches that brought records
	Batches uint64
	// how often space was given back to producers
	Commits uint64
	// waits that an event ended, and events found by a read
	Wakeups uint64
	// BPF map id; Unknown for a memory ring
	MapID uint64
	// bytes of its data area
	RingSize uint64
	// produced and not handed out: headers, unfinished ones included
	BytesWaiting uint64
	// most bytes produced and not given back that a read ever found
	HighWater uint64
	// records that a producer left unfinished when it died, skipped; only in a memory ring
	Abandoned uint64
	// records skipped by WithLatest
	Skipped uint64
	// records refused because the ring was full, since it was created: from the loss map, or
	// counted by a memory ring's producers; Unknown without a loss map
	Lost uint64
	// end of the last record reserved
	ProducerPos uint64
	// up to here records were handed out or skipped
	ReadPos uint64
	// up to here they were given back
	UserPos uint64
	// up to here the kernel knows that they were; with a tap the ring's
	ConsumerPos uint64
	// where reading began
	StartPos uint64
	// bytes, with headers, of records that were not handed out: discarded, abandoned, skipped, or
	// consumed by a snapshot
	PassedBytes uint64
	// bytes overwritten before they were read, with headers (overwrite mode), or freed by the
	// ring's reader and used again (tap). StartPos, the records handed out with their headers,
	// PassedBytes and LostBytes add up to ReadPos.
	LostBytes uint64
	// The ring's content is impossible: reads return syscall.EBADMSG.
	Broken bool
	// The ring was opened although another reader has it (WithInsist), or without its lock,
	// because something that is no living reader has the lock. Later readers may not notice this
	// one.
	Unguarded bool
	// Busy now: read by the timer (see WithMaxLatency).
	Paced bool
}

// SnapshotInfo says which ring a snapshot is of, what it holds, and when it was taken.
type SnapshotInfo struct {
	// the boot of the ring's machine; no other ring has the same BootID, Kind and RingID
	BootID [16]byte
	// SourceMapID or SourceMemoryRing
	Kind uint64
	// the map's id, or the inode of the memory ring
	RingID uint64
	// bytes of the ring's data area
	RingSize uint64
	// of the oldest record in it
	FirstPos uint64
	// of the newest: with their headers the records have EndPos - FirstPos bytes
	EndPos uint64
	// end of the last record reserved, complete or not
	ProducerPos uint64
	// bytes that were overwritten after the call began, before copied
	Missed uint64
	// when it was taken: CLOCK_REALTIME
	RealtimeNS uint64
	// likewise: CLOCK_BOOTTIME
	BoottimeNS uint64
}
