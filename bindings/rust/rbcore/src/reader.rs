// SPDX-License-Identifier: MIT
use std::ffi::{CStr, c_int, c_void};
use std::fmt;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::ptr::{NonNull, null, null_mut};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rbcore_sys as sys;

use crate::error::{Error, Result, check};
use crate::{Batch, Identity, ReaderStats, RingStats, Source, Spans, stats};

/// The mode of a [`Reader`] that lends batches, given back in order.
#[derive(Debug)]
pub enum InOrder {}

/// The mode of a [`LeaseReader`](crate::LeaseReader): records are given back one by one, in any order.
#[derive(Debug)]
pub enum Leased {}

/// The library's handle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw(NonNull<sys::rbcore_reader>);

// SAFETY: a handle may be used by any thread, by one at a time. What needs that is only called by
// functions of Reader and Batch that have it by &mut; the rest is for any thread (rbcore.h).
unsafe impl Send for Raw {}
// SAFETY: as above.
unsafe impl Sync for Raw {}

impl Raw {
    pub(crate) fn as_ptr(&self) -> *mut sys::rbcore_reader {
        self.0.as_ptr()
    }
}

/// What [`Handle`]s may use, as long as there is a reader; they have the lock while they do.
type Shared = RwLock<Option<Raw>>;

/// The reader's own; dropped, it closes the reader at once. A handle that is used at this moment is
/// waited for: if that closed it instead, the ring would still be taken when the drop is over.
#[derive(Debug)]
struct Owned {
    raw: Raw,
    shared: Arc<Shared>,
}

impl Drop for Owned {
    fn drop(&mut self) {
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        *shared = None;
        drop(shared);
        // SAFETY: the last use; leases have the library's word that they may be released after it.
        unsafe { sys::rbcore_reader_free(self.raw.as_ptr()) };
    }
}

/// How a reader is to be opened. Made by [`Reader::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder opens nothing by itself"]
pub struct ReaderBuilder {
    max_latency: Duration,
    polls: bool,
    batch_size: usize,
}

impl ReaderBuilder {
    /// How long records of a busy ring may wait to be read together; zero: every record wakes an
    /// idle reader. The default is 100 microseconds; below 50, rings are never taken for busy.
    pub fn max_latency(mut self, latency: Duration) -> Self {
        self.max_latency = latency;
        self
    }

    /// Looks by a timer alone, every [`max_latency`](Self::max_latency): for BPF programs that never
    /// wake their reader (`BPF_RB_NO_WAKEUP`).
    pub fn polling(mut self) -> Self {
        self.polls = true;
        self
    }

    /// The most records that a batch has; 256 by default. 128 to 512 are fastest.
    pub fn batch_size(mut self, records: usize) -> Self {
        self.batch_size = records;
        self
    }

    /// Opens a reader whose records are given back in order.
    pub fn open(self) -> Result<Reader> {
        self.open_as(0)
    }

    /// Opens a reader whose records are given back one by one, in any order, from any thread.
    pub fn open_leasing(self) -> Result<Reader<Leased>> {
        self.open_as(sys::RBCORE_READER_RELEASE)
    }

    fn open_as<M>(self, mode: u32) -> Result<Reader<M>> {
        if self.batch_size == 0 {
            return Err(Error::invalid("a batch has no room for records"));
        }
        let polls = if self.polls {
            sys::RBCORE_READER_POLL
        } else {
            0
        };
        let options = sys::rbcore_reader_options {
            size: size_of::<sys::rbcore_reader_options>(),
            flags: u64::from(mode | polls),
            max_latency_ns: nanoseconds(self.max_latency),
        };
        let mut raw = null_mut();
        // SAFETY: both pointers are live.
        check(unsafe { sys::rbcore_reader_open(&mut raw, &options) })?;
        let raw = Raw(NonNull::new(raw).ok_or_else(|| Error::invalid(""))?);
        // SAFETY: the handle was just opened.
        let fd = unsafe { sys::rbcore_reader_fd(raw.as_ptr()) };
        check(fd)?;
        Ok(Reader {
            owned: Owned {
                raw,
                shared: Arc::new(RwLock::new(Some(raw))),
            },
            fd,
            records: vec![NO_RECORD; self.batch_size],
            count: 0,
            spans: Vec::new(),
            span_count: 0,
            is_copied: Vec::new(),
            copies: Vec::new(),
            originals: Vec::new(),
            mode: PhantomData,
        })
    }
}

