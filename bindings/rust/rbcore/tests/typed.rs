// SPDX-License-Identifier: MIT
//! Records as values of a type, where they are.
#![cfg(feature = "zerocopy")]

use rbcore::{Error, MemoryRing, Producer, Reader, Source};
use zerocopy::{FromBytes, Immutable, KnownLayout};

#[derive(Debug, FromBytes, Immutable, KnownLayout, PartialEq)]
#[repr(C)]
struct Event {
    pid: u32,
    cpu: u16,
    // Two bytes that C's compiler leaves out as well.
    time: u64,
}

#[derive(Debug, FromBytes, Immutable, KnownLayout, PartialEq)]
#[repr(C, align(16))]
struct Wide([u64; 2]);

fn event(pid: u32, cpu: u16, time: u64) -> [u8; 16] {
    let mut bytes = [0xee; 16];
    bytes[..4].copy_from_slice(&pid.to_ne_bytes());
    bytes[4..6].copy_from_slice(&cpu.to_ne_bytes());
    bytes[8..].copy_from_slice(&time.to_ne_bytes());
    bytes
}

fn open(ring: &MemoryRing) -> Reader {
    let mut reader = Reader::open().unwrap();
    reader.add(&Source::memory(ring)).unwrap();
    reader
}

#[test]
fn fields_are_where_c_has_them() {
    let ring = MemoryRing::create(65536).unwrap();
    let producer = Producer::open(&ring).unwrap();
    for number in 0..100 {
        let bytes = event(number, number as u16 + 1, u64::from(number) << 40);
        producer.output(&bytes).unwrap();
    }
    let is = |number: u32, event: &Event| {
        let (pid, cpu, time) = (number, number as u16 + 1, u64::from(number) << 40);
        *event == Event { pid, cpu, time }
    };
    let mut reader = open(&ring);
    let batch = reader.read().unwrap();
    let events = batch.records::<Event>();
    assert_eq!(events.len(), 100);
    for (number, event) in (0..).zip(events) {
        assert!(
            is(number, event.unwrap()),
            "{event:?}",
            event = batch.get(number as usize)
        );
    }
    drop(batch);

    // A snapshot, spans and leases give the same.
    let mut snapshot = reader.snapshot(0).unwrap();
    for (number, record) in (0..).zip(snapshot.records()) {
        assert!(is(number, record.unwrap().data_as().unwrap()));
    }
    drop(reader);
    let mut reader = open(&ring);
    let spans = reader.next_spans(1000, None).unwrap();
    let events = spans.iter().flat_map(|span| span.records::<Event>());
    assert!(
        (0..)
            .zip(events)
            .all(|(number, event)| is(number, event.unwrap()))
    );
    drop(spans);
    drop(reader);
    let mut reader = Reader::builder().open_leasing().unwrap();
    reader.add(&Source::memory(&ring)).unwrap();
    let leases = reader.read().unwrap();
    assert_eq!(leases.len(), 100);
    for (number, lease) in (0..).zip(leases) {
        assert!(is(number, lease.data_as().unwrap()));
    }
}

/// Nothing is copied: the value is where the record's data is.
#[test]
fn in_place() {
    let ring = MemoryRing::create(65536).unwrap();
    let producer = Producer::open(&ring).unwrap();
    producer.output(&event(1, 2, 3)).unwrap();
    let mut reader = open(&ring);
    let batch = reader.read().unwrap();
    let record = batch.get(0).unwrap();
    let event: &Event = record.data_as().unwrap();
    assert_eq!(std::ptr::from_ref(event).cast(), record.data().as_ptr());
}

#[test]
fn records_of_other_sizes() {
    let ring = MemoryRing::create(65536).unwrap();
    let producer = Producer::open(&ring).unwrap();
    let longer = [event(1, 2, 3), event(4, 5, 6)].concat();
    producer.output(&longer).unwrap();
    producer.output(&event(7, 8, 9)[..15]).unwrap();
    producer.output(&[]).unwrap();
    let mut reader = open(&ring);
    let batch = reader.read().unwrap();
    let events: Vec<_> = batch.records::<Event>().collect();
    let (pid, cpu, time) = (1, 2, 3);
    assert_eq!(
        events[0],
        Ok(&Event { pid, cpu, time }),
        "the rest is left out"
    );
    for (event, size) in events[1..].iter().zip([15, 0]) {
        let Err(Error::Mismatch(message)) = event else {
            panic!("{event:?}");
        };
        let expected = format!("a record of {size} bytes is too short for typed::Event");
        assert_eq!(*message, expected);
        assert_eq!(event.clone().unwrap_err().errno(), libc::EINVAL);
    }
}

/// Records are aligned to 8 bytes: of two in a row, 24 bytes apart, one is not aligned to 16.
#[test]
fn a_type_that_is_aligned_to_more() {
    let ring = MemoryRing::create(65536).unwrap();
    let producer = Producer::open(&ring).unwrap();
    for number in 0..2u64 {
        producer
            .output(&[number.to_ne_bytes(); 2].concat())
            .unwrap();
    }
    let mut reader = Reader::open().unwrap();
    // SAFETY: only this test has the ring. It is read in place, because a copy may be aligned
    // otherwise.
    reader
        .add(&unsafe { Source::memory(&ring).trusted() })
        .unwrap();
    let batch = reader.read().unwrap();
    let found: Vec<_> = batch.records::<Wide>().collect();
    let message = "a record is aligned to 8 bytes, and typed::Wide to more".to_owned();
    assert_eq!(found, [Err(Error::Mismatch(message)), Ok(&Wide([1, 1]))]);
}
