// SPDX-License-Identifier: MIT
use std::ffi::c_void;
use std::io::{self, IoSlice};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::time::Duration;

use rbcore_sys as sys;

use crate::error::{Error, Result, check};
use crate::wait::{go_on, raw_timeout};
use crate::{MemoryRing, Source};

/// Says whether a record wakes the reader.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wakeup {
    /// The reader is woken if it had given back all records before this one, as in the kernel.
    #[default]
    Adaptive,
    /// The reader is never woken: the record is read with a later one, or by a flush.
    Never,
    /// The reader is always woken, even if it still has records.
    Force,
}

impl Wakeup {
    fn flags(self) -> u32 {
        match self {
            Wakeup::Adaptive => 0,
            Wakeup::Never => sys::RBCORE_NO_WAKEUP,
            Wakeup::Force => sys::RBCORE_FORCE_WAKEUP,
        }
    }
}

/// Writes records into a memory ring, or into a user ring: a map of type BPF_MAP_TYPE_USER_RINGBUF,
/// which BPF programs drain with bpf_user_ringbuf_drain() when they run. Any number of threads may
/// share a producer.
#[derive(Debug)]
pub struct Producer {
    raw: NonNull<sys::rbcore_producer>,
}

// SAFETY: several threads may call all functions but _free at once (rbcore.h), and _free has the
// only reference.
unsafe impl Send for Producer {}
// SAFETY: several threads may call all functions but _free at once.
unsafe impl Sync for Producer {}

impl Producer {
    /// Opens a producer of the ring. A ring has at most 64 of them, over all processes.
    pub fn open(ring: &MemoryRing) -> Result<Self> {
        Self::open_source(&Source::memory(ring))
    }

    /// Opens a producer like [`open`](Self::open), also for a user ring: a [`Source::map`],
    /// [`Source::path`] or [`Source::map_id`]. A user ring has one producer at a time:
    /// [`Error::Busy`] if another one has it.
    pub fn open_source(source: &Source<'_>) -> Result<Self> {
        let source = source.to_raw()?;
        let mut raw = std::ptr::null_mut();
        // SAFETY: both pointers are live, and the source's fields are those of its kind.
        check("rbcore_producer_open", unsafe {
            sys::rbcore_producer_open(&mut raw, &source.raw)
        })?;
        match NonNull::new(raw) {
            Some(raw) => Ok(Self { raw }),
            None => Err(Error::invalid("the library made nothing")),
        }
    }

