// SPDX-License-Identifier: MIT
//! User rings: what a BPF program drains, the one of the tests in C, and answers through a ring.

mod common;

use std::ffi::OsStr;
use std::io::IoSlice;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use common::WATCHDOG;
use common::kernel::{load_program, run};
use libbpf_rs::{MapCore, ObjectBuilder};
use rbcore::{Error, Producer, Reader, Source};

const SIZE: usize = 65536;

struct UserRing {
    requests: OwnedFd,
    drain: OwnedFd,
    producer: Producer,
    answers: Reader,
}

/// struct drain_args of tests/kernel/drain.h.
#[repr(C)]
#[derive(Default)]
struct DrainArgs {
    flags: u64,
    stop_after: u64,
    result: i64,
    records: u64,
    refused: u64,
}

fn load(object: &Path) -> libbpf_rs::Result<UserRing> {
    let mut open = ObjectBuilder::default().open_file(object)?;
    for mut map in open.maps_mut() {
        if map.name() == OsStr::new("requests") {
            map.set_max_entries(SIZE as u32)?;
        } else if map.name() == OsStr::new("answers") {
            map.set_max_entries(4 * SIZE as u32)?;
        }
    }
    let object = open.load()?;
    let map = |name: &str| {
        let map = object
            .maps()
            .find(|map| map.name() == OsStr::new(name))
            .unwrap();
        map.as_fd().try_clone_to_owned().unwrap()
    };
    let (requests, answered) = (map("requests"), map("answers"));
    let drain = object.progs().next().unwrap();
    let mut answers = Reader::open().unwrap();
    answers.add(&Source::map(&answered)).unwrap();
    Ok(UserRing {
        producer: Producer::open_source(&Source::map(&requests)).unwrap(),
        requests,
        drain: drain.as_fd().try_clone_to_owned().unwrap(),
        answers,
    })
}

impl UserRing {
    fn create() -> Option<Self> {
        static OBJECT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        load_program("kernel/drain", &OBJECT, load)
    }

    /// Drains, and returns the sequence numbers that were answered.
    fn drain(&mut self) -> Vec<u64> {
        let mut args = DrainArgs::default();
        run(&self.drain, &mut args);
        assert_eq!(args.refused, 0);
        let mut sequences = Vec::new();
        while sequences.len() < args.result.try_into().unwrap() {
            let batch = self.answers.next(WATCHDOG).unwrap();
            for record in &batch {
                let data = record.data();
                assert_eq!(data[16], 1, "it came whole");
                sequences.push(u64::from_ne_bytes(data[8..16].try_into().unwrap()));
            }
            batch.commit().unwrap();
        }
        sequences
    }
}

/// struct request of tests/kernel/drain.h, with what follows it.
fn request(sequence: u64, size: u32) -> Vec<u8> {
    let mut bytes = vec![0; size as usize];
    bytes[..4].copy_from_slice(&1_u32.to_ne_bytes());
    bytes[4..8].copy_from_slice(&size.to_ne_bytes());
    bytes[8..16].copy_from_slice(&sequence.to_ne_bytes());
    if size > 16 {
        bytes[size as usize - 1] = (sequence * 31 + u64::from(size)) as u8;
    }
    bytes
}

#[test]
fn records() {
    let Some(mut ring) = UserRing::create() else {
        return;
    };
    let mut reserved = ring.producer.reserve(16).unwrap();
    ring.producer.output(&request(2, 40)).unwrap();
    drop(ring.producer.reserve(100).unwrap());
    reserved.put(0, &request(1, 16)).unwrap();
    reserved.submit().unwrap();
    assert_eq!(ring.drain(), [1, 2]);
    // The records have no bytes: the kernel has their places.
    ring.producer.reserve(0).unwrap().submit().unwrap();
    ring.producer.output(&[]).unwrap();
    drop(ring.producer.reserve(0).unwrap());
    let slices = [IoSlice::new(&[]), IoSlice::new(&[])];
    assert_eq!(ring.producer.output_batch(&slices).unwrap(), 2);
    ring.producer.output(&request(3, 16)).unwrap();
    assert_eq!(ring.drain(), [0, 0, 0, 0, 3]);
    assert_eq!(
        ring.producer.reserve(SIZE).unwrap_err().errno(),
        libc::EMSGSIZE
    );
    let again = Producer::open_source(&Source::map(&ring.requests));
    assert!(matches!(again, Err(Error::Busy(_))));
}

#[test]
fn batches() {
    let Some(mut ring) = UserRing::create() else {
        return;
    };
    let (mut sent, mut seen, mut full) = (0, 0, 0);
    while sent < 50_000 {
        let contents: Vec<_> = (0..50)
            .map(|i| request(sent + i, 16 + (sent + i) as u32 % 48))
            .collect();
        let slices: Vec<_> = contents.iter().map(|bytes| IoSlice::new(bytes)).collect();
        match ring.producer.output_batch(&slices) {
            Ok(written) => sent += written as u64,
            Err(error) => assert_eq!(error, Error::Full),
        }
        if sent % 50 != 0 || sent % 1000 == 0 {
            full += 1;
            for sequence in ring.drain() {
                assert_eq!(sequence, seen);
                seen += 1;
            }
            assert_eq!(seen, sent);
        }
    }
    assert!(full >= 40);
    let large = vec![0; SIZE];
    let slices = [IoSlice::new(&large[..1]), IoSlice::new(&large)];
    assert_eq!(ring.producer.output_batch(&slices).unwrap(), 1);
    let error = ring.producer.output_batch(&slices[1..]).unwrap_err();
    assert_eq!(error.errno(), libc::EMSGSIZE);
    assert_eq!(ring.producer.output_batch(&[]).unwrap(), 0);
}

#[test]
fn waits_for_room() {
    let Some(mut ring) = UserRing::create() else {
        return;
    };
    let mut fitted = 0;
    while ring.producer.output(&request(fitted, 1000)).is_ok() {
        fitted += 1;
    }
    let begin = Instant::now();
    let short = Duration::from_millis(20);
    let refused = ring.producer.reserve_wait(1000, Some(short)).unwrap_err();
    assert_eq!(refused, Error::Full);
    assert!(begin.elapsed() >= short);
    let UserRing {
        drain, producer, ..
    } = &ring;
    thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let mut reserved = producer.reserve_wait(1000, None).unwrap();
            reserved.put(0, &request(99, 1000)).unwrap();
            reserved.submit().unwrap();
        });
        thread::sleep(Duration::from_millis(10));
        assert!(!waiter.is_finished());
        let mut args = DrainArgs {
            stop_after: 1,
            ..Default::default()
        };
        run(drain, &mut args);
        assert_eq!(args.result, 1);
    });
    let mut expected: Vec<u64> = (1..fitted).collect();
    expected.push(99);
    ring.answers.next(WATCHDOG).unwrap().commit().unwrap();
    assert_eq!(ring.drain(), expected);
}
