// SPDX-License-Identifier: MIT
use std::ffi::{CStr, c_int, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr::null;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rbcore_sys as sys;

use crate::copies::is_set;
use crate::error::{Error, Result, check};
use crate::handle::Owned;
use crate::raw::Raw;
use crate::wait::{go_on, raw_timeout};
use crate::{Handle, Identity, ReaderStats, RingStats, Source, stats};

/// The mode of a [`Reader`] that lends batches, given back in order.
#[derive(Debug)]
pub enum InOrder {}

/// The mode of a [`LeaseReader`](crate::LeaseReader): records are given back one by one, in any
/// order.
#[derive(Debug)]
pub enum Leased {}

pub(crate) const NO_RECORD: sys::rbcore_record = sys::rbcore_record {
    data: null(),
    position: 0,
    size: 0,
    ring: 0,
    flags: 0,
};

/// rbcore_reader_read or rbcore_reader_look.
pub(crate) type Read =
    unsafe extern "C" fn(*mut sys::rbcore_reader, *mut sys::rbcore_record, usize) -> c_int;

/// Reads one or more rings. The crate's documentation explains the two modes.
pub struct Reader<M = InOrder> {
    owned: Owned,
    fd: RawFd,
    /// This has room for a batch; the first `count` are of the last one.
    pub(crate) records: Vec<sys::rbcore_record>,
    pub(crate) count: usize,
    /// This has room for spans; the first `span_count` are the last ones. There are none until
    /// they are asked for.
    pub(crate) spans: Vec<sys::rbcore_span>,
    pub(crate) span_count: usize,
    /// These are by index of the ring.
    pub(crate) is_copied: Vec<bool>,
    /// The data of the last batch's records that had to be copied, in words.
    pub(crate) copies: Vec<u64>,
    /// This is where the data of the last batch's records is in the ring. It is empty if nothing
    /// was copied.
    pub(crate) originals: Vec<*const c_void>,
    /// Held by calls that use the handle as the reading thread does, but have it by &.
    shared_use: Mutex<()>,
    mode: PhantomData<M>,
}

// SAFETY: the records point into mappings that belong to the handle, or into `copies`.
unsafe impl<M> Send for Reader<M> {}
// SAFETY: functions that have it by & make calls that any thread may make, or lock `shared_use`.
unsafe impl<M> Sync for Reader<M> {}

/// Makes room for the records of a batch.
fn room_for(records: usize) -> Result<Vec<sys::rbcore_record>> {
    if records == 0 {
        return Err(Error::invalid("a batch has no room for records"));
    }
    let mut room = Vec::new();
    room.try_reserve_exact(records)
        .map_err(|_| Error::new(-libc::ENOMEM, "there is no memory for so large a batch"))?;
    room.resize(records, NO_RECORD);
    Ok(room)
}

impl<M> Reader<M> {
    /// Takes an open reader.
    pub(crate) fn from_raw(raw: Raw, batch_size: usize) -> Result<Self> {
        let owned = Owned::new(raw);
        // SAFETY: the handle was just opened.
        let fd = unsafe { sys::rbcore_reader_fd(raw.as_ptr()) };
        check("rbcore_reader_fd", fd)?;
        Ok(Self {
            owned,
            fd,
            records: room_for(batch_size)?,
            count: 0,
            spans: Vec::new(),
            span_count: 0,
            is_copied: Vec::new(),
            copies: Vec::new(),
            originals: Vec::new(),
            shared_use: Mutex::new(()),
            mode: PhantomData,
        })
    }

    /// Adds a ring, and returns its index. Records that the last reader did not give back come
    /// again.
    ///
    /// A ring has one consumer: [`Error::Busy`] if another reader of this library has it, in any
    /// process. Readers of other libraries cannot be detected: do not use them on the same ring.
    pub fn add(&mut self, source: &Source<'_>) -> Result<u16> {
        let raw = source.to_raw()?;
        // SAFETY: the handle is live, and so is what the source points to.
        let result = unsafe { sys::rbcore_reader_add(self.raw().as_ptr(), &raw.raw) };
        let index = self.check(result)?;
        if self.is_copied.len() <= index {
            self.is_copied.resize(index + 1, false);
        }
        self.is_copied[index] = source.is_copied();
        u16::try_from(index).map_err(|_| Error::invalid("the index of the ring is too large"))
    }

    /// Removes a ring. What was not read stays in it for the next reader. [`Error::Busy`] while
    /// records of it are not committed. Leases stay valid.
    pub fn remove(&mut self, ring: u16) -> Result<()> {
        // SAFETY: the handle is live.
        let result = unsafe { sys::rbcore_reader_remove(self.raw().as_ptr(), ring.into()) };
        self.check(result)?;
        Ok(())
    }

    /// The indexes of the reader's rings, in their order. Those that were removed are passed over.
    ///
    /// ```
    /// # use rbcore::{MemoryRing, Reader, Source};
    /// # fn main() -> rbcore::Result<()> {
    /// # let (one, other) = (MemoryRing::create(4096)?, MemoryRing::create(4096)?);
    /// # let mut reader = Reader::open()?;
    /// # reader.add(&Source::memory(&one))?;
    /// # reader.add(&Source::memory(&other))?;
    /// for ring in reader.rings() {
    ///     println!("{ring}: {} records", reader.ring_stats(ring)?.records);
    /// }
    /// # assert_eq!(reader.rings().collect::<Vec<_>>(), [0, 1]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn rings(&self) -> impl Iterator<Item = u16> + '_ {
        stats::rings(|ring| stats::ring_after(self.raw(), ring))
    }

    /// Changes how many records a batch has at most. `EINVAL`: `records` is 0. `ENOMEM`: there is
    /// no memory for so many.
    pub fn set_batch_size(&mut self, records: usize) -> Result<()> {
        self.records = room_for(records)?;
        self.count = 0;
        Ok(())
    }

    /// A handle for other threads. There can be any number of handles.
    pub fn handle(&self) -> Handle {
        self.owned.handle()
    }

    /// Statistics of the reader.
    pub fn stats(&self) -> Result<ReaderStats> {
        stats::of_reader(self.raw())
    }

    /// Statistics of one ring.
    pub fn ring_stats(&self, ring: u16) -> Result<RingStats> {
        stats::of_ring(self.raw(), ring)
    }

    /// Identifies the record at a position of a ring among all records of all machines.
    pub fn identity(&self, ring: u16, position: u64) -> Result<Identity> {
        stats::identity(self.raw(), ring, position)
    }

    pub(crate) fn raw(&self) -> &Raw {
        self.owned.raw()
    }

    pub(crate) fn is_copied(&self, ring: u16) -> bool {
        is_set(&self.is_copied, ring)
    }

    /// Reads, without waiting, what is there.
    pub(crate) fn fetch(&mut self) -> Result<usize> {
        self.fetch_by(sys::rbcore_reader_read)
    }

    pub(crate) fn fetch_by(&mut self, read: Read) -> Result<usize> {
        go_on(Some(Duration::ZERO), |_| {
            let (records, max) = (self.records.as_mut_ptr(), self.records.len());
            // SAFETY: the handle is live, and the array has room for max records.
            let result = unsafe { read(self.raw().as_ptr(), records, max) };
            self.fetched(result)
        })
    }

    /// Waits and reads what is due.
    pub(crate) fn fetch_due(&mut self, timeout: Option<Duration>) -> Result<usize> {
        go_on(timeout, |left| self.fetch_due_once(left))
    }

    /// Fetches like [`fetch_due`](Self::fetch_due), but returns early where [`go_on`] would repeat
    /// the call.
    pub(crate) fn fetch_due_once(&mut self, timeout: Option<Duration>) -> Result<usize> {
        let (records, max) = (self.records.as_mut_ptr(), self.records.len());
        let timeout = raw_timeout(timeout);
        // SAFETY: the handle is live, and the array has room for max records.
        let result = unsafe { sys::rbcore_reader_next(self.raw().as_ptr(), records, max, timeout) };
        self.fetched(result)
    }

    fn fetched(&mut self, result: c_int) -> Result<usize> {
        self.count = 0;
        self.count = self.check(result)?.min(self.records.len());
        Ok(self.count)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, ()> {
        let lock = self.shared_use.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a count, or the error with the library's message. It is for calls that have the
    /// handle by &mut, or the lock.
    pub(crate) fn check(&self, result: c_int) -> Result<usize> {
        usize::try_from(result).map_err(|_| {
            if result == -libc::ECHILD {
                return Error::of("", result); // the message is of an error before the fork
            }
            // SAFETY: the handle is live, and no other thread makes a call that changes the string.
            let message =
                unsafe { CStr::from_ptr(sys::rbcore_reader_message(self.raw().as_ptr())) };
            Error::new(result, &message.to_string_lossy())
        })
    }
}

impl<M> AsFd for Reader<M> {
    /// Returns the descriptor for event loops. When it is readable, call [`Reader::next`] with a
    /// timeout of zero until the batch is empty; only then wait for it again.
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the descriptor belongs to the handle, which lives as long as self.
        unsafe { BorrowedFd::borrow_raw(self.fd) }
    }
}

impl<M> AsRawFd for Reader<M> {
    fn as_raw_fd(&self) -> RawFd {
        self.fd
    }
}

impl<M> fmt::Debug for Reader<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("fd", &self.fd)
            .field("batch_size", &self.records.len())
            .finish_non_exhaustive()
    }
}
