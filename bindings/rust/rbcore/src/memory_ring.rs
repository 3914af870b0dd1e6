// SPDX-License-Identifier: MIT
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};

use rbcore_sys as sys;

use crate::error::{Result, check};

/// A ring in memory, with the layout of the kernel's: for programs without BPF, between threads or
/// processes.
///
/// A ring is two descriptors, which can be passed to other processes. Readers and producers keep
/// descriptors of their own.
///
/// ```
/// use rbcore::MemoryRing;
///
/// # fn main() -> rbcore::Result<()> {
/// let ring = MemoryRing::create(65536)?;
/// let (memory, event) = ring.into_fds(); // over a socket, say, to another process
/// let same = MemoryRing::from_fds(memory, event);
/// # drop(same);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct MemoryRing {
    memory: OwnedFd,
    event: OwnedFd,
}

impl MemoryRing {
    /// Creates a ring of `size` bytes: a power of two, from a page to 1 GiB.
    pub fn create(size: usize) -> Result<Self> {
        Self::create_with(size, 0)
    }

    /// Creates a ring that overwrites its oldest records when it is full, and refuses no new ones.
    /// Read it with [`Source::overwrite`](crate::Source::overwrite).
    pub fn create_overwriting(size: usize) -> Result<Self> {
        Self::create_with(size, sys::RBCORE_MEMORY_RING_OVERWRITE)
    }

    fn create_with(size: usize, flags: u32) -> Result<Self> {
        let (mut memory, mut event) = (-1, -1);
        // SAFETY: both are pointers to live integers.
        check("rbcore_memory_ring_create", unsafe {
            sys::rbcore_memory_ring_create(&mut memory, &mut event, size, flags)
        })?;
        // SAFETY: both are new, and owned by this function.
        let (memory, event) =
            unsafe { (OwnedFd::from_raw_fd(memory), OwnedFd::from_raw_fd(event)) };
        Ok(Self { memory, event })
    }

    /// Opens a ring that another process created. The descriptors are checked where they are used.
    pub fn from_fds(memory: OwnedFd, event: OwnedFd) -> Self {
        Self { memory, event }
    }

    /// The two descriptors, memory and event, to be passed to another process.
    pub fn into_fds(self) -> (OwnedFd, OwnedFd) {
        (self.memory, self.event)
    }

    /// The memory's descriptor.
    pub fn memory(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }

    /// The descriptor that wakes the reader.
    pub fn event(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }
}
