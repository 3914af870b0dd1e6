// SPDX-License-Identifier: MIT
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::ops::Deref;
use std::os::fd::{AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::error::{Error, Result};
use crate::{Batch, Handle, InOrder, Lease, Leased, Leases, Reader, Snapshot, Source};

/// A reader in tokio. Its waits block no thread, and can be cancelled without losing a record.
///
/// ```
/// use rbcore::{AsyncReader, MemoryRing, Producer, Reader, Source};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let ring = MemoryRing::create(65536)?;
/// Producer::open(&ring)?.output(b"hello")?;
///
/// let mut reader = AsyncReader::new(Reader::open()?)?;
/// let index = reader.get_mut().add(&Source::memory(&ring))?;
/// let batch = reader.next().await?;
/// assert_eq!(batch.get(0).unwrap().data(), b"hello");
/// batch.commit()?;
/// let snapshot = reader.get_ref().snapshot(index)?; // of what is not given back
/// # drop(snapshot);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct AsyncReader<M = InOrder> {
    /// Declared before the reader, so that it is deregistered before the reader closes it.
    fd: AsyncFd<Registered>,
    reader: Reader<M>,
}

/// The reader's descriptor, as the runtime knows it.
#[derive(Debug)]
struct Registered(RawFd);

impl AsRawFd for Registered {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl<M> AsyncReader<M> {
    /// Takes a reader into the current runtime. [`Error::Os`]: the runtime cannot register its
    /// descriptor.
    ///
    /// # Panics
    /// Outside of a runtime, or if the IO of the runtime is not enabled, as [`AsyncFd`] does.
    pub fn new(reader: Reader<M>) -> Result<Self> {
        // Deprecated because it accepts a descriptor that may be closed. This one stays open while
        // it is registered. The replacement needs tokio 1.54, and with that Rust 1.85.
        #[allow(deprecated)]
        let fd = AsyncFd::with_interest(Registered(reader.as_raw_fd()), Interest::READABLE);
        match fd {
            Ok(fd) => Ok(Self { fd, reader }),
            Err(error) => Err(runtime_error(&error)),
        }
    }

    /// The reader, for its statistics and snapshots.
    pub fn get_ref(&self) -> &Reader<M> {
        &self.reader
    }

    /// The reader, to add and remove rings.
    pub fn get_mut(&mut self) -> ReaderMut<'_, M> {
        ReaderMut(&mut self.reader)
    }

    /// Takes the reader out of the runtime.
    pub fn into_inner(self) -> Reader<M> {
        self.reader // `fd` is dropped here, while the reader is open
    }

    /// A handle for other threads and tasks. There can be any number of handles.
    pub fn handle(&self) -> Handle {
        self.reader.handle()
    }

    /// Registers before it looks, and clears the readiness before the look that answers it. So a
    /// record that comes after the look wakes the task.
    fn poll_fetch(&mut self, context: &mut Context<'_>) -> Poll<Result<usize>> {
        loop {
            let is_ready = match self.fd.poll_read_ready(context) {
                Poll::Ready(Ok(mut guard)) => {
                    guard.clear_ready();
                    true
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(runtime_error(&error))),
                Poll::Pending => false,
            };
            match self.reader.fetch_due_once(Some(Duration::ZERO)) {
                Ok(0) if is_ready => {}
                Ok(0) => return Poll::Pending,
                Err(Error::Again | Error::Signal) => {
                    context.waker().wake_by_ref(); // others may have their turn first
                    return Poll::Pending;
                }
                result => return Poll::Ready(result),
            }
        }
    }
}

impl AsyncReader<InOrder> {
    /// Waits until records are due, and reads them.
    pub async fn next(&mut self) -> Result<Batch<'_>> {
        poll_fn(|context| self.poll_fetch(context)).await?;
        Ok(self.reader.last_batch())
    }

    /// Gives back all that was read, including batches that were dropped.
    pub fn commit(&mut self) -> Result<()> {
        self.reader.commit()
    }
}