pub(crate) const NO_RECORD: sys::rbcore_record = sys::rbcore_record {
    data: null(),
    position: 0,
    size: 0,
    ring: 0,
    flags: 0,
};

/// Saturates: 292 years are for ever.
pub(crate) fn nanoseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

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
    mode: PhantomData<M>,
}

// SAFETY: the pointers of the records are into mappings that belong to the handle, or into `copies`.
unsafe impl<M> Send for Reader<M> {}
// SAFETY: by & only what any thread may do.
unsafe impl<M> Sync for Reader<M> {}

impl Reader {
    /// Opens a reader with the defaults, without rings.
    pub fn open() -> Result<Self> {
        Self::builder().open()
    }

    /// Options of a reader, of either mode.
    pub fn builder() -> ReaderBuilder {
        ReaderBuilder {
            max_latency: Duration::from_nanos(u64::from(sys::RBCORE_MAX_LATENCY)),
            polls: false,
            batch_size: 256,
        }
    }

    /// Reads what is there, without waiting. An empty batch: there is nothing.
    pub fn read(&mut self) -> Result<Batch<'_>> {
        self.fetch()?;
        self.copy_shared();
        Ok(Batch::new(self))
    }

    /// Reads what is there, like [`read`](Self::read), but leaves [`as_fd`](AsFd::as_fd) as it is and
    /// promises no wakeup: for loops that do not wait.
    pub fn look(&mut self) -> Result<Batch<'_>> {
        let (records, max) = (self.records.as_mut_ptr(), self.records.len());
        // SAFETY: as in fetch.
        let result = unsafe { sys::rbcore_reader_look(self.owned.raw.as_ptr(), records, max) };
        self.fetched(result)?;
        Ok(self.last_batch())
    }

    /// As [`next`](Self::next), but lends up to `max` records as runs of equal ones: the cheapest way to
    /// read where records have one size. `EINVAL`: `max` is 0.
    pub fn next_spans(&mut self, max: usize, timeout: Option<Duration>) -> Result<Spans<'_>> {
        self.spans.resize(self.records.len(), NO_SPAN);
        (self.count, self.span_count) = (0, 0);
        let (spans, room) = (self.spans.as_mut_ptr(), self.spans.len());
        let timeout = timeout.map_or(i64::from(sys::RBCORE_FOREVER), nanoseconds);
        // SAFETY: the handle is live, and the array has room for as many spans.
        let result = unsafe {
            sys::rbcore_reader_next_spans(self.owned.raw.as_ptr(), spans, room, max, timeout)
        };
        self.span_count = self.check(result)?.min(room);
        let spans = &mut self.spans[..self.span_count];
        // SAFETY: the spans were just handed out.
        unsafe { copy_shared(spans, &self.is_copied, &mut self.copies) };
        Ok(Spans::new(self))
    }

    pub(crate) fn spans(&self) -> &[sys::rbcore_span] {
        &self.spans[..self.span_count]
    }

    /// Waits until records are due, at most for the timeout (`None`: without end), then reads.
    /// An empty batch: the time is up. In a busy ring records are due together: see
    /// [`ReaderBuilder::max_latency`].
    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Batch<'_>> {
        self.fetch_due(timeout)?;
        Ok(self.last_batch())
    }

    /// What the last fetch found.
    pub(crate) fn last_batch(&mut self) -> Batch<'_> {
        self.copy_shared();
        Batch::new(self)
    }

    /// Gives back all that was read, in batches that were dropped, too.
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
        let result = unsafe { sys::rbcore_reader_commit(self.owned.raw.as_ptr(), last, flags) };
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

