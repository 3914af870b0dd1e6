// SPDX-License-Identifier: MIT
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::{Bound, RangeBounds};
use std::ptr::null;
use std::time::Duration;

use rbcore_sys as sys;

use crate::copies::{copy_shared, is_set, shared_words};
use crate::error::{Error, Result};
use crate::snapshot::SNAPSHOT_HEADER_SIZE;
use crate::{Identity, Reader, Snapshot};

pub(crate) const LOST_BEFORE: u16 = sys::RBCORE_RECORD_LOST_BEFORE as u16;

/// Records that a [`Reader`] lends. See [the crate](crate) for what happens to them.
#[must_use = "a batch that is dropped gives nothing back"]
pub struct Batch<'r> {
    reader: &'r mut Reader,
    first: usize,
}

impl<'r> Batch<'r> {
    pub(crate) fn new(reader: &'r mut Reader) -> Self {
        Self { reader, first: 0 }
    }

    fn raw(&self) -> &[sys::rbcore_record] {
        &self.reader.records[self.first..self.reader.count]
    }

    /// The number of its records.
    pub fn len(&self) -> usize {
        self.raw().len()
    }

    /// Tells whether there was nothing to read.
    pub fn is_empty(&self) -> bool {
        self.raw().is_empty()
    }

    /// The record at an index.
    pub fn get(&self, index: usize) -> Option<Record<'_>> {
        self.raw().get(index).map(Record::new)
    }

    /// Its records, in the order in which each ring has them.
    pub fn iter(&self) -> Records<'_> {
        Records(self.raw().iter())
    }

    /// Gives back all its records (and those of batches that were dropped before).
    pub fn commit(self) -> Result<()> {
        self.reader.commit()
    }

    /// Commits like [`commit`](Self::commit), and frees the space at once: see
    /// [`Reader::commit_now`].
    pub fn commit_now(self) -> Result<()> {
        self.reader.commit_now()
    }

    /// Gives back the first `count` records (and those of batches that were dropped before). The
    /// batch then begins behind them.
    ///
    /// ```
    /// # use rbcore::{MemoryRing, Producer, Reader, Source};
    /// # fn main() -> rbcore::Result<()> {
    /// # let ring = MemoryRing::create(65536)?;
    /// # let mut reader = Reader::open()?;
    /// # reader.add(&Source::memory(&ring))?;
    /// # let producer = Producer::open(&ring)?;
    /// producer.output(b"first")?;
    /// producer.output(b"second")?;
    ///
    /// let mut batch = reader.read()?;
    /// batch.commit_first(1)?; // the next reader, after a crash, begins with the second
    /// assert_eq!(batch.get(0).unwrap().data(), b"second");
    /// # Ok(())
    /// # }
    /// ```
    pub fn commit_first(&mut self, count: usize) -> Result<()> {
        if count > self.len() {
            return Err(Error::invalid("the batch has less records than that"));
        }
        if count > 0 {
            let last = self.first + count - 1;
            self.reader.commit_up_to(Some(last), 0)?;
            self.first += count;
        }
        Ok(())
    }

    /// Copies all complete records that a ring holds, including these: see [`Reader::snapshot`].
    pub fn snapshot(&self, ring: u16) -> Result<Snapshot> {
        self.reader.snapshot(ring)
    }

    /// Describes some of its records as a snapshot, without copying them. Header and content,
    /// written one after the other, are a file as [`Snapshot::save`] writes it. The records are of
    /// one ring. What lies between the first and the last one is part of the content.
    ///
    /// ```
    /// # use rbcore::{MemoryRing, Producer, Reader, Snapshot, Source};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ring = MemoryRing::create(65536)?;
    /// # let mut reader = Reader::open()?;
    /// # reader.add(&Source::memory(&ring))?;
    /// # let producer = Producer::open(&ring)?;
    /// # producer.output(b"first")?;
    /// # producer.output(b"second")?;
    /// # let path = std::env::temp_dir().join(format!("rbcore-doc-header-{}", std::process::id()));
    /// use std::fs::File;
    /// use std::io::Write;
    ///
    /// let batch = reader.read()?;
    /// let (header, content) = batch.snapshot_header(..)?;
    /// let mut file = File::create(&path)?;
    /// file.write_all(&header)?;
    /// file.write_all(&content)?;
    /// batch.commit()?;
    ///
    /// let mut loaded = Snapshot::load(File::open(&path)?)?.unwrap();
    /// assert_eq!(loaded.records().count(), 2);
    /// # std::fs::remove_file(path)?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// The content of a memory ring is a copy, like its records, unless the program vouched for the
    /// ring. If another process changes it meanwhile, the file's checksum is wrong.
    ///
    /// `EINVAL`: the batch does not have these records, or they are of several rings.
    /// [`Error::Corrupt`]: between them is a record that a dead producer left unfinished, or one
    /// that no producer writes. Each record can be described by itself then.
    pub fn snapshot_header(
        &self,
        records: impl RangeBounds<usize>,
    ) -> Result<([u8; SNAPSHOT_HEADER_SIZE], Cow<'_, [u8]>)> {
        let (first, last) = ends_of(records, self.len())
            .ok_or_else(|| Error::invalid("the batch does not have these records"))?;
        self.reader.describe(self.first + first, self.first + last)
    }

    /// Identifies a record among all records of all machines.
    pub fn identity(&self, record: &Record<'_>) -> Result<Identity> {
        self.reader.identity(record.ring(), record.position())
    }
}

