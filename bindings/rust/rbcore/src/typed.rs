// SPDX-License-Identifier: MIT
//! Records as values of a type, in place.

use zerocopy::error::CastError;
use zerocopy::{FromBytes, Immutable, KnownLayout};

use crate::error::{Error, Result};
use crate::{Batch, Lease, Record, Span};

impl<'b> Record<'b> {
    /// Returns its data as a `T`, in place. This needs the feature `zerocopy`. Bytes after the `T`
    /// are ignored, so that records may grow.
    ///
    /// [`Error::Mismatch`]: the record is shorter than a `T`, or its data is not aligned as `T`
    /// requires, which happens only where that is more than 8 bytes.
    ///
    /// ```
    /// # use rbcore::{MemoryRing, Producer, Reader, Source};
    /// use zerocopy::{FromBytes, Immutable, KnownLayout};
    ///
    /// #[derive(FromBytes, Immutable, KnownLayout)]
    /// #[repr(C)] // as the struct of the BPF program
    /// struct Event {
    ///     pid: u32,
    ///     cpu: u32,
    /// }
    ///
    /// # fn main() -> rbcore::Result<()> {
    /// # let ring = MemoryRing::create(65536)?;
    /// # let mut reader = Reader::open()?;
    /// # reader.add(&Source::memory(&ring))?;
    /// # Producer::open(&ring)?.output(&[0; 8])?;
    /// let batch = reader.next(None)?;
    /// for record in &batch {
    ///     let event: &Event = record.data_as()?;
    ///     println!("process {} on CPU {}", event.pid, event.cpu);
    /// }
    /// batch.commit()?;
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn data_as<T>(&self) -> Result<&'b T>
    where
        T: FromBytes + KnownLayout + Immutable,
    {
        typed(self.data())
    }
}

impl Lease {
    /// Returns its data as a `T`, in place: see [`Record::data_as`].
    #[inline]
    pub fn data_as<T>(&self) -> Result<&T>
    where
        T: FromBytes + KnownLayout + Immutable,
    {
        typed(self.data())
    }
}

impl Batch<'_> {
    /// The data of each record as a `T`: see [`Record::data_as`]. A record that fails does not end
    /// the iterator.
    ///
    /// ```
    /// # use rbcore::{Error, MemoryRing, Producer, Reader, Source};
    /// # fn main() -> rbcore::Result<()> {
    /// # let ring = MemoryRing::create(65536)?;
    /// # let mut reader = Reader::open()?;
    /// # reader.add(&Source::memory(&ring))?;
    /// let producer = Producer::open(&ring)?;
    /// producer.output(&7u64.to_ne_bytes())?;
    /// producer.output(b"short")?;
    ///
    /// let batch = reader.read()?;
    /// let mut numbers = batch.records::<u64>();
    /// assert_eq!(numbers.next(), Some(Ok(&7)));
    /// assert!(matches!(numbers.next(), Some(Err(Error::Mismatch(_)))));
    /// # Ok(())
    /// # }
    /// ```
    #[inline]
    pub fn records<'a, T>(&'a self) -> impl ExactSizeIterator<Item = Result<&'a T>>
    where
        T: FromBytes + KnownLayout + Immutable + 'a,
    {
        self.iter().map(|record| record.data_as())
    }
}

impl<'b> Span<'b> {
    /// The data of each record as a `T`: see [`Record::data_as`].
    #[inline]
    pub fn records<T>(&self) -> impl ExactSizeIterator<Item = Result<&'b T>>
    where
        T: FromBytes + KnownLayout + Immutable + 'b,
    {
        self.iter().map(|record| record.data_as())
    }
}

#[inline]
fn typed<T>(data: &[u8]) -> Result<&T>
where
    T: FromBytes + KnownLayout + Immutable,
{
    match T::ref_from_prefix(data) {
        Ok((value, _)) => Ok(value),
        Err(error) => Err(mismatch(&error, data.len())),
    }
}

#[cold]
fn mismatch<T>(error: &CastError<&[u8], T>, size: usize) -> Error {
    let name = std::any::type_name::<T>();
    Error::Mismatch(match error {
        CastError::Size(_) => format!("a record of {size} bytes is too short for {name}"),
        _ => format!("a record is aligned to 8 bytes, and {name} to more"),
    })
}