/// What is lent in one piece.
trait Piece {
    fn ring(&self) -> u16;
    /// Where it begins, and its bytes.
    fn extent(&mut self) -> (&mut *const c_void, u32);
}

impl Piece for sys::rbcore_record {
    fn ring(&self) -> u16 {
        self.ring
    }

    fn extent(&mut self) -> (&mut *const c_void, u32) {
        (&mut self.data, self.size)
    }
}

/// With the headers in it: spans are committed as a whole, by nobody's address.
impl Piece for sys::rbcore_span {
    fn ring(&self) -> u16 {
        self.ring
    }

    fn extent(&mut self) -> (&mut *const c_void, u32) {
        (&mut self.data, (self.count - 1) * self.stride + self.size)
    }
}

/// Copies the pieces that another process may write, so that they can be lent as `&[u8]`.
///
/// # Safety
/// The pieces are handed out and were not given back.
unsafe fn copy_shared<P: Piece>(pieces: &mut [P], is_copied: &[bool], copies: &mut Vec<u64>) {
    let is_shared = |piece: &&mut P| is_set(is_copied, piece.ring());
    copies.clear();
    for piece in pieces.iter_mut().filter(is_shared) {
        let (data, size) = piece.extent();
        // SAFETY: as the caller says.
        copies.extend(unsafe { shared_words(*data, size) });
    }
    let mut copy = copies.as_slice();
    for piece in pieces.iter_mut().filter(is_shared) {
        let (data, size) = piece.extent();
        let (words, rest) = copy.split_at(word_count(size));
        *data = words.as_ptr().cast();
        copy = rest;
    }
}

const NO_SPAN: sys::rbcore_span = sys::rbcore_span {
    data: null(),
    position: 0,
    stride: 0,
    size: 0,
    count: 0,
    ring: 0,
    flags: 0,
};

impl<M> Reader<M> {
    /// Adds a ring, and returns its index. What the last reader did not give back comes again.
    ///
    /// A ring has one consumer: [`Error::Busy`] if another reader of this library has it, in
    /// whatever process. Readers of other libraries cannot be detected: use the ring by one only.
    pub fn add(&mut self, source: &Source<'_>) -> Result<u16> {
        let raw = source.to_raw()?;
        // SAFETY: the handle is live, and so is what the source points to.
        let result = unsafe { sys::rbcore_reader_add(self.owned.raw.as_ptr(), &raw.raw) };
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
        let result = unsafe { sys::rbcore_reader_remove(self.owned.raw.as_ptr(), ring.into()) };
        self.check(result)?;
        Ok(())
    }

    /// Changes the most records that a batch has.
    pub fn set_batch_size(&mut self, records: usize) -> Result<()> {
        if records == 0 {
            return Err(Error::invalid("a batch has no room for records"));
        }
        self.count = 0;
        self.records.resize(records, NO_RECORD);
        Ok(())
    }

    /// For other threads; there can be any number of them.
    pub fn handle(&self) -> Handle {
        Handle {
            shared: Arc::clone(&self.owned.shared),
        }
    }

    /// Figures of the reader.
    pub fn stats(&self) -> Result<ReaderStats> {
        stats::of_reader(&self.owned.raw)
    }

    /// Figures of one ring.
    pub fn ring_stats(&self, ring: u16) -> Result<RingStats> {
        stats::of_ring(&self.owned.raw, ring)
    }

    /// What names the record at a position of a ring among all records of all machines.
    pub fn identity(&self, ring: u16, position: u64) -> Result<Identity> {
        stats::identity(&self.owned.raw, ring, position)
    }

    pub(crate) fn raw(&self) -> NonNull<sys::rbcore_reader> {
        self.owned.raw.0
    }

    pub(crate) fn is_copied(&self, ring: u16) -> bool {
        is_set(&self.is_copied, ring)
    }

