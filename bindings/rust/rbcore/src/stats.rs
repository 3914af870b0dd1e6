// SPDX-License-Identifier: MIT
use std::mem::size_of;

use rbcore_sys as sys;

use crate::error::{Result, check};
use crate::raw::Raw;

/// Counts what a reader did since it was opened, over all its rings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReaderStats {
    /// Records handed out.
    pub records: u64,
    /// Bytes of their data.
    pub bytes: u64,
    /// Records that their producer discarded, skipped.
    pub discards: u64,
    /// Reads that found records.
    pub batches: u64,
    /// Advances of a ring's consumer position.
    pub commits: u64,
    /// Waits that an event ended.
    pub wakeups: u64,
    /// Rings that it has now.
    pub rings: u64,
}

/// Describes one ring. Counts begin when the ring was added, unless a field says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RingStats {
    /// The cookie of its source.
    pub cookie: u64,
    /// Whether the ring's content is impossible.
    pub is_broken: bool,
    /// Whether later readers may not notice this one.
    pub is_unguarded: bool,
    /// Whether the ring is paced: a timer reads it, and its records wake nobody.
    pub is_paced: bool,
    /// The id of the BPF map; `None` for a memory ring.
    pub map_id: Option<u64>,
    /// Bytes of its data area.
    pub ring_size: u64,
    /// Bytes produced and not handed out, headers included.
    pub bytes_waiting: u64,
    /// The most bytes not given back that a read ever found.
    pub high_water: u64,
    /// Records handed out.
    pub records: u64,
    /// Bytes of their data.
    pub bytes: u64,
    /// Records that their producer discarded, skipped.
    pub discards: u64,
    /// Records skipped because their producer died before it submitted them; only in a memory ring.
    pub abandoned: u64,
    /// Records skipped by [`Source::latest`](crate::Source::latest).
    pub skipped: u64,
    /// Records refused because the ring was full, since it was created. `None` if they are not
    /// counted.
    pub lost: Option<u64>,
    /// End of the last record reserved.
    pub producer_pos: u64,
    /// Up to here records were handed out or skipped.
    pub read_pos: u64,
    /// Up to here records were given back.
    pub user_pos: u64,
    /// Up to here the kernel knows that records were given back. With a tap it is the ring's own
    /// position.
    pub consumer_pos: u64,
    /// Where reading began.
    pub start_pos: u64,
    /// Bytes, with headers, of records that were not handed out: discarded, abandoned, skipped, or
    /// consumed by a snapshot.
    pub passed_bytes: u64,
    /// Bytes, with headers, that were overwritten before they were read, or with a tap freed and
    /// used again. `start_pos`, the bytes handed out with headers, `passed_bytes` and `lost_bytes`
    /// add up to `read_pos`.
    pub lost_bytes: u64,
    /// The index that [`Reader::add`](crate::Reader::add) returned for its source.
    pub first_ring: u64,
    /// The reader that has the ring by this library. Of a tap it is the ring's reader.
    pub owner: RingOwner,
}

/// What [`Source::ring_stats`](crate::Source::ring_stats) sees of a ring without a reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceStats {
    /// The id of the BPF map; `None` for a memory ring.
    pub map_id: Option<u64>,
    /// Bytes of its data area.
    pub ring_size: u64,
    /// End of the last record reserved.
    pub producer_pos: u64,
    /// Up to here records were given back.
    pub consumer_pos: u64,
    /// Bytes that were not given back, headers included.
    pub bytes_waiting: u64,
    /// Records refused because the ring was full. `None` if they are not counted.
    pub lost: Option<u64>,
    /// The reader that has the ring by this library.
    pub owner: RingOwner,
}

/// The process whose reader has a ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RingOwner {
    /// No process that lives has it by this library.
    #[default]
    Nobody,
    /// The process with this id.
    Process(u32),
    /// A process of another pid namespace.
    Elsewhere,
}

impl RingOwner {
    fn of(pid: u64) -> Self {
        match (pid, u32::try_from(pid)) {
            (0, _) => Self::Nobody,
            (_, Ok(pid)) => Self::Process(pid),
            (_, Err(_)) => Self::Elsewhere,
        }
    }
}

/// Identifies a record among all records of all machines, in every process that reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Identity {
    /// The boot during which it was produced. All zero where that is not known.
    pub boot_id: [u8; 16],
    /// Its ring.
    pub ring: RingId,
    /// The position of its header.
    pub position: u64,
}

/// Identifies a ring on one machine, until its next boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RingId {
    /// A BPF map, by its id.
    Map(u64),
    /// A memory ring, by its inode number.
    Memory(u64),
}

