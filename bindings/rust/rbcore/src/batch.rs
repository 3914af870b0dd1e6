// SPDX-License-Identifier: MIT
use std::fmt;
use std::marker::PhantomData;

use rbcore_sys as sys;

use crate::error::{Error, Result};
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

    /// Whether there was nothing to read.
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

    /// The same, and frees the space at once: see [`Reader::commit_now`].
    pub fn commit_now(self) -> Result<()> {
        self.reader.commit_now()
    }

    /// Gives back the first `count` records (and those of batches that were dropped before); the batch
    /// begins behind them from now on.
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

    /// Copies all complete records that a ring holds, these among them: see [`Reader::snapshot`].
    pub fn snapshot(&self, ring: u16) -> Result<Snapshot> {
        self.reader.snapshot(ring)
    }

    /// What names a record among all records of all machines.
    pub fn identity(&self, record: &Record<'_>) -> Result<Identity> {
        self.reader.identity(record.ring(), record.position())
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
// SAFETY: as above.
unsafe impl Sync for Record<'_> {}

impl<'b> Record<'b> {
    #[inline]
    fn new(raw: &'b sys::rbcore_record) -> Self {
        // SAFETY: lent by the batch.
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

    /// Its bytes, as many as the producer reserved; aligned to 8.
    #[inline]
    pub fn data(&self) -> &'b [u8] {
        // SAFETY: the record is not given back before 'b ends, and until then nobody writes it: it is
        // the kernel's, or a copy, or somebody vouched for it.
        unsafe { std::slice::from_raw_parts(self.raw.data.cast(), self.raw.size as usize) }
    }

    /// The index of its ring.
    #[inline]
    pub fn ring(&self) -> u16 {
        self.raw.ring
    }

    /// Whether records before it were lost: overwritten before they could be read, or freed and used
    /// again beside a tap. [`RingStats::lost_bytes`](crate::RingStats) counts them.
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
