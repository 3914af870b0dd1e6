// SPDX-License-Identifier: MIT
//! Reads the BPF ring buffer: in batches, without copying, with few wakeups.
//!
//! ```
//! use rbcore::{MemoryRing, Producer, Reader, Source};
//!
//! # fn main() -> Result<(), rbcore::Error> {
//! let ring = MemoryRing::create(65536)?;
//! Producer::open(&ring)?.output(b"hello")?;
//!
//! let mut reader = Reader::open()?;
//! reader.add(&Source::memory(&ring))?; // or Source::map(&map), Source::path("/sys/fs/bpf/events")
//! let batch = reader.next(None)?;
//! for record in &batch {
//!     assert_eq!(record.data(), b"hello");
//! }
//! batch.commit()?; // now the producer has the space again
//! # Ok(())
//! # }
//! ```
//!
//! # Giving records back
//! Space in the ring is freed only by giving records back. There are two ways to do that, each with
//! a type of reader:
//!
//! - [`Reader`] lends a [`Batch`], whose records go back in order: all by [`Batch::commit`], or some by
//!   [`Batch::commit_first`]. A record used after that does not compile. A batch that is dropped gives
//!   nothing back: its records go back with the next commit, or stay for the next reader.
//! - [`LeaseReader`] gives out [`Lease`]s: `'static` and [`Send`], for other threads, given back
//!   when they are dropped, in any order. They keep the ring mapped, also after the reader is gone.
//!
//! # Memory that others can write
//! A record of a BPF map cannot change before it is given back, so it is read in place. The memory
//! of a [`MemoryRing`] can be written by every process that has its descriptors. So its records are
//! copied before a program sees them as `&[u8]`, unless the program vouches for the other processes
//! by [`Source::trusted`], which is `unsafe`. [`Source::insist`] is `unsafe`, too: a second
//! consumer of a ring gives back what the first still reads. (A consumer from another library does
//! the same and cannot be noticed: see [`Reader::add`].)
//!
//! # Waiting
//! [`Reader::next`] waits. In an event loop the reader is a descriptor
//! ([`AsFd`](std::os::fd::AsFd)), and with the feature `tokio` there is `AsyncReader`. A [`Handle`]
//! interrupts, flushes or shuts down the reader from any thread. A signal does not end a wait, and
//! neither does stopping and continuing the process. [`Reader::next_interruptible`] reports both.
//!
//! # Features
//! - `vendored` (default): the C library is compiled into the crate. Without it, pkg-config finds an
//!   installed one.
//! - `tokio`: `AsyncReader`.
//! - `zerocopy`: records as values of a type: `Record::data_as`, `Batch::records`.

#[cfg(feature = "tokio")]
mod async_reader;
mod batch;
mod builder;
mod causes;
mod copies;
mod error;
mod handle;
mod lease;
mod memory_ring;
mod producer;
mod raw;
mod reader;
mod snapshot;
mod source;
mod spans;
mod stats;
#[cfg(feature = "zerocopy")]
mod typed;
mod wait;

#[cfg(feature = "tokio")]
pub use async_reader::{AsyncReader, LeaseStream, ReaderMut};
pub use batch::{Batch, Record, Records};
pub use builder::ReaderBuilder;
pub use error::{Error, Result};
pub use handle::Handle;
pub use lease::{Lease, LeaseReader, Leases};
pub use memory_ring::MemoryRing;
pub use producer::{Producer, Reservation, Wakeup};
pub use reader::{InOrder, Leased, Reader};
pub use snapshot::{SNAPSHOT_HEADER_SIZE, Snapshot, SnapshotInfo, SnapshotRecords};
pub use source::Source;
pub use spans::{Span, Spans};
pub use stats::{Identity, ReaderStats, RingId, RingOwner, RingStats, SourceStats};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