    /// Reserves a record of `size` bytes, to be filled and then submitted or discarded. Until then
    /// the reader stops before it. [`Error::Full`] if there is no room.
    ///
    /// ```
    /// use std::io::Write;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ring = rbcore::MemoryRing::create(4096)?;
    /// # let producer = rbcore::Producer::open(&ring)?;
    /// let mut reservation = producer.reserve(16)?;
    /// write!(reservation, "number {}", 7)?;
    /// reservation.submit()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn reserve(&self, size: usize) -> Result<Reservation<'_>> {
        let mut data = std::ptr::null_mut();
        // SAFETY: the handle lives as long as self.
        let result = unsafe { sys::rbcore_producer_reserve(self.raw.as_ptr(), &mut data, size) };
        check("rbcore_producer_reserve", result).map_err(full)?;
        self.reservation(data, size)
    }

    /// Reserves like [`reserve`](Self::reserve), but waits for room if the ring is full: at most
    /// for `timeout`, or without end if that is `None`. In a user ring a drain ends the wait.
    /// Signals do not end it: see [`Reader::next`](crate::Reader::next). [`Error::Full`]: the time
    /// is up. The record does not count as lost.
    ///
    /// ```
    /// # fn main() -> rbcore::Result<()> {
    /// # let ring = rbcore::MemoryRing::create(4096)?;
    /// # let producer = rbcore::Producer::open(&ring)?;
    /// let mut reservation = producer.reserve_wait(16, None)?;
    /// reservation.put(0, b"hello")?;
    /// reservation.submit()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn reserve_wait(&self, size: usize, timeout: Option<Duration>) -> Result<Reservation<'_>> {
        go_on(timeout, |left| self.reserve_wait_interruptible(size, left))
    }

    /// Reserves like [`reserve_wait`](Self::reserve_wait), but returns [`Error::Signal`] when this
    /// thread caught a signal, or the process was stopped and continued, while it slept. Nothing
    /// was reserved then: call again. (A signal that comes between two looks at the ring goes
    /// unnoticed: use short timeouts.)
    pub fn reserve_wait_interruptible(
        &self,
        size: usize,
        timeout: Option<Duration>,
    ) -> Result<Reservation<'_>> {
        let mut data = std::ptr::null_mut();
        let timeout = raw_timeout(timeout);
        // SAFETY: the handle lives as long as self.
        let result = unsafe {
            sys::rbcore_producer_reserve_wait(self.raw.as_ptr(), &mut data, size, timeout)
        };
        check("rbcore_producer_reserve_wait", result).map_err(full)?;
        self.reservation(data, size)
    }

    fn reservation(&self, data: *mut c_void, size: usize) -> Result<Reservation<'_>> {
        match NonNull::new(data.cast()) {
            Some(data) => Ok(Reservation {
                producer: self,
                data,
                size,
                written: 0,
            }),
            None => Err(Error::invalid("the library made nothing")),
        }
    }

    /// Writes a whole record. [`Error::Full`] if there is no room.
    ///
    /// ```
    /// use rbcore::{Error, MemoryRing, Producer};
    ///
    /// # fn main() -> rbcore::Result<()> {
    /// let ring = MemoryRing::create(4096)?;
    /// let producer = Producer::open(&ring)?;
    /// let mut written = 0;
    /// while producer.output(b"hello").is_ok() {
    ///     written += 1;
    /// }
    /// assert_eq!(written, 255); // 16 bytes each, with their headers; a byte is always left
    /// assert_eq!(producer.output(b"hello"), Err(Error::Full));
    /// # Ok(())
    /// # }
    /// ```
    pub fn output(&self, data: &[u8]) -> Result<()> {
        self.output_with(data, Wakeup::Adaptive)
    }

    /// Writes like [`output`](Self::output), and says whether the record wakes the reader.
    pub fn output_with(&self, data: &[u8], wakeup: Wakeup) -> Result<()> {
        // SAFETY: the handle lives as long as self; the data is read during the call only.
        let result = unsafe {
            sys::rbcore_producer_output(
                self.raw.as_ptr(),
                data.as_ptr().cast(),
                data.len(),
                wakeup.flags(),
            )
        };
        check("rbcore_producer_output", result).map_err(full)?;
        Ok(())
    }

    /// Writes records in a row: none of another thread comes between them, and the reader is woken
    /// at most once. That costs less than as many calls of [`output`](Self::output). It returns how
    /// many were written, beginning with the first: fewer than all if the next one did not fit or
    /// is at fault. The others do not count as lost. It is an error if none was written.
    ///
    /// ```
    /// use std::io::IoSlice;
    ///
    /// # fn main() -> rbcore::Result<()> {
    /// # let ring = rbcore::MemoryRing::create(4096)?;
    /// # let producer = rbcore::Producer::open(&ring)?;
    /// let records = [IoSlice::new(b"hello"), IoSlice::new(b"world")];
    /// assert_eq!(producer.output_batch(&records)?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn output_batch(&self, records: &[IoSlice<'_>]) -> Result<usize> {
        self.output_batch_with(records, Wakeup::Adaptive)
    }

    /// Writes like [`output_batch`](Self::output_batch), and says whether the records wake the
    /// reader.
    pub fn output_batch_with(&self, records: &[IoSlice<'_>], wakeup: Wakeup) -> Result<usize> {
        // SAFETY: the handle lives as long as self; an IoSlice is laid out like struct iovec, and
        // so is rbcore_slice (rbcore.h). They and the data are read during the call only.
        let result = unsafe {
            sys::rbcore_producer_output_batch(
                self.raw.as_ptr(),
                records.as_ptr().cast(),
                records.len(),
                wakeup.flags(),
            )
        };
        check("rbcore_producer_output_batch", result).map_err(full)
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        // SAFETY: the handle is not used any more, because reservations borrow it.
        unsafe { sys::rbcore_producer_free(self.raw.as_ptr()) };
    }
}

