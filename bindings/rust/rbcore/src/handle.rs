// SPDX-License-Identifier: MIT
use std::ffi::c_int;
use std::sync::{Arc, PoisonError, RwLock};

use rbcore_sys as sys;

use crate::error::{Error, Result, check};
use crate::raw::Raw;
use crate::{ReaderStats, RingStats, stats};

/// [`Handle`]s use this as long as there is a reader. They hold the lock while they do.
type Shared = RwLock<Option<Raw>>;

/// The reader's own handle of the library. When it is dropped, it closes the reader at once, and
/// waits for [`Handle`]s that are in use. If they closed the reader instead, the ring would still
/// be taken when the drop is over.
#[derive(Debug)]
pub(crate) struct Owned {
    raw: Raw,
    shared: Arc<Shared>,
}

impl Owned {
    pub(crate) fn new(raw: Raw) -> Self {
        Self {
            raw,
            shared: Arc::new(RwLock::new(Some(raw))),
        }
    }

    pub(crate) fn raw(&self) -> &Raw {
        &self.raw
    }

    pub(crate) fn handle(&self) -> Handle {
        Handle {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        let mut shared = self.shared.write().unwrap_or_else(PoisonError::into_inner);
        *shared = None;
        drop(shared);
        // SAFETY: this is the last use; leases have the library's word that they may be released
        // after it.
        unsafe { sys::rbcore_reader_free(self.raw.as_ptr()) };
    }
}

/// Asks a reader for what other threads may ask. It keeps nothing open: once the reader is gone,
/// each call returns [`Error::Shutdown`].
///
/// ```
/// use rbcore::{Error, MemoryRing, Producer, Reader, Source};
///
/// # fn main() -> rbcore::Result<()> {
/// let ring = MemoryRing::create(65536)?;
/// Producer::open(&ring)?.output(b"the last one")?;
/// let mut reader = Reader::open()?;
/// reader.add(&Source::memory(&ring))?;
///
/// // As a thread that handles SIGTERM would do it: what is there is still read.
/// let handle = reader.handle();
/// std::thread::spawn(move || handle.flush());
/// let mut records = 0;
/// loop {
///     match reader.next(None) {
///         Ok(batch) => {
///             records += batch.len();
///             batch.commit()?;
///         }
///         Err(Error::Flushed) => break,
///         Err(error) => return Err(error),
///     }
/// }
/// assert_eq!(records, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// Makes the read that is running, or else the next one, return [`Error::Interrupted`], once.
    pub fn interrupt(&self) -> Result<()> {
        self.ask(sys::rbcore_reader_interrupt)
    }

    /// Makes reads return what is there, even if no wakeup came for it, and then
    /// [`Error::Flushed`], once.
    pub fn flush(&self) -> Result<()> {
        self.ask(sys::rbcore_reader_flush)
    }

    /// Ends reading: from now on reads return [`Error::Shutdown`], also one that is waiting.
    /// Records can still be given back.
    pub fn shutdown(&self) -> Result<()> {
        self.ask(sys::rbcore_reader_shutdown)
    }

    /// Statistics of the reader.
    pub fn stats(&self) -> Result<ReaderStats> {
        self.with(stats::of_reader)
    }

    /// The indexes of the reader's rings, in their order. Those that were removed are passed over.
    pub fn rings(&self) -> impl Iterator<Item = u16> + '_ {
        stats::rings(|ring| {
            self.with(|raw| Ok(stats::ring_after(raw, ring)))
                .ok()
                .flatten()
        })
    }

    /// Statistics of one ring.
    pub fn ring_stats(&self, ring: u16) -> Result<RingStats> {
        self.with(|raw| stats::of_ring(raw, ring))
    }

    /// Uses the reader, if there is one. It is not closed meanwhile.
    fn with<T>(&self, use_it: impl FnOnce(&Raw) -> Result<T>) -> Result<T> {
        let shared = self.shared.read().unwrap_or_else(PoisonError::into_inner);
        use_it(shared.as_ref().ok_or(Error::Shutdown)?)
    }

    fn ask(&self, what: unsafe extern "C" fn(*mut sys::rbcore_reader) -> c_int) -> Result<()> {
        // SAFETY: the handle is live, and these are for any thread.
        self.with(|raw| check("", unsafe { what(raw.as_ptr()) }))?;
        Ok(())
    }
}