impl AsyncReader<Leased> {
    /// Waits until records are due, and reads them. Leases that are not taken from the iterator are
    /// given back when it is dropped.
    pub async fn next(&mut self) -> Result<Leases<'_>> {
        poll_fn(|context| self.poll_fetch(context)).await?;
        Ok(Leases::new(&mut self.reader))
    }

    /// Makes a stream of single leases.
    ///
    /// ```
    /// # use rbcore::{AsyncReader, MemoryRing, Producer, Reader, Source};
    /// use futures_util::StreamExt;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let ring = MemoryRing::create(65536)?;
    /// # Producer::open(&ring)?.output(b"hello")?;
    /// let mut reader = Reader::builder().open_leasing()?;
    /// reader.add(&Source::memory(&ring))?;
    ///
    /// let mut leases = AsyncReader::new(reader)?.into_stream();
    /// while let Some(lease) = leases.next().await {
    ///     let lease = lease?;
    ///     let task = tokio::spawn(async move { lease.len() });
    ///     assert_eq!(task.await?, 5);
    ///     leases.handle().shutdown()?; // ends the stream
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_stream(self) -> LeaseStream {
        LeaseStream {
            leases: VecDeque::new(),
            reader: self,
        }
    }
}

/// A [`Stream`] of leases, made by [`AsyncReader::into_stream`]. [`Handle::shutdown`] ends it.
/// Leases that it fetched and did not yield are given back when it is dropped.
#[derive(Debug)]
pub struct LeaseStream {
    /// These are fetched and not yielded yet.
    leases: VecDeque<Lease>,
    reader: AsyncReader<Leased>,
}

impl LeaseStream {
    /// The reader, for its statistics and snapshots.
    pub fn get_ref(&self) -> &Reader<Leased> {
        self.reader.get_ref()
    }

    /// The reader, to add and remove rings.
    pub fn get_mut(&mut self) -> ReaderMut<'_, Leased> {
        self.reader.get_mut()
    }

    /// A handle for other threads and tasks. There can be any number of handles.
    pub fn handle(&self) -> Handle {
        self.reader.handle()
    }
}

impl Stream for LeaseStream {
    type Item = Result<Lease>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        while this.leases.is_empty() {
            match ready!(this.reader.poll_fetch(context)) {
                Ok(_) => this.leases.extend(Leases::new(&mut this.reader.reader)),
                Err(Error::Shutdown) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
        Poll::Ready(this.leases.pop_front().map(Ok))
    }
}

/// The reader of an [`AsyncReader`], to be changed. It exposes no `&mut Reader`: through that,
/// `mem::swap` could replace the reader, and the runtime would wait on the wrong descriptor.
#[derive(Debug)]
pub struct ReaderMut<'a, M>(&'a mut Reader<M>);

impl<M> Deref for ReaderMut<'_, M> {
    type Target = Reader<M>;

    fn deref(&self) -> &Reader<M> {
        self.0
    }
}

impl<M> ReaderMut<'_, M> {
    /// See [`Reader::add`].
    pub fn add(&mut self, source: &Source<'_>) -> Result<u16> {
        self.0.add(source)
    }

    /// See [`Reader::remove`].
    pub fn remove(&mut self, ring: u16) -> Result<()> {
        self.0.remove(ring)
    }

    /// See [`Reader::set_batch_size`].
    pub fn set_batch_size(&mut self, records: usize) -> Result<()> {
        self.0.set_batch_size(records)
    }

    /// See [`Reader::drain_to_snapshot`].
    pub fn drain_to_snapshot(&mut self, ring: u16) -> Result<Snapshot> {
        self.0.drain_to_snapshot(ring)
    }
}

impl ReaderMut<'_, InOrder> {
    /// See [`Reader::commit_now`].
    pub fn commit_now(&mut self) -> Result<()> {
        self.0.commit_now()
    }
}

fn runtime_error(error: &io::Error) -> Error {
    Error::Os {
        errno: error.raw_os_error().unwrap_or(libc::EIO),
        message: error.to_string(),
    }
}
