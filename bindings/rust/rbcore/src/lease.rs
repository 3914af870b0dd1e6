// SPDX-License-Identifier: MIT
use std::fmt;
use std::ops::Deref;
use std::time::Duration;

use rbcore_sys as sys;

use crate::Reader;
use crate::copies::shared_words;
use crate::error::Result;
use crate::raw::Raw;
use crate::reader::Leased;

/// A reader whose records are given back one by one, in any order, from any thread. Opened by
/// [`ReaderBuilder::open_leasing`](crate::ReaderBuilder::open_leasing).
pub type LeaseReader = Reader<Leased>;

impl Reader<Leased> {
    /// Reads what is there, without waiting.
    pub fn read(&mut self) -> Result<Leases<'_>> {
        self.fetch()?;
        Ok(Leases::new(self))
    }

    /// Waits until records are due, at most for the timeout (`None`: without end), then reads.
    /// There are no leases if the time is up. Signals do not end the wait: see [`Reader::next`].
    ///
    /// A loop that is left early loses the rest of its batch: leases that are not taken from the
    /// iterator are given back when it is dropped. Take them all, or use batches of one record
    /// ([`batch_size`](crate::ReaderBuilder::batch_size)).
    ///
    /// ```
    /// use rbcore::{MemoryRing, Producer, Reader, Source};
    ///
    /// # fn main() -> rbcore::Result<()> {
    /// let ring = MemoryRing::create(65536)?;
    /// Producer::open(&ring)?.output(b"hello")?;
    /// let mut reader = Reader::builder().open_leasing()?;
    /// reader.add(&Source::memory(&ring))?;
    ///
    /// for lease in reader.next(None)? {
    ///     let worker = std::thread::spawn(move || {
    ///         assert_eq!(lease.data(), b"hello");
    ///     }); // dropped there: the record is given back
    ///     worker.join().unwrap();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn next(&mut self, timeout: Option<Duration>) -> Result<Leases<'_>> {
        self.fetch_due(timeout)?;
        Ok(Leases::new(self))
    }

    /// Reads like [`next`](Self::next), but returns early: see
    /// [`Reader::next_interruptible`](Reader::next_interruptible).
    pub fn next_interruptible(&mut self, timeout: Option<Duration>) -> Result<Leases<'_>> {
        self.fetch_due_once(timeout)?;
        Ok(Leases::new(self))
    }
}

/// An iterator over [`Lease`]s. Those that are not taken are given back when it is dropped.
#[derive(Debug)]
pub struct Leases<'r> {
    reader: &'r mut LeaseReader,
    first: usize,
}

impl<'r> Leases<'r> {
    pub(crate) fn new(reader: &'r mut LeaseReader) -> Self {
        Self { reader, first: 0 }
    }
}

impl LeaseReader {
    /// Returns the lease of a record of the last fetch. It is called once for each record.
    fn lease(&self, index: usize) -> Option<Lease> {
        let record = *self.records[..self.count].get(index)?;
        let copy = self.is_copied(record.ring).then(|| {
            // SAFETY: the record was handed out, and only its lease gives it back.
            unsafe { shared_words(record.data, record.size as usize) }.collect()
        });
        Some(Lease {
            record,
            reader: *self.raw(),
            copy,
        })
    }

    /// Gives back what was fetched and not leased, from this index on.
    fn release_from(&mut self, first: usize) {
        let rest = &self.records[first..self.count];
        if !rest.is_empty() {
            // SAFETY: the records were handed out, and there is no lease of them.
            unsafe { sys::rbcore_reader_release(self.raw().as_ptr(), rest.as_ptr(), rest.len()) };
        }
        self.count = 0;
    }
}

impl Iterator for Leases<'_> {
    type Item = Lease;

    fn next(&mut self) -> Option<Lease> {
        let lease = self.reader.lease(self.first)?;
        self.first += 1;
        Some(lease)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.reader.count - self.first;
        (left, Some(left))
    }
}

impl ExactSizeIterator for Leases<'_> {}

impl Drop for Leases<'_> {
    fn drop(&mut self) {
        self.reader.release_from(self.first);
    }
}

/// A record that belongs to the owner of the lease, in any thread. `*lease` is its bytes. When the
/// lease is dropped, the record goes back to the ring.
#[must_use = "a lease that is dropped gives the record back"]
pub struct Lease {
    record: sys::rbcore_record,
    reader: Raw,
    copy: Option<Box<[u64]>>,
}

// SAFETY: a record may be released by any thread; its bytes are only read.
unsafe impl Send for Lease {}
// SAFETY: by & it is a shared slice.
unsafe impl Sync for Lease {}

impl Lease {
    /// The index of its ring.
    pub fn ring(&self) -> u16 {
        self.record.ring
    }

    /// The position of its header: its identity among the ring's records.
    pub fn position(&self) -> u64 {
        self.record.position
    }

    /// Returns its bytes, as many as the producer reserved. They are aligned to 8.
    pub fn data(&self) -> &[u8] {
        let data = match &self.copy {
            Some(copy) => copy.as_ptr().cast(),
            None => self.record.data.cast(),
        };
        // SAFETY: the mapping lives, and the record is not written, until it was released. A copy
        // has all its bytes, rounded up to words.
        unsafe { std::slice::from_raw_parts(data, self.record.size as usize) }
    }
}

impl Deref for Lease {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.data()
    }
}

impl AsRef<[u8]> for Lease {
    fn as_ref(&self) -> &[u8] {
        self.data()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // SAFETY: each record has one lease, so it is released once; until then the library keeps
        // what that needs, also after the reader was freed. It fails only in a forked child, where
        // the record is the parent's.
        unsafe { sys::rbcore_reader_release(self.reader.as_ptr(), &self.record, 1) };
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("ring", &self.ring())
            .field("position", &self.position())
            .field("data", &self.data())
            .finish()
    }
}
