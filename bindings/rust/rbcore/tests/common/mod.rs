// SPDX-License-Identifier: MIT
//! Rings for the tests: the same records into a memory ring and into one of the kernel.
#![allow(dead_code)] // each test uses its part

pub(crate) mod kernel;
pub(crate) mod model;

use std::time::Duration;

use rbcore::{Error, MemoryRing, Producer, Source, Wakeup};

/// Each ring of these tests has this size.
pub(crate) const RING_SIZE: usize = 65536;

/// This only makes a test end that hangs.
pub(crate) const WATCHDOG: Option<Duration> = Some(Duration::from_secs(30));

/// Makes records with ascending sequence numbers; a refused one uses up its number as well.
#[derive(Clone, Copy, Default)]
pub(crate) struct Records {
    pub(crate) first: u64,
    pub(crate) count: u32,
    /// Discards those whose number it divides; 0: none.
    pub(crate) discard_each: u32,
    pub(crate) quietly: bool,
}

/// A ring and its writer.
pub(crate) trait Ring: Sync {
    fn source(&self) -> Source<'_>;

    /// Returns how many were refused.
    fn produce(&self, records: Records) -> u64;

    fn produce_some(&self, first: u64, count: u32) {
        let refused = self.produce(Records {
            first,
            count,
            ..Default::default()
        });
        assert_eq!(refused, 0, "the ring was full");
    }
}

/// The bytes of a record: producer, size, sequence; as tests/kernel/produce.h has them.
pub(crate) fn event(sequence: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&1u32.to_ne_bytes());
    bytes[4..8].copy_from_slice(&16u32.to_ne_bytes());
    bytes[8..].copy_from_slice(&sequence.to_ne_bytes());
    bytes
}

pub(crate) fn sequence(data: &[u8]) -> u64 {
    let number = u64::from_ne_bytes(data[8..16].try_into().unwrap());
    assert_eq!(data, event(number), "the record's bytes");
    number
}

pub(crate) struct InMemory {
    ring: MemoryRing,
    producer: Producer,
}

impl InMemory {
    pub(crate) fn create() -> Self {
        Self::of_size(RING_SIZE)
    }

    pub(crate) fn of_size(bytes: usize) -> Self {
        let ring = MemoryRing::create(bytes).unwrap();
        let producer = Producer::open(&ring).unwrap();
        Self { ring, producer }
    }
}

impl Ring for InMemory {
    fn source(&self) -> Source<'_> {
        Source::memory(&self.ring)
    }

    fn produce(&self, records: Records) -> u64 {
        let wakeup = if records.quietly {
            Wakeup::Never
        } else {
            Wakeup::Adaptive
        };
        let mut refused = 0;
        for number in records.first..records.first + u64::from(records.count) {
            let mut reservation = match self.producer.reserve(16) {
                Ok(reservation) => reservation,
                Err(Error::Full) => {
                    refused += 1;
                    continue;
                }
                Err(error) => panic!("{error}"),
            };
            reservation.put(0, &event(number)).unwrap();
            let each = u64::from(records.discard_each);
            if each != 0 && number % each == 0 {
                reservation.discard_with(wakeup).unwrap();
            } else {
                reservation.submit_with(wakeup).unwrap();
            }
        }
        refused
    }
}
