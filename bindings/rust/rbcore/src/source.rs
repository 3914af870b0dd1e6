// SPDX-License-Identifier: MIT
use std::ffi::CString;
use std::marker::PhantomData;
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rbcore_sys as sys;

use crate::error::{Error, Result};
use crate::{MemoryRing, SourceStats, stats};

/// A ring to be added to a reader or opened for a producer: which ring it is, and how to begin.
/// Readers and producers keep descriptors of their own: the source's can be closed after
/// [`Reader::add`](crate::Reader::add).
///
/// ```
/// use rbcore::Source;
///
/// let pinned = Source::path("/sys/fs/bpf/events").cookie(7);
/// let recorder = Source::path("/sys/fs/bpf/flight").overwrite();
/// let beside = Source::path("/sys/fs/bpf/events").tap().latest();
/// # let _ = (pinned, recorder, beside);
/// ```
#[derive(Clone, Debug)]
pub struct Source<'a> {
    kind: u32,
    flags: u32,
    fd: Option<BorrowedFd<'a>>,
    event: Option<BorrowedFd<'a>>,
    losses: Option<BorrowedFd<'a>>,
    path: Option<Vec<u8>>,
    map_id: u32,
    cookie: u64,
    trusted: bool,
}

impl<'a> Source<'a> {
    fn new(kind: u32) -> Self {
        Self {
            kind,
            flags: 0,
            fd: None,
            event: None,
            losses: None,
            path: None,
            map_id: 0,
            cookie: 0,
            trusted: kind != sys::RBCORE_SOURCE_MEMORY_RING,
        }
    }

    /// Names a BPF map by a descriptor: one of aya, of libbpf-rs, or of the system.
    pub fn map<F: AsFd + ?Sized>(fd: &'a F) -> Self {
        Self {
            fd: Some(fd.as_fd()),
            ..Self::new(sys::RBCORE_SOURCE_MAP_FD)
        }
    }

    /// A BPF map, by the path at which it is pinned.
    pub fn path(path: impl AsRef<Path>) -> Source<'static> {
        Source {
            path: Some(path.as_ref().as_os_str().as_bytes().to_vec()),
            ..Source::new(sys::RBCORE_SOURCE_PINNED_PATH)
        }
    }

    /// Names a BPF map by its id. This needs CAP_SYS_ADMIN.
    pub fn map_id(id: u32) -> Source<'static> {
        Source {
            map_id: id,
            ..Source::new(sys::RBCORE_SOURCE_MAP_ID)
        }
    }

    /// A memory ring. Its records are copied before they are seen, see [`trusted`](Self::trusted).
    pub fn memory(ring: &'a MemoryRing) -> Self {
        Self {
            fd: Some(ring.memory()),
            event: Some(ring.event()),
            ..Self::new(sys::RBCORE_SOURCE_MEMORY_RING)
        }
    }

    /// Reads the ring beside its reader, which may be of any library. It copies the records,
    /// changes nothing, and counts what the other reader freed before it was copied.
    #[must_use]
    pub fn tap(mut self) -> Self {
        self.flags |= sys::RBCORE_SOURCE_TAP;
        self
    }

    /// Begins with the first record that is not complete when the ring is added, and not where the
    /// last reader stopped.
    #[must_use]
    pub fn latest(mut self) -> Self {
        self.flags |= sys::RBCORE_SOURCE_LATEST;
        self
    }

    /// Reads a ring in overwrite mode (`BPF_F_RB_OVERWRITE`), in which producers do not wait for
    /// the reader, through a copy. What was overwritten before it could be copied is counted in
    /// [`RingStats::lost_bytes`](crate::RingStats::lost_bytes). A ring in overwrite mode is refused
    /// without this option, and any other ring with it.
    #[must_use]
    pub fn overwrite(mut self) -> Self {
        self.flags |= sys::RBCORE_SOURCE_OVERWRITE;
        self
    }

    /// Sets the caller's own number, which [`RingStats::cookie`](crate::RingStats) hands back.
    #[must_use]
    pub fn cookie(mut self, cookie: u64) -> Self {
        self.cookie = cookie;
        self
    }

    /// Names the map in which the BPF program counts what a full ring refused (`rbcore_bpf.h`).
    #[must_use]
    pub fn losses<F: AsFd + ?Sized>(mut self, map: &'a F) -> Self {
        self.losses = Some(map.as_fd());
        self
    }

    /// Reads the memory ring's records where they are, without a copy.
    ///
    /// # Safety
    /// As long as the reader or a [`Lease`](crate::Lease) of it lives, a process that has the
    /// ring's descriptors may write into the memory only through producers of this library, and not
    /// into a record after its submit.
    #[must_use]
    pub unsafe fn trusted(mut self) -> Self {
        self.trusted = true;
        self
    }

    /// Opens the ring although another reader (or, of a user ring, another producer) has it. Use it
    /// only if that one is known to be dead or hung.
    ///
    /// # Safety
    /// The other reader must not give anything back any more: that would free what this one reads.
    /// The other producer must not write any more.
    #[must_use]
    pub unsafe fn insist(mut self) -> Self {
        self.flags |= sys::RBCORE_SOURCE_INSIST;
        self
    }

    /// Looks at the ring without a reader: nothing is claimed or changed, and its reader is not
    /// disturbed. Of the source only what names the ring and [`losses`](Self::losses) matter.
    ///
    /// ```
    /// use rbcore::{MemoryRing, Reader, RingOwner, Source};
    ///
    /// # fn main() -> rbcore::Result<()> {
    /// let ring = MemoryRing::create(65536)?;
    /// assert_eq!(Source::memory(&ring).ring_stats()?.owner, RingOwner::Nobody);
    ///
    /// let mut reader = Reader::open()?;
    /// reader.add(&Source::memory(&ring))?;
    /// let me = RingOwner::Process(std::process::id());
    /// assert_eq!(Source::memory(&ring).ring_stats()?.owner, me);
    /// # Ok(())
    /// # }
    /// ```
    pub fn ring_stats(&self) -> Result<SourceStats> {
        stats::of_source(&self.to_raw()?.raw)
    }

    /// Tells whether records have to be copied before they are seen, and the library does not do
    /// that.
    pub(crate) fn is_copied(&self) -> bool {
        let by_library = sys::RBCORE_SOURCE_OVERWRITE | sys::RBCORE_SOURCE_TAP;
        !self.trusted && self.flags & by_library == 0
    }

    /// Returns the source in the form that the library takes.
    pub(crate) fn to_raw(&self) -> Result<RawSource<'_>> {
        let path = match &self.path {
            Some(path) => Some(
                CString::new(path.as_slice())
                    .map_err(|_| Error::invalid("the path contains a NUL byte"))?,
            ),
            None => None,
        };
        let number = |fd: &Option<BorrowedFd<'_>>| fd.map_or(-1, |fd| fd.as_raw_fd());
        let raw = sys::rbcore_source {
            size: size_of::<sys::rbcore_source>(),
            kind: self.kind,
            flags: self.flags,
            fd: number(&self.fd),
            event_fd: number(&self.event),
            map_id: self.map_id,
            loss_fd: number(&self.losses),
            path: path.as_ref().map_or(std::ptr::null(), |path| path.as_ptr()),
            cookie: self.cookie,
        };
        Ok(RawSource {
            raw,
            _path: path,
            _fds: PhantomData,
        })
    }
}

/// The library's source, with what its pointers point to.
pub(crate) struct RawSource<'a> {
    pub(crate) raw: sys::rbcore_source,
    _path: Option<CString>,
    _fds: PhantomData<BorrowedFd<'a>>,
}