    /// Reads, without waiting, what is there.
    pub(crate) fn fetch(&mut self) -> Result<usize> {
        let (records, max) = (self.records.as_mut_ptr(), self.records.len());
        // SAFETY: the handle is live, and the array has room for max records.
        let result = unsafe { sys::rbcore_reader_read(self.owned.raw.as_ptr(), records, max) };
        self.fetched(result)
    }

    /// Waits and reads what is due.
    pub(crate) fn fetch_due(&mut self, timeout: Option<Duration>) -> Result<usize> {
        let timeout = timeout.map_or(i64::from(sys::RBCORE_FOREVER), nanoseconds);
        let (records, max) = (self.records.as_mut_ptr(), self.records.len());
        // SAFETY: as in fetch.
        let result =
            unsafe { sys::rbcore_reader_next(self.owned.raw.as_ptr(), records, max, timeout) };
        self.fetched(result)
    }

    fn fetched(&mut self, result: c_int) -> Result<usize> {
        self.count = 0;
        self.count = self.check(result)?.min(self.records.len());
        Ok(self.count)
    }

    /// A count, or the error with the library's message.
    fn check(&mut self, result: c_int) -> Result<usize> {
        usize::try_from(result).map_err(|_| {
            if result == -libc::ECHILD {
                return Error::new(result, ""); // the message is of an error before the fork
            }
            // SAFETY: the handle is live; the string is until the next call, and we have it by &mut.
            let message =
                unsafe { CStr::from_ptr(sys::rbcore_reader_message(self.owned.raw.as_ptr())) };
            Error::new(result, &message.to_string_lossy())
        })
    }
}

fn is_set(bits: &[bool], index: u16) -> bool {
    bits.get(usize::from(index)).copied().unwrap_or(false)
}

fn word_count(size: u32) -> usize {
    (size as usize).div_ceil(8)
}

/// The words of data that another process may write at this moment, each read once.
///
/// # Safety
/// The data is that of a record or span that is handed out and was not given back, and its size.
pub(crate) unsafe fn shared_words(data: *const c_void, size: u32) -> impl Iterator<Item = u64> {
    let data: *const u64 = data.cast();
    // SAFETY: data is aligned to 8 bytes, and a record takes whole words. Volatile: the compiler must
    // not believe that what it reads stays the same.
    (0..word_count(size)).map(move |i| unsafe { data.add(i).read_volatile() })
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

/// What other threads may ask of a reader. It keeps nothing open: once the reader is gone, all it
/// says is [`Error::Shutdown`].
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// Makes the read that is running, or else the next one, return [`Error::Interrupted`], once.
    pub fn interrupt(&self) -> Result<()> {
        self.ask(sys::rbcore_reader_interrupt)
    }

    /// Delivers what is there even if no wakeup came for it, then [`Error::Flushed`], once.
    pub fn flush(&self) -> Result<()> {
        self.ask(sys::rbcore_reader_flush)
    }

    /// Ends reading: from now on [`Error::Shutdown`], in a wait that is running, too. Records can still
    /// be given back.
    pub fn shutdown(&self) -> Result<()> {
        self.ask(sys::rbcore_reader_shutdown)
    }

    /// Figures of the reader.
    pub fn stats(&self) -> Result<ReaderStats> {
        self.with(stats::of_reader)
    }

    /// Figures of one ring.
    pub fn ring_stats(&self, ring: u16) -> Result<RingStats> {
        self.with(|raw| stats::of_ring(raw, ring))
    }

    /// Uses the reader, if there is one; it is not closed meanwhile.
    fn with<T>(&self, use_it: impl FnOnce(&Raw) -> Result<T>) -> Result<T> {
        let shared = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        use_it(shared.as_ref().ok_or(Error::Shutdown)?)
    }

    fn ask(&self, what: unsafe extern "C" fn(*mut sys::rbcore_reader) -> c_int) -> Result<()> {
        // SAFETY: the handle is live, and these are for any thread.
        self.with(|raw| check(unsafe { what(raw.as_ptr()) }))?;
        Ok(())
    }
}
