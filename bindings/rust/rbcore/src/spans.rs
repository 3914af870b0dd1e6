// SPDX-License-Identifier: MIT
use std::fmt;
use std::marker::PhantomData;
use std::ptr::null;
use std::time::Duration;

use rbcore_sys as sys;

use crate::Reader;
use crate::batch::{LOST_BEFORE, Record};
use crate::copies::copy_shared;
use crate::error::Result;
use crate::wait::{go_on, raw_timeout};

const NO_SPAN: sys::rbcore_span = sys::rbcore_span {
    data: null(),
    position: 0,
    stride: 0,
    size: 0,
    count: 0,
    ring: 0,
    flags: 0,
};

/// Runs of records of one size, lent by [`Reader::next_spans`]. They are a batch of which no record
/// is written down by itself.
#[must_use = "spans that are dropped give nothing back"]
pub struct Spans<'r> {
    reader: &'r mut Reader,
}

impl<'r> Spans<'r> {
    pub(crate) fn new(reader: &'r mut Reader) -> Self {
        Self { reader }
    }

    fn raw(&self) -> &[sys::rbcore_span] {
        self.reader.spans()
    }

    /// The number of spans.
    pub fn len(&self) -> usize {
        self.raw().len()
    }

    /// Tells whether there was nothing to read.
    pub fn is_empty(&self) -> bool {
        self.raw().is_empty()
    }

    /// The spans, in the order in which each ring has them.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Span<'_>> {
        self.raw().iter().map(|raw| Span {
            raw: *raw,
            spans: PhantomData,
        })
    }

    /// Gives back all their records (and those of batches that were dropped before).
    pub fn commit(self) -> Result<()> {
        self.reader.commit()
    }
}

impl fmt::Debug for Spans<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl Reader {
    /// Reads like [`next`](Self::next), but lends up to `max` records as runs of records of one
    /// size. Where all records have one size this is the cheapest way to read. `EINVAL`: `max` is
    /// 0.
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

    /// Reads like [`next_spans`](Self::next_spans), but returns early as
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
}

/// Records of one ring that have one size and follow each other without a gap.
#[derive(Clone, Copy)]
pub struct Span<'b> {
    raw: sys::rbcore_span,
    spans: PhantomData<&'b [u8]>,
}

// SAFETY: a shared slice and numbers.
unsafe impl Send for Span<'_> {}
// SAFETY: a shared slice and numbers.
unsafe impl Sync for Span<'_> {}

impl<'b> Span<'b> {
    /// The number of records, at least 1.
    #[inline]
    pub fn count(&self) -> usize {
        self.raw.count as usize
    }

    /// Bytes of data in each record.
    #[inline]
    pub fn record_size(&self) -> usize {
        self.raw.size as usize
    }

    /// Bytes from one record to the next.
    #[inline]
    pub fn stride(&self) -> usize {
        self.raw.stride as usize
    }

    /// The index of their ring.
    #[inline]
    pub fn ring(&self) -> u16 {
        self.raw.ring
    }

    /// The position of the first record's header. The others follow at the stride.
    #[inline]
    pub fn position(&self) -> u64 {
        self.raw.position
    }

    /// Returns the bytes from the first of the first record to the last of the last one. The bytes
    /// between two records are no data.
    #[inline]
    pub fn bytes(&self) -> &'b [u8] {
        let length = (self.count() - 1) * self.stride() + self.record_size();
        // SAFETY: none of the records is given back before 'b ends. Until then they do not change:
        // they are in a BPF map, or they are copies, or the program vouched for the ring.
        unsafe { std::slice::from_raw_parts(self.raw.data.cast(), length) }
    }

    /// The record at an index.
    #[inline]
    pub fn get(&self, index: usize) -> Option<Record<'b>> {
        (index < self.count()).then(|| self.record(index))
    }

    /// The records.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'b>> {
        let span = *self;
        (0..self.count()).map(move |index| span.record(index))
    }

    #[inline]
    fn record(&self, index: usize) -> Record<'b> {
        let offset = index * self.stride();
        // SAFETY: index is below count; for the data see bytes.
        unsafe {
            Record::from_raw(sys::rbcore_record {
                data: self.raw.data.cast::<u8>().add(offset).cast(),
                position: self.raw.position.wrapping_add(offset as u64),
                size: self.raw.size,
                ring: self.raw.ring,
                flags: if index == 0 {
                    self.raw.flags
                } else {
                    self.raw.flags & !LOST_BEFORE
                },
            })
        }
    }
}

impl fmt::Debug for Span<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Span")
            .field("ring", &self.ring())
            .field("position", &self.position())
            .field("count", &self.count())
            .field("record_size", &self.record_size())
            .finish()
    }
}