/// The first and the last index of a range that is not empty, and within so many.
fn ends_of(range: impl RangeBounds<usize>, len: usize) -> Option<(usize, usize)> {
    let first = match range.start_bound() {
        Bound::Included(&first) => first,
        Bound::Excluded(&before) => before.checked_add(1)?,
        Bound::Unbounded => 0,
    };
    let last = match range.end_bound() {
        Bound::Included(&last) => last,
        Bound::Excluded(&end) => end.checked_sub(1)?,
        Bound::Unbounded => len.checked_sub(1)?,
    };
    (first <= last && last < len).then_some((first, last))
}

impl Reader {
    /// Reads what is there, without waiting. The batch is empty if there is nothing.
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

    /// Reads what is there, like [`read`](Self::read), but leaves
    /// [`as_fd`](std::os::fd::AsFd::as_fd) as it is and promises no wakeup: for loops that do not
    /// wait.
    pub fn look(&mut self) -> Result<Batch<'_>> {
        self.fetch_by(sys::rbcore_reader_look)?;
        Ok(self.last_batch())
    }

    /// Waits until records are due, at most for the timeout (`None`: without end), then reads. The
    /// batch is empty if the time is up. In a paced ring several records are due together: see
    /// [`ReaderBuilder::max_latency`](crate::ReaderBuilder::max_latency).
    ///
    /// Neither a signal nor stopping and continuing the process (Ctrl-Z and `fg`, a debugger, a
    /// frozen container) ends the wait: it goes on with what is left of the timeout. To end a loop
    /// on a signal, call [`Handle::flush`](crate::Handle::flush) or
    /// [`Handle::shutdown`](crate::Handle::shutdown) in the thread that handles signals, or read
    /// with [`next_interruptible`](Self::next_interruptible).
    ///
    /// Discarded records are skipped, however many there are. That may take longer than the
    /// timeout.
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

    /// Reads like [`next`](Self::next), but returns [`Error::Signal`] when this thread caught a
    /// signal or the process was stopped and continued, and [`Error::Again`] when the time is up
    /// and only discarded records were found so far. Nothing is lost in either case: call again.
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

    /// Returns what the last fetch found.
    pub(crate) fn last_batch(&mut self) -> Batch<'_> {
        self.copy_shared();
        Batch::new(self)
    }

    /// Gives back all that was read, including batches that were dropped.
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

    /// Commits like [`commit`](Self::commit), and frees the space at once. Otherwise the space of
    /// the last small record of a paced ring may be freed only with the next call that finds a
    /// record, which spares producers wakeups.
    pub fn commit_now(&mut self) -> Result<()> {
        self.commit_up_to(None, sys::RBCORE_COMMIT_NOW)
    }

    /// Gives back all up to and including the record at this index of the last batch.
    pub(crate) fn commit_up_to(&mut self, last: Option<usize>, flags: u32) -> Result<()> {
        let last = last.map(|index| self.original(index));
        let last = last.as_ref().map_or(null(), |last| last as *const _);
        // SAFETY: the handle is live; last is NULL or a copy of a record.
        let result = unsafe { sys::rbcore_reader_commit(self.raw().as_ptr(), last, flags) };
        self.check(result)?;
        Ok(())
    }

    /// The record at this index of the last batch, as the library handed it out.
    fn original(&self, index: usize) -> sys::rbcore_record {
        sys::rbcore_record {
            data: *self
                .originals
                .get(index)
                .unwrap_or(&self.records[index].data),
            ..self.records[index]
        }
    }

    /// Describes the records at these indexes of the last batch, and those between.
    fn describe(
        &self,
        first: usize,
        last: usize,
    ) -> Result<([u8; SNAPSHOT_HEADER_SIZE], Cow<'_, [u8]>)> {
        let _one_at_a_time = self.lock();
        let (first, last) = (self.original(first), self.original(last));
        let mut header = [0; SNAPSHOT_HEADER_SIZE];
        let mut content = sys::rbcore_slice {
            data: null(),
            size: 0,
        };
        // SAFETY: the handle is live, and while it is borrowed only calls that wait for each other
        // use it as the reading thread would. The header has room.
        let result = unsafe {
            let (reader, header) = (self.raw().as_ptr(), header.as_mut_ptr().cast());
            sys::rbcore_reader_snapshot_header(reader, &first, &last, header, &mut content)
        };
        self.check(result)?;
        // SAFETY: the first record is not given back before the borrow of the reader ends.
        let content = unsafe { self.lend(first.ring, content) };
        Ok((header, content))
    }

    /// Lends what lies in a ring, or a copy of it if another process may write there.
    ///
    /// # Safety
    /// It is whole records that were handed out, and those between, and they are not given back
    /// before the borrow of the reader ends.
    unsafe fn lend(&self, ring: u16, content: sys::rbcore_slice) -> Cow<'_, [u8]> {
        if !self.is_copied(ring) {
            // SAFETY: the caller promises that it lives. It does not change, as a record's data.
            let data = unsafe { std::slice::from_raw_parts(content.data.cast(), content.size) };
            return Cow::Borrowed(data);
        }
        let mut copy = Vec::with_capacity(content.size);
        // SAFETY: the caller promises it. Records with their headers are whole words.
        for word in unsafe { shared_words(content.data, content.size) } {
            copy.extend_from_slice(&word.to_ne_bytes());
        }
        Cow::Owned(copy)
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

