// SPDX-License-Identifier: MIT
//! Reads the BPF ring buffer: in batches, without copying, with moderated wakeups.
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
//! Nothing but giving back frees space in the ring, and there are two ways to do it, each with a type
//! of reader:
//!
//! - [`Reader`] lends a [`Batch`], whose records go back in order: all by [`Batch::commit`], or some by
//!   [`Batch::commit_first`]. A record used after that does not compile. A batch that is dropped
//!   gives nothing back: its records go with the next commit, or stay for the next reader.
//! - [`LeaseReader`] gives out [`Lease`]s: `'static` and [`Send`], for other threads, given back
//!   when they are dropped, in any order. They keep the ring mapped, also after the reader is gone.
//!
//! # Who else writes there
//! A record of a BPF map cannot be changed by anybody before it was given back: it is read where it
//! is. The memory of a [`MemoryRing`] can be written by whoever has its descriptors. So its records
//! are copied before a program sees them as `&[u8]`, unless it vouches for the others by
//! [`Source::trusted`], which is `unsafe`. So is [`Source::insist`]: a second consumer of one ring
//! gives back what the first still reads. (A consumer from another library does so, too, and cannot
//! be noticed: see [`Reader::add`].)
//!
//! # Waiting
//! [`Reader::next`] waits; in an event loop the reader is a descriptor ([`AsFd`](std::os::fd::AsFd)),
//! and with the feature `tokio` there is `AsyncReader`. [`Reader::handle`] interrupts, flushes or
//! shuts down from any thread. Signals end no wait, nor do a stop and continue of the process;
//! [`Reader::next_interruptible`] tells of them.
//!
//! # Features
//! - `vendored` (default): the C library is compiled into the crate; without, pkg-config finds it.
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
pub use snapshot::{Snapshot, SnapshotInfo, SnapshotRecords};
pub use source::Source;
pub use spans::{Span, Spans};
pub use stats::{Identity, ReaderStats, RingId, RingStats};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
