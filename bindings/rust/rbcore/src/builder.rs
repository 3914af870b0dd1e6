// SPDX-License-Identifier: MIT
use std::mem::size_of;
use std::ptr::{NonNull, null_mut};
use std::time::Duration;

use rbcore_sys as sys;

use crate::error::{Error, Result, check};
use crate::raw::Raw;
use crate::reader::Leased;
use crate::wait::nanoseconds;
use crate::{LeaseReader, Reader};

/// The options with which a reader is opened. Made by [`Reader::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder opens nothing by itself"]
pub struct ReaderBuilder {
    max_latency: Duration,
    polls: bool,
    batch_size: usize,
}

impl ReaderBuilder {
    pub(crate) fn new() -> Self {
        Self {
            max_latency: Duration::from_nanos(u64::from(sys::RBCORE_DEFAULT_MAX_LATENCY)),
            polls: false,
            batch_size: 256,
        }
    }

    /// Sets how long records of a busy ring may wait to be read together. Such a ring is paced: a
    /// timer reads it. With zero every record wakes an idle reader. The default is a millisecond,
    /// which suits a program that collects: one that has to answer sooner asks for less. Below 50
    /// microseconds no ring is ever paced.
    pub fn max_latency(mut self, latency: Duration) -> Self {
        self.max_latency = latency;
        self
    }

    /// Makes the reader look at its rings by a timer alone, once every
    /// [`max_latency`](Self::max_latency). This is for BPF programs that never wake their reader
    /// (`BPF_RB_NO_WAKEUP`).
    pub fn polling(mut self) -> Self {
        self.polls = true;
        self
    }

    /// Sets how many records a batch has at most: 256 by default. 128 to 512 are fastest. A batch
    /// takes at most a quarter of each ring, but always one record. Opening fails with `EINVAL` if
    /// this is 0, and with `ENOMEM` if there is no memory for so many.
    pub fn batch_size(mut self, records: usize) -> Self {
        self.batch_size = records;
        self
    }

    /// Opens a reader whose records are given back in order.
    pub fn open(self) -> Result<Reader> {
        self.open_as(0)
    }

    /// Opens a reader whose records are given back one by one, in any order, from any thread.
    pub fn open_leasing(self) -> Result<LeaseReader> {
        self.open_as::<Leased>(sys::RBCORE_READER_RELEASE)
    }

    fn open_as<M>(self, mode: u32) -> Result<Reader<M>> {
        let polls = if self.polls {
            sys::RBCORE_READER_POLL
        } else {
            0
        };
        let options = sys::rbcore_reader_options {
            size: size_of::<sys::rbcore_reader_options>(),
            flags: mode | polls,
            order_clock: 0,
            max_latency_ns: nanoseconds(self.max_latency),
        };
        let mut raw = null_mut();
        // SAFETY: both pointers are live.
        check("rbcore_reader_open", unsafe {
            sys::rbcore_reader_open(&mut raw, &options)
        })?;
        let raw =
            Raw::new(NonNull::new(raw).ok_or_else(|| Error::invalid("the library made nothing"))?);
        Reader::from_raw(raw, self.batch_size)
    }
}

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
}