impl<'b> IntoIterator for &'b Batch<'_> {
    type Item = Record<'b>;
    type IntoIter = Records<'b>;

    fn into_iter(self) -> Records<'b> {
        self.iter()
    }
}

impl fmt::Debug for Batch<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

/// The records of a [`Batch`].
#[derive(Clone, Debug)]
pub struct Records<'b>(std::slice::Iter<'b, sys::rbcore_record>);

impl<'b> Iterator for Records<'b> {
    type Item = Record<'b>;

    #[inline]
    fn next(&mut self) -> Option<Record<'b>> {
        self.0.next().map(Record::new)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl ExactSizeIterator for Records<'_> {}

impl DoubleEndedIterator for Records<'_> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.0.next_back().map(Record::new)
    }
}

impl std::iter::FusedIterator for Records<'_> {}

/// A record of a [`Batch`].
#[derive(Clone, Copy)]
pub struct Record<'b> {
    raw: sys::rbcore_record,
    batch: PhantomData<&'b [u8]>,
}

// SAFETY: a shared slice and numbers.
unsafe impl Send for Record<'_> {}
// SAFETY: a shared slice and numbers.
unsafe impl Sync for Record<'_> {}

impl<'b> Record<'b> {
    #[inline]
    fn new(raw: &'b sys::rbcore_record) -> Self {
        // SAFETY: the batch lends the record.
        unsafe { Self::from_raw(*raw) }
    }

    /// # Safety
    /// Its data stays valid and unchanged for 'b.
    #[inline]
    pub(crate) unsafe fn from_raw(raw: sys::rbcore_record) -> Self {
        Self {
            raw,
            batch: PhantomData,
        }
    }

    /// Returns its bytes, as many as the producer reserved. They are aligned to 8.
    #[inline]
    pub fn data(&self) -> &'b [u8] {
        // SAFETY: the record is not given back before 'b ends. Until then it does not change: it is
        // in a BPF map, or it is a copy, or the program vouched for the ring.
        unsafe { std::slice::from_raw_parts(self.raw.data.cast(), self.raw.size as usize) }
    }

    /// The index of its ring.
    #[inline]
    pub fn ring(&self) -> u16 {
        self.raw.ring
    }

    /// Tells whether records before it were lost: overwritten before they could be read, or, with a
    /// tap, freed and used again. [`RingStats::lost_bytes`](crate::RingStats) counts them.
    #[inline]
    pub fn follows_loss(&self) -> bool {
        self.raw.flags & LOST_BEFORE != 0
    }

    /// The position of its header: its identity among the ring's records.
    #[inline]
    pub fn position(&self) -> u64 {
        self.raw.position
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("ring", &self.ring())
            .field("position", &self.position())
            .field("data", &self.data())
            .finish()
    }
}
