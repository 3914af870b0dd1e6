// SPDX-License-Identifier: MIT
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use ::tokio::io::Interest;
use ::tokio::io::unix::AsyncFd;
use futures_core::Stream;

use crate::error::{Error, Result};
use crate::{Batch, InOrder, Lease, Leased, Reader};

/// A reader in tokio. Its waits pin no thread, and can be cancelled without losing a record.
#[derive(Debug)]
pub struct AsyncReader<M = InOrder> {
    fd: AsyncFd<Reader<M>>,
    /// For the stream: the next record of the last fetch to be leased, if there was one.
    next_lease: Option<usize>,
}

impl<M> AsyncReader<M> {
    /// Takes a reader into the current runtime, whose IO has to be enabled.
    ///
    /// # Panics
    /// Outside of a runtime, as [`AsyncFd::new`] does.
    pub fn new(reader: Reader<M>) -> io::Result<Self> {
        // SAFETY: the descriptor is the reader's own, the same as long as it lives, and nobody here
        // puts another reader in its place.
        let fd = unsafe { AsyncFd::register_with_interest(reader, Interest::READABLE)? };
        Ok(Self {
            fd,
            next_lease: None,
        })
    }

    /// The reader itself: to get at handles and figures.
    pub fn get_ref(&self) -> &Reader<M> {
        self.fd.get_ref()
    }

    /// Registers before it looks, and forgets a readiness before the look that answers it: so what
    /// comes after the look wakes the task.
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
            match self.fd.get_mut().fetch_due(Some(Duration::ZERO)) {
                Ok(0) if is_ready => continue,
                Ok(0) => return Poll::Pending,
                Err(Error::Again) => {
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
        Ok(self.fd.get_mut().last_batch())
    }

    /// Gives back all that was read, in batches that were dropped, too.
    pub fn commit(&mut self) -> Result<()> {
        self.fd.get_mut().commit()
    }
}

/// Leases one by one; the end comes with [`Handle::shutdown`](crate::Handle::shutdown).
impl Stream for AsyncReader<Leased> {
    type Item = Result<Lease>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(index) = this.next_lease.take()
                && let Some(lease) = this.fd.get_ref().lease(index)
            {
                this.next_lease = Some(index + 1);
                return Poll::Ready(Some(Ok(lease)));
            }
            match ready!(this.poll_fetch(context)) {
                Ok(_) => this.next_lease = Some(0),
                Err(Error::Shutdown) => return Poll::Ready(None),
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

impl<M> Drop for AsyncReader<M> {
    /// Gives back what the stream fetched and did not give out: else the ring would stay taken.
    fn drop(&mut self) {
        if let Some(first) = self.next_lease {
            self.fd.get_mut().release_from(first);
        }
    }
}

fn runtime_error(error: &io::Error) -> Error {
    Error::Os {
        errno: error.raw_os_error().unwrap_or(libc::EIO),
        message: error.to_string(),
    }
}
