// SPDX-License-Identifier: MIT
use std::fmt;
use std::marker::PhantomData;

use rbcore_sys as sys;

use crate::Reader;
use crate::batch::{LOST_BEFORE, Record};
use crate::error::Result;

/// Runs of equal records that a [`Reader`] lends, by [`Reader::next_spans`]: a batch for records of one
/// size, of which nothing is written down one by one.
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

    /// Whether there was nothing to read.
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

/// Records of one ring that have one size and follow each other without a gap.
#[derive(Clone, Copy)]
pub struct Span<'b> {
    raw: sys::rbcore_span,
    spans: PhantomData<&'b [u8]>,
}

// SAFETY: a shared slice and numbers.
unsafe impl Send for Span<'_> {}
// SAFETY: as above.
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

    /// The position of the first record's header; the others' follow by the stride.
    #[inline]
    pub fn position(&self) -> u64 {
        self.raw.position
    }

    /// From the first record's first byte to the last one's last. What is between two records is no
    /// data.
    #[inline]
    pub fn bytes(&self) -> &'b [u8] {
        let length = (self.count() - 1) * self.stride() + self.record_size();
        // SAFETY: none of the records is given back before 'b ends, and until then nobody writes
        // there: it is the kernel's, or a copy, or somebody vouched for it.
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
