// SPDX-License-Identifier: MIT
use std::fmt;
use std::marker::PhantomData;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd};
use std::ptr::{NonNull, null_mut};

use rbcore_sys as sys;

use crate::batch::Record;
use crate::error::{Error, Result, check};
use crate::reader::NO_RECORD;
use crate::{Reader, RingId, stats};

/// Records that are fetched from the library at once.
const FETCHED: usize = 128;

/// The size of the header that [`Batch::snapshot_header`](crate::Batch::snapshot_header) makes.
pub const SNAPSHOT_HEADER_SIZE: usize = sys::RBCORE_SNAPSHOT_HEADER_SIZE as usize;

/// The complete records that a ring held at one moment, in memory of their own. It is taken by
/// [`Reader::snapshot`], needs neither the ring nor the reader afterwards, and can be saved to
/// files and loaded from them.
pub struct Snapshot(NonNull<sys::rbcore_snapshot>);

// SAFETY: a handle may be used by any thread, by one at a time; what changes it has it by &mut.
unsafe impl Send for Snapshot {}
// SAFETY: functions that have it by & only read it.
unsafe impl Sync for Snapshot {}

impl Drop for Snapshot {
    fn drop(&mut self) {
        // SAFETY: this is the last use.
        unsafe { sys::rbcore_snapshot_free(self.0.as_ptr()) };
    }
}

/// Says which ring a [`Snapshot`] is of, what it holds, and when it was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotInfo {
    /// The boot during which it was taken. All zero where that is not known.
    pub boot_id: [u8; 16],
    /// Its ring.
    pub ring: RingId,
    /// Bytes of the ring's data area.
    pub ring_size: u64,
    /// The position of the oldest record in it.
    pub first_pos: u64,
    /// The end of the newest.
    pub end_pos: u64,
    /// The end of the last record reserved then, complete or not.
    pub producer_pos: u64,
    /// Bytes that were overwritten after the call began, before they could be copied.
    pub missed: u64,
    /// When it was taken, in nanoseconds since 1970.
    pub realtime_ns: u64,
    /// When it was taken, in nanoseconds since the machine was booted.
    pub boottime_ns: u64,
}

impl Snapshot {
    /// Loads a snapshot that [`save`](Self::save) wrote, on any machine. It reads no byte more, so
    /// several may follow each other. Returns `None` at the end of the file.
    ///
    /// [`Error::Corrupt`]: the file is not a snapshot, or it is cut off or damaged. `E2BIG`: a
    /// newer version wrote it. `EOPNOTSUPP`: it is from a machine of the other byte order. Other
    /// errors are those of read(2).
    pub fn load(file: impl AsFd) -> Result<Option<Self>> {
        let mut raw = null_mut();
        // SAFETY: the pointer and the descriptor are live.
        match unsafe { sys::rbcore_snapshot_load(&mut raw, file.as_fd().as_raw_fd()) } {
            result if result == -libc::ENODATA => Ok(None),
            result => {
                check("rbcore_snapshot_load", result)?;
                Self::from_raw(raw).map(Some)
            }
        }
    }

    /// Writes it to a file, pipe or socket, at its current position. Errors are those of write(2).
    /// What was written before an error is not a snapshot. The file is not synced.
    ///
    /// ```
    /// # use rbcore::{MemoryRing, Reader, Source};
    /// use std::io::{Seek, SeekFrom};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ring = MemoryRing::create(4096)?;
    /// # let mut reader = Reader::open()?;
    /// # let index = reader.add(&Source::memory(&ring))?;
    /// # let path = std::env::temp_dir().join(format!("rbcore-doc-{}", std::process::id()));
    /// # let options = std::fs::OpenOptions::new().read(true).write(true).create(true).clone();
    /// let mut file = options.open(&path)?;
    /// reader.snapshot(index)?.save(&file)?;
    ///
    /// file.seek(SeekFrom::Start(0))?;
    /// let mut snapshots = 0;
    /// while let Some(mut snapshot) = rbcore::Snapshot::load(&file)? {
    ///     for record in snapshot.records() {
    ///         println!("{} bytes", record?.data().len());
    ///     }
    ///     snapshots += 1;
    /// }
    /// assert_eq!(snapshots, 1);
    /// # std::fs::remove_file(path)?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn save(&self, file: impl AsFd) -> Result<()> {
        // SAFETY: the handle and the descriptor are live.
        check("rbcore_snapshot_save", unsafe {
            sys::rbcore_snapshot_save(self.0.as_ptr(), file.as_fd().as_raw_fd())
        })?;
        Ok(())
    }

    /// Returns its records, oldest first.
    pub fn records(&mut self) -> SnapshotRecords<'_> {
        // SAFETY: the handle is live. The call cannot fail otherwise.
        unsafe { sys::rbcore_snapshot_rewind(self.0.as_ptr()) };
        SnapshotRecords {
            snapshot: self.0,
            fetched: [NO_RECORD; FETCHED],
            next: 0,
            count: 0,
            failed: false,
            borrowed: PhantomData,
        }
    }

    /// Says which ring it is of, and when it was taken.
    pub fn info(&self) -> Result<SnapshotInfo> {
        let mut raw = sys::rbcore_snapshot_info {
            size: size_of::<sys::rbcore_snapshot_info>(),
            ..Default::default()
        };
        // SAFETY: the handle and the struct are live.
        check("rbcore_snapshot_info_get", unsafe {
            sys::rbcore_snapshot_info_get(self.0.as_ptr(), &mut raw)
        })?;
        Ok(SnapshotInfo {
            boot_id: raw.boot_id,
            ring: stats::ring_id(raw.kind, raw.ring_id),
            ring_size: raw.ring_size,
            first_pos: raw.first_pos,
            end_pos: raw.end_pos,
            producer_pos: raw.producer_pos,
            missed: raw.missed,
            realtime_ns: raw.realtime_ns,
            boottime_ns: raw.boottime_ns,
        })
    }

    fn from_raw(raw: *mut sys::rbcore_snapshot) -> Result<Self> {
        NonNull::new(raw)
            .map(Self)
            .ok_or_else(|| Error::invalid("the library made nothing"))
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Snapshot").field(&self.info().ok()).finish()
    }
}

