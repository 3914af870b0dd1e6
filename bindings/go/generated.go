// Code generated from include/rbcore/rbcore.h by bindings/generate.py. DO NOT EDIT.

// SPDX-License-Identifier: MIT

package ringbuf

const (
	// FeatureKernelRing: BPF_MAP_TYPE_RINGBUF (Linux 5.8)
	FeatureKernelRing = 1
	// FeatureMemoryRing: NewMemoryRing
	FeatureMemoryRing = 2
	// FeatureOverwrite: BPF maps in overwrite mode (Linux 6.19)
	FeatureOverwrite = 4
	// FeatureUserRing: BPF_MAP_TYPE_USER_RINGBUF (Linux 6.1)
	FeatureUserRing = 8
	// SourceMapID: map_id: of a BPF map (needs CAP_SYS_ADMIN)
	SourceMapID = 3
	// SourceMemoryRing: fd and event_fd: of a memory ring
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

// Stats says what a reader did and how its ring stands. Records count as handed
// out when they were fetched, a batch at a time.
type Stats struct {
	// handed out
	Records uint64
	// of their data
	Bytes uint64
	// records that their producer discarded, skipped
	Discards uint64
	// calls of read and next that returned records
	Batches uint64
	// advances of a ring's consumer position
	Commits uint64
	// waits of next that an event ended, and events emptied by read
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
	// of records that were not handed out, with headers: discarded ones, abandoned, skipped, and
	// those consumed by a snapshot
	PassedBytes uint64
	// overwritten before they were read, with headers (overwrite mode), or freed by the consumer
	// and reused (tap); with the spans of the records handed out: start_pos + handed out + passed
	// + lost = read_pos
	LostBytes uint64
	// Flags of Stats: its content is impossible (-EBADMSG).
	Broken bool
	// Opened although another reader has the ring (WithInsist), or without its lock, which
	// somebody has that is no living reader: later readers may not notice this one.
	Unguarded bool
	// Busy now: read by the timer (see WithMaxLatency).
	Paced bool
}

// SnapshotInfo says of what ring a snapshot is, what it holds, and when it was taken.
type SnapshotInfo struct {
	// with kind and ring_id what rbcore_identity has
	BootID [16]byte
	// SourceMapID or SourceMemoryRing
	Kind uint64
	// see the C header
	RingID uint64
	// bytes of the ring's data area
	RingSize uint64
	// of the oldest record in it
	FirstPos uint64
	// end of the newest: with headers it has end_pos - first_pos bytes
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
