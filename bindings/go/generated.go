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
	// Unknown: a statistic has this value if it is not known, also if the library is too old to
	// know it.
	Unknown = 18446744073709551615
	// ProducersMax: a memory ring can have at most this many producer handles at once, over all
	// processes.
	ProducersMax = 64
	// NoWakeup: never wake the reader for this record
	NoWakeup = 1
	// ForceWakeup: always wake it, even if it still has records
	ForceWakeup = 2
)

// ReaderStats has counts of what a reader did since it was opened, over all its rings, removed
// ones included. Records count as handed out when they are fetched, a batch at a time.
type ReaderStats struct {
	// records handed out
	Records uint64
	// bytes of their samples
	Bytes uint64
	// records skipped because their producer discarded them
	Discards uint64
	// fetches that brought records
	Batches uint64
	// how often space was given back to producers
	Commits uint64
	// waits that an event ended, and events found by a read
	Wakeups uint64
	// rings that it has now
	Rings uint64
}

// RingStats has the state of one ring of a reader, and counts since the ring was added, unless
// said otherwise. Records count as in ReaderStats.
type RingStats struct {
	// BPF map id; Unknown for a memory ring
	MapID uint64
	// bytes of its data area
	RingSize uint64
	// bytes not handed out, with headers and unfinished records
	BytesWaiting uint64
	// the most bytes not given back that a read ever found
	HighWater uint64
	// records handed out
	Records uint64
	// bytes of their samples
	Bytes uint64
	// records skipped because their producer discarded them
	Discards uint64
	// records skipped because their producer died before it submitted them; only in a memory ring
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
	// bytes, with headers, that were overwritten before they were read (overwrite mode), or freed
	// by the consumer and reused (tap); StartPos, the records handed out with their headers,
	// PassedBytes and LostBytes add up to ReadPos
	LostBytes uint64
	// the index that NewReader or Add gave it
	FirstRing uint64
	// the process that has the ring by this library: of a tap, the ring's reader; 0: none that
	// lives; Unknown: one of another pid namespace
	ReaderPID uint64
	// The ring's content is impossible (syscall.EBADMSG).
	Broken bool
	// The ring was opened although another reader has it (WithInsist), or without its lock,
	// because something that is no living reader has the lock. Later readers may not notice this
	// one.
	Unguarded bool
	// The ring is paced: a timer reads it, and its records wake nobody (see WithMaxLatency).
	Paced bool
}

// SnapshotInfo says which ring a snapshot is of, what it holds, and when it was taken.
type SnapshotInfo struct {
	// the boot of the ring's machine; no other ring has the same BootID, Kind and RingID
	BootID [16]byte
	// SourceMapID or SourceMemoryRing
	Kind uint64
	// the BPF map's id, or the memory ring's inode number
	RingID uint64
	// bytes of the ring's data area
	RingSize uint64
	// position of the oldest record in it
	FirstPos uint64
	// end of the newest; with headers, it has EndPos - FirstPos bytes
	EndPos uint64
	// end of the last record reserved, complete or not
	ProducerPos uint64
	// bytes overwritten during the call, before they were copied
	Missed uint64
	// when it was taken, by CLOCK_REALTIME
	RealtimeNS uint64
	// when it was taken, by CLOCK_BOOTTIME
	BoottimeNS uint64
}