impl<M> Reader<M> {
    /// Copies all complete records that a ring holds at one moment, while producers go on. In
    /// overwrite mode these are the records that are not overwritten, otherwise those that are not
    /// given back. It changes nothing: [`read`](Reader::read) and [`next`](Reader::next) return the
    /// same records as without it. Threads that share the reader may take snapshots at the same
    /// time: they wait for each other.
    ///
    /// ```
    /// use rbcore::{MemoryRing, Producer, Reader, Source};
    ///
    /// # fn main() -> rbcore::Result<()> {
    /// let ring = MemoryRing::create_overwriting(4096)?;
    /// let producer = Producer::open(&ring)?;
    /// for number in 0..1000u64 {
    ///     producer.output(&number.to_ne_bytes())?; // the oldest make room
    /// }
    ///
    /// let mut reader = Reader::open()?;
    /// let index = reader.add(&Source::memory(&ring).overwrite())?;
    /// let mut snapshot = reader.snapshot(index)?;
    /// let newest = snapshot.records().last().unwrap()?;
    /// assert_eq!(newest.data(), 999u64.to_ne_bytes());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// [`Error::Again`]: producers overwrote the ring faster than it was copied, in 16 attempts.
    /// [`Error::Corrupt`]: the ring's content is impossible. `EINVAL`: no ring of this index.
    pub fn snapshot(&self, ring: u16) -> Result<Snapshot> {
        let mut raw = null_mut();
        self.take(ring, &mut raw, 0)?;
        Snapshot::from_raw(raw)
    }

    /// Takes a snapshot like [`snapshot`](Self::snapshot), into the memory of one that was taken
    /// before.
    pub fn snapshot_into(&self, ring: u16, snapshot: &mut Snapshot) -> Result<()> {
        self.take(ring, &mut snapshot.0.as_ptr(), 0)
    }

    /// Takes a snapshot like [`snapshot`](Self::snapshot), but the reader goes on behind it, as if
    /// all records had been committed. [`Error::Busy`]: records of the ring are handed out and not
    /// given back.
    pub fn drain_to_snapshot(&mut self, ring: u16) -> Result<Snapshot> {
        let mut raw = null_mut();
        self.take(ring, &mut raw, sys::RBCORE_SNAPSHOT_CONSUME)?;
        Snapshot::from_raw(raw)
    }

    fn take(&self, ring: u16, out: &mut *mut sys::rbcore_snapshot, flags: u32) -> Result<()> {
        let _one_at_a_time = self.lock();
        // SAFETY: the handle is live, and while it is borrowed only snapshots use it as the reading
        // thread would: one at a time. *out is NULL or a live snapshot that is not used elsewhere.
        let result =
            unsafe { sys::rbcore_reader_snapshot(self.raw().as_ptr(), ring.into(), out, flags) };
        self.check(result)?;
        Ok(())
    }
}

/// The records of a [`Snapshot`], oldest first. An [`Error::Corrupt`] ends them: the next record is
/// impossible, because a hostile producer of a memory ring wrote it.
pub struct SnapshotRecords<'s> {
    snapshot: NonNull<sys::rbcore_snapshot>,
    fetched: [sys::rbcore_record; FETCHED],
    next: usize,
    count: usize,
    failed: bool,
    borrowed: PhantomData<&'s mut Snapshot>,
}

impl<'s> Iterator for SnapshotRecords<'s> {
    type Item = Result<Record<'s>>;

    fn next(&mut self) -> Option<Result<Record<'s>>> {
        if self.failed {
            return None;
        }
        if self.next == self.count {
            (self.next, self.count) = (0, 0);
            // SAFETY: the handle is borrowed; the array has room for as many records.
            let result = unsafe {
                let records = self.fetched.as_mut_ptr();
                sys::rbcore_snapshot_read(self.snapshot.as_ptr(), records, FETCHED)
            };
            match check("rbcore_snapshot_read", result) {
                Ok(0) => return None,
                Ok(count) => self.count = count.min(FETCHED),
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        self.next += 1;
        // SAFETY: its data is the snapshot's, which does not change while it is borrowed.
        Some(Ok(unsafe { Record::from_raw(self.fetched[self.next - 1]) }))
    }
}

impl fmt::Debug for SnapshotRecords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnapshotRecords").finish_non_exhaustive()
    }
}