fn full(error: Error) -> Error {
    match error {
        Error::Again => Error::Full,
        other => other,
    }
}

/// A record that is being written: by [`io::Write`] from its beginning, or by [`put`](Self::put)
/// anywhere. Bytes that are not written keep what the ring held there. If it is dropped, the record
/// is discarded.
#[derive(Debug)]
#[must_use = "a reservation that is dropped is discarded"]
pub struct Reservation<'p> {
    producer: &'p Producer,
    data: NonNull<u8>,
    size: usize,
    written: usize,
}

// SAFETY: a reserved record may be written and submitted by any thread.
unsafe impl Send for Reservation<'_> {}

impl Reservation<'_> {
    /// The size that was reserved.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Writes `bytes` from `offset` on. It is an error if they go beyond the end.
    pub fn put(&mut self, offset: usize, bytes: &[u8]) -> Result<()> {
        if offset > self.size || bytes.len() > self.size - offset {
            return Err(Error::invalid("the bytes go beyond the reserved record"));
        }
        // SAFETY: these are reserved bytes, which only this reservation writes. No reference to
        // them is made, because another process could be reading them.
        unsafe {
            let to = self.data.as_ptr().add(offset);
            std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
        }
        Ok(())
    }

    /// The reserved bytes, to be written in place.
    ///
    /// # Safety
    /// No other process or thread may write or read them through the ring's descriptors.
    pub unsafe fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: `size` bytes were reserved at `data`, and the caller promises that they are not
        // shared.
        unsafe { std::slice::from_raw_parts_mut(self.data.as_ptr(), self.size) }
    }

    /// Hands the record to the reader.
    pub fn submit(self) -> Result<()> {
        self.submit_with(Wakeup::Adaptive)
    }

    /// Submits like [`submit`](Self::submit), and says whether the record wakes the reader.
    pub fn submit_with(self, wakeup: Wakeup) -> Result<()> {
        self.finish(sys::rbcore_producer_submit, wakeup)
    }

    /// Gives the record up. The reader skips it.
    pub fn discard(self) -> Result<()> {
        self.discard_with(Wakeup::Adaptive)
    }

    /// Discards like [`discard`](Self::discard), and says whether the record wakes the reader.
    pub fn discard_with(self, wakeup: Wakeup) -> Result<()> {
        self.finish(sys::rbcore_producer_discard, wakeup)
    }

    fn finish(self, how: Finish, wakeup: Wakeup) -> Result<()> {
        let this = ManuallyDrop::new(self);
        let data = this.data.as_ptr().cast();
        // SAFETY: this producer reserved it, and it is finished once: self is consumed.
        let result = unsafe { how(this.producer.raw.as_ptr(), data, wakeup.flags()) };
        check("rbcore_producer_submit", result)?;
        Ok(())
    }
}

type Finish = unsafe extern "C" fn(*mut sys::rbcore_producer, *mut c_void, u32) -> i32;

impl io::Write for Reservation<'_> {
    /// Writes behind what was written before. Returns 0 at the end of the record.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.size - self.written);
        self.put(self.written, &bytes[..count])?;
        self.written += count;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Reservation<'_> {
    fn drop(&mut self) {
        let data = self.data.as_ptr().cast();
        // SAFETY: this producer reserved it and has not finished it: that would have forgotten
        // self. It can only fail in a forked child, where the record is the parent's.
        unsafe { sys::rbcore_producer_discard(self.producer.raw.as_ptr(), data, 0) };
    }
}