fn known(figure: u64) -> Option<u64> {
    (figure != sys::RBCORE_UNKNOWN).then_some(figure)
}

pub(crate) fn of_reader(reader: &Raw) -> Result<ReaderStats> {
    let mut raw = sys::rbcore_reader_stats {
        size: size_of::<sys::rbcore_reader_stats>(),
        ..Default::default()
    };
    // SAFETY: the handle and the struct are live.
    check("rbcore_reader_stats_get", unsafe {
        sys::rbcore_reader_stats_get(reader.as_ptr(), &mut raw)
    })?;
    Ok(ReaderStats {
        records: raw.records,
        bytes: raw.bytes,
        discards: raw.discards,
        batches: raw.batches,
        commits: raw.commits,
        wakeups: raw.wakeups,
        rings: raw.rings,
    })
}

/// The indexes of a reader's rings. `after` asks for the one that comes after an index, or after -1.
pub(crate) fn rings(after: impl Fn(i32) -> Option<u16>) -> impl Iterator<Item = u16> {
    std::iter::successors(after(-1), move |&ring| after(ring.into()))
}

pub(crate) fn ring_after(reader: &Raw, ring: i32) -> Option<u16> {
    // SAFETY: the handle is live.
    let next = unsafe { sys::rbcore_reader_ring_after(reader.as_ptr(), ring) };
    u16::try_from(next).ok()
}

pub(crate) fn of_ring(reader: &Raw, ring: u16) -> Result<RingStats> {
    let mut raw = sys::rbcore_ring_stats {
        size: size_of::<sys::rbcore_ring_stats>(),
        ..Default::default()
    };
    // SAFETY: the handle and the struct are live.
    check("rbcore_reader_ring_stats", unsafe {
        sys::rbcore_reader_ring_stats(reader.as_ptr(), ring.into(), &mut raw)
    })?;
    let flag = |flag: u32| raw.flags & u64::from(flag) != 0;
    Ok(RingStats {
        cookie: raw.cookie,
        is_broken: flag(sys::RBCORE_RING_BROKEN),
        is_unguarded: flag(sys::RBCORE_RING_UNGUARDED),
        is_paced: flag(sys::RBCORE_RING_PACED),
        map_id: known(raw.map_id),
        ring_size: raw.ring_size,
        bytes_waiting: raw.bytes_waiting,
        high_water: raw.high_water,
        records: raw.records,
        bytes: raw.bytes,
        discards: raw.discards,
        abandoned: raw.abandoned,
        skipped: raw.skipped,
        lost: known(raw.lost),
        producer_pos: raw.producer_pos,
        read_pos: raw.read_pos,
        user_pos: raw.user_pos,
        consumer_pos: raw.consumer_pos,
        start_pos: raw.start_pos,
        passed_bytes: raw.passed_bytes,
        lost_bytes: raw.lost_bytes,
        first_ring: raw.first_ring,
        owner: RingOwner::of(raw.reader_pid),
    })
}

pub(crate) fn of_source(source: &sys::rbcore_source) -> Result<SourceStats> {
    let mut raw = sys::rbcore_ring_stats {
        size: size_of::<sys::rbcore_ring_stats>(),
        ..Default::default()
    };
    // SAFETY: both structs are live, and so is what the source points to.
    check("rbcore_source_ring_stats", unsafe {
        sys::rbcore_source_ring_stats(source, &mut raw)
    })?;
    Ok(SourceStats {
        map_id: known(raw.map_id),
        ring_size: raw.ring_size,
        producer_pos: raw.producer_pos,
        consumer_pos: raw.consumer_pos,
        bytes_waiting: raw.bytes_waiting,
        lost: known(raw.lost),
        owner: RingOwner::of(raw.reader_pid),
    })
}

pub(crate) fn identity(reader: &Raw, ring: u16, position: u64) -> Result<Identity> {
    let record = sys::rbcore_record {
        data: std::ptr::null(),
        position,
        size: 0,
        ring,
        flags: 0,
    };
    let mut raw = sys::rbcore_identity {
        size: size_of::<sys::rbcore_identity>(),
        ..Default::default()
    };
    // SAFETY: the handle and both structs are live; of the record only its numbers are looked at.
    check("rbcore_reader_identity", unsafe {
        sys::rbcore_reader_identity(reader.as_ptr(), &record, &mut raw)
    })?;
    Ok(Identity {
        boot_id: raw.boot_id,
        ring: ring_id(raw.kind, raw.ring_id),
        position: raw.position,
    })
}

pub(crate) fn ring_id(kind: u64, id: u64) -> RingId {
    if kind == u64::from(sys::RBCORE_SOURCE_MAP_ID) {
        RingId::Map(id)
    } else {
        RingId::Memory(id)
    }
}
