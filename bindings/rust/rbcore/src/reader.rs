// SPDX-License-Identifier: MIT
use std::ffi::{CStr, c_int, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr::null;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rbcore_sys as sys;

use crate::copies::{copy_shared, is_set};
use crate::error::{Error, Result, check};
use crate::handle::{Owned, Raw};
use crate::wait::{go_on, raw_timeout};
use crate::{Batch, Handle, Identity, ReaderBuilder, ReaderStats, RingStats, Source, Spans, stats};

/// The mode of a [`Reader`] that lends batches, given back in order.
#[derive(Debug)]
pub enum InOrder {}

/// The mode of a [`LeaseReader`](crate::LeaseReader): records are given back one by one, in any order.
#[derive(Debug)]
pub enum Leased {}

pub(crate) const NO_RECORD: sys::rbcore_record = sys::rbcore_record {
    data: null(),
    position: 0,
    size: 0,
    ring: 0,
    flags: 0,
};

const NO_SPAN: sys::rbcore_span = sys::rbcore_span {
    data: null(),
    position: 0,
    stride: 0,
    size: 0,
    count: 0,
    ring: 0,
    flags: 0,
};

/// rbcore_reader_read or rbcore_reader_look.
type Read = unsafe extern "C" fn(*mut sys::rbcore_reader, *mut sys::rbcore_record, usize) -> c_int;

/// Reads one or more rings. The crate's documentation tells the two modes apart.
pub struct Reader<M = InOrder> {
    owned: Owned,
    fd: RawFd,
    /// Room for a batch; the first `count` are of the last one.
    pub(crate) records: Vec<sys::rbcore_record>,
    pub(crate) count: usize,
    /// Room for spans; the first `span_count` are the last ones. Empty until they are asked for.
    spans: Vec<sys::rbcore_span>,
    span_count: usize,
    /// By index of the ring.
    is_copied: Vec<bool>,
    /// The data of the last batch's records that had to be copied, in words.
    copies: Vec<u64>,
    /// Where the data of the last batch's records is in the ring; empty if nothing was copied.
    originals: Vec<*const c_void>,
    /// Held by what uses the handle like the thread that reads, but has it by &.
    shared_use: Mutex<()>,
    mode: PhantomData<M>,
}

// SAFETY: the pointers of the records are into mappings that belong to the handle, or into `copies`.
unsafe impl<M> Send for Reader<M> {}
// SAFETY: by & only what any thread may do, or what locks `shared_use`.
unsafe impl<M> Sync for Reader<M> {}

impl Reader {
    /// Opens a reader with the defaults, without rings.
    ///
    /// ```
    /// use rbcore::{MemoryRing, Producer, Reader, Source};
    ///
    /// # fn main() -> rbcore::Result<()> {
    /// let ring = MemoryRing::create(65536)?;
    /// Producer::open(&ring)?.output(b"hello")?;
    ///
    /// let mut reader = Reader::open()?;
    /// let index = reader.add(&Source::memory(&ring))?;
    /// reader.next(None)?.commit()?;
    /// assert_eq!(reader.ring_stats(index)?.records, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn open() -> Result<Self> {
        Self::builder().open()
    }

    /// Options of a reader, of either mode.
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// # fn main() -> rbcore::Result<()> {
    /// let reader = rbcore::Reader::builder()
    ///     .max_latency(Duration::from_micros(500))
    ///     .batch_size(512)
    ///     .open()?;
    /// # drop(reader);
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder() -> ReaderBuilder {
        ReaderBuilder::new()
    }

    /// Reads what is there, without waiting. An empty batch: there is nothing.
    ///
    /// ```
    /// # use rbcore::{MemoryRing, Producer, Reader, Source};
    /// # fn main() -> rbcore::Result<()> {
    /// # let ring = MemoryRing::create(65536)?;
    /// # let mut reader = Reader::open()?;
    /// # reader.add(&Source::memory(&ring))?;
    /// assert!(reader.read()?.is_empty());
    ///
    /// Producer::open(&ring)?.output(b"hello")?;
    /// let batch = reader.read()?;
    /// assert_eq!(batch.get(0).unwrap().data(), b"hello");
    /// batch.commit()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn read(&mut self) -> Result<Batch<'_>> {
        self.fetch()?;
        Ok(self.last_batch())
    }

    /// Reads what is there, like [`read`](Self::read), but leaves [`as_fd`](AsFd::as_fd) as it is and
    /// promises no wakeup: for loops that do not wait.
    pub fn look(&mut self) -> Result<Batch<'_>> {
        self.fetch_by(sys::rbcore_reader_look)?;
        Ok(self.last_batch())
    }

    /// Waits until records are due, at most for the timeout (`None`: without end), then reads.
    /// An empty batch: the time is up. In a busy ring records are due together: see
    /// [`ReaderBuilder::max_latency`].
    ///
    /// Neither a signal nor stopping and continuing the process (Ctrl-Z and `fg`, a debugger, a frozen
    /// container) ends the wait: it goes on with what is left of the timeout. To end a loop on a signal,
    /// call [`Handle::flush`] or [`Handle::shutdown`] in the thread that handles signals, or read with
    /// [`next_interruptible`](Self::next_interruptible).
    ///
    /// Discarded records are skipped, however many there are. That may take longer than the timeout.
    ///
    /// ```
    /// # use rbcore::{MemoryRing, Producer, Reader, Source};
    /// use std::time::Duration;
    ///
    /// # fn main() -> rbcore::Result<()> {
    /// # let ring = MemoryRing::create(65536)?;
    /// # let mut reader = Reader::open()?;
    /// # reader.add(&Source::memory(&ring))?;
    /// # let producer = Producer::open(&ring)?;
    /// # producer.output(b"hello")?;
    /// loop {
    ///     let batch = reader.next(Some(Duration::from_millis(10)))?;
    ///     if batch.is_empty() {
    ///         break; // nothing came for 10 milliseconds
    ///     }
    ///     for record in &batch {
    ///         println!("{} bytes", record.data().len());
    ///     }
    ///     batch.commit()?;
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Batch<'_>> {
        self.fetch_due(timeout)?;
        Ok(self.last_batch())
    }

    /// Like [`next`](Self::next), but returns [`Error::Signal`] when this thread caught a signal or the
    /// process was stopped and continued, and [`Error::Again`] when the time is up and only discarded
    /// records were found so far. Nothing is lost in either case: call again.
    ///
    /// ```
    /// # use rbcore::{Error, MemoryRing, Producer, Reader, Source};
    /// # use std::sync::atomic::{AtomicBool, Ordering};
    /// # fn main() -> rbcore::Result<()> {
    /// # let ring = MemoryRing::create(65536)?;
    /// # let mut reader = Reader::open()?;
    /// # reader.add(&Source::memory(&ring))?;
    /// # let ended = AtomicBool::new(true);
    /// // A handler of SIGTERM sets `ended`.
    /// while !ended.load(Ordering::Relaxed) {
    ///     match reader.next_interruptible(None) {
    ///         Ok(batch) => batch.commit()?,
    ///         Err(Error::Signal | Error::Again) => {}
    ///         Err(error) => return Err(error),
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn next_interruptible(&mut self, timeout: Option<Duration>) -> Result<Batch<'_>> {
        self.fetch_due_once(timeout)?;
        Ok(self.last_batch())
    }

    /// As [`next`](Self::next), but lends up to `max` records as runs of equal ones: the cheapest way to
    /// read where records have one size. `EINVAL`: `max` is 0.
    ///
    /// ```
    /// # use rbcore::{MemoryRing, Producer, Reader, Source};
    /// # fn main() -> rbcore::Result<()> {
    /// # let ring = MemoryRing::create(65536)?;
    /// # let mut reader = Reader::open()?;
    /// # reader.add(&Source::memory(&ring))?;
    /// let producer = Producer::open(&ring)?;
    /// for number in 0..10u64 {
    ///     producer.output(&number.to_ne_bytes())?;
    /// }
    ///
    /// let spans = reader.next_spans(4096, None)?;
    /// let records = spans.iter().flat_map(|span| span.iter());
    /// let numbers = records.map(|record| u64::from_ne_bytes(record.data().try_into().unwrap()));
    /// assert_eq!(numbers.sum::<u64>(), 45);
    /// spans.commit()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn next_spans(&mut self, max: usize, timeout: Option<Duration>) -> Result<Spans<'_>> {
        go_on(timeout, |left| self.fetch_spans(max, left))?;
        Ok(self.last_spans())
    }

    /// Like [`next_spans`](Self::next_spans), but returns early as
    /// [`next_interruptible`](Self::next_interruptible) does.
    pub fn next_spans_interruptible(
        &mut self,
        max: usize,
        timeout: Option<Duration>,
    ) -> Result<Spans<'_>> {
        self.fetch_spans(max, timeout)?;
        Ok(self.last_spans())
    }

    fn fetch_spans(&mut self, max: usize, timeout: Option<Duration>) -> Result<()> {
        self.spans.resize(self.records.len(), NO_SPAN);
        (self.count, self.span_count) = (0, 0);
        let (spans, room) = (self.spans.as_mut_ptr(), self.spans.len());
        let timeout = raw_timeout(timeout);
        // SAFETY: the handle is live, and the array has room for as many spans.
        let result = unsafe {
            sys::rbcore_reader_next_spans(self.raw().as_ptr(), spans, room, max, timeout)
        };
        self.span_count = self.check(result)?.min(room);
        Ok(())
    }

    fn last_spans(&mut self) -> Spans<'_> {
        let spans = &mut self.spans[..self.span_count];
        // SAFETY: the spans were just handed out.
        unsafe { copy_shared(spans, &self.is_copied, &mut self.copies) };
        Spans::new(self)
    }

    pub(crate) fn spans(&self) -> &[sys::rbcore_span] {
        &self.spans[..self.span_count]
    }

    /// What the last fetch found.
    pub(crate) fn last_batch(&mut self) -> Batch<'_> {
        self.copy_shared();
        Batch::new(self)
    }

    /// Gives back all that was read, in batches that were dropped, too.
    ///
    /// ```
    /// # use rbcore::{MemoryRing, Producer, Reader, Source};
    /// # fn main() -> rbcore::Result<()> {
    /// # let ring = MemoryRing::create(65536)?;
    /// # let mut reader = Reader::open()?;
    /// # let index = reader.add(&Source::memory(&ring))?;
    /// # let producer = Producer::open(&ring)?;
    /// # producer.output(b"hello")?;
    /// drop(reader.read()?); // gives nothing back
    /// assert_eq!(reader.ring_stats(index)?.user_pos, 0);
    /// reader.commit()?;
    /// assert_eq!(reader.ring_stats(index)?.user_pos, 16);
    /// # Ok(())
    /// # }
    /// ```
    pub fn commit(&mut self) -> Result<()> {
        self.commit_up_to(None, 0)
    }

    /// The same, and frees the space at once. Otherwise that of the last small record of a busy ring is
    /// freed with the next call that finds another, which spares producers their wakeups.
    pub fn commit_now(&mut self) -> Result<()> {
        self.commit_up_to(None, sys::RBCORE_COMMIT_NOW)
    }

    /// Gives back all up to and with the record at this index of the last batch.
    pub(crate) fn commit_up_to(&mut self, last: Option<usize>, flags: u32) -> Result<()> {
        let last = last.map(|index| sys::rbcore_record {
            data: *self
                .originals
                .get(index)
                .unwrap_or(&self.records[index].data),
            ..self.records[index]
        });
        let last = last.as_ref().map_or(null(), |last| last as *const _);
        // SAFETY: the handle is live; last is NULL or a copy of a record.
        let result = unsafe { sys::rbcore_reader_commit(self.raw().as_ptr(), last, flags) };
        self.check(result)?;
        Ok(())
    }

    /// Copies the records of the last batch that another process may write.
    fn copy_shared(&mut self) {
        let records = &mut self.records[..self.count];
        let is_shared = |record: &sys::rbcore_record| is_set(&self.is_copied, record.ring);
        self.originals.clear();
        if records.iter().any(is_shared) {
            let data = records.iter().map(|record| record.data);
            self.originals.extend(data);
        }
        // SAFETY: the records were just handed out.
        unsafe { copy_shared(records, &self.is_copied, &mut self.copies) };
    }
}

/// Room for the records of a batch.
fn room_for(records: usize) -> Result<Vec<sys::rbcore_record>> {
    if records == 0 {
        return Err(Error::invalid("a batch has no room for records"));
    }
    let mut room = Vec::new();
    room.try_reserve_exact(records)
        .map_err(|_| Error::new(-libc::ENOMEM, "no memory for so large a batch"))?;
    room.resize(records, NO_RECORD);
    Ok(room)
}

impl<M> Reader<M> {
    /// Takes an open reader.
    pub(crate) fn from_raw(raw: Raw, batch_size: usize) -> Result<Self> {
        let owned = Owned::new(raw);
        // SAFETY: the handle was just opened.
        let fd = unsafe { sys::rbcore_reader_fd(raw.as_ptr()) };
        check(fd)?;
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

    /// Adds a ring, and returns its index. What the last reader did not give back comes again.
    ///
    /// A ring has one consumer: [`Error::Busy`] if another reader of this library has it, in
    /// whatever process. Readers of other libraries cannot be detected: use the ring by one only.
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

    /// Removes a ring. What was not read stays in it for the next reader. [`Error::Busy`] while records
    /// of it are not committed; those of leases stay valid.
    pub fn remove(&mut self, ring: u16) -> Result<()> {
        // SAFETY: the handle is live.
        let result = unsafe { sys::rbcore_reader_remove(self.raw().as_ptr(), ring.into()) };
        self.check(result)?;
        Ok(())
    }

    /// Changes the most records that a batch has. `EINVAL`: to 0; `ENOMEM`: to more than there is memory
    /// for.
    pub fn set_batch_size(&mut self, records: usize) -> Result<()> {
        self.records = room_for(records)?;
        self.count = 0;
        Ok(())
    }

    /// For other threads; there can be any number of them.
    pub fn handle(&self) -> Handle {
        self.owned.handle()
    }

    /// Figures of the reader.
    pub fn stats(&self) -> Result<ReaderStats> {
        stats::of_reader(self.raw())
    }

    /// Figures of one ring.
    pub fn ring_stats(&self, ring: u16) -> Result<RingStats> {
        stats::of_ring(self.raw(), ring)
    }

    /// What names the record at a position of a ring among all records of all machines.
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

    fn fetch_by(&mut self, read: Read) -> Result<usize> {
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

    /// The same, but returns early for what is not an error to [`go_on`].
    pub(crate) fn fetch_due_once(&mut self, timeout: Option<Duration>) -> Result<usize> {
        let (records, max) = (self.records.as_mut_ptr(), self.records.len());
        let timeout = raw_timeout(timeout);
        // SAFETY: as in fetch_by.
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

    /// A count, or the error with the library's message: of a call for which we have the handle by &mut, or
    /// the lock.
    pub(crate) fn check(&self, result: c_int) -> Result<usize> {
        usize::try_from(result).map_err(|_| {
            if result == -libc::ECHILD {
                return Error::new(result, ""); // the message is of an error before the fork
            }
            // SAFETY: the handle is live, and nobody else makes a call that changes the string.
            let message =
                unsafe { CStr::from_ptr(sys::rbcore_reader_message(self.raw().as_ptr())) };
            Error::new(result, &message.to_string_lossy())
        })
    }
}

impl<M> AsFd for Reader<M> {
    /// For event loops. When it is readable, call [`Reader::next`] with a timeout of zero until the
    /// batch is empty; only then wait for it again.
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
