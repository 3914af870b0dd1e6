// SPDX-License-Identifier: MIT
//! Errors are read aloud: each is one sentence that says what went wrong and with what.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::time::Duration;

use nix::sys::memfd::{MFdFlags, memfd_create};
use rbcore::{Error, MemoryRing, Producer, Reader, Snapshot, Source};

fn file_with(content: &[u8]) -> File {
    let mut file = File::from(memfd_create("file", MFdFlags::MFD_CLOEXEC).unwrap());
    file.write_all(content).unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    file
}

/// Errors with what each must say.
fn errors() -> Vec<(&'static str, Error)> {
    let ring = MemoryRing::create(4096).unwrap();
    let producer = Producer::open(&ring).unwrap();
    let mut reader = Reader::open().unwrap();
    let index = reader.add(&Source::memory(&ring)).unwrap();
    let snapshot = reader.snapshot(index).unwrap();
    let polling = Reader::builder().polling().max_latency(Duration::ZERO);
    let read_only = File::open("/dev/null").unwrap();
    let mut other = Reader::open().unwrap();
    vec![
        (
            "the size must be a power of two, from a page to 1 GiB",
            MemoryRing::create(1000).unwrap_err(),
        ),
        (
            "polling needs a latency greater than zero",
            polling.open().unwrap_err(),
        ),
        (
            "/nope: No such file or directory",
            other.add(&Source::path("/nope")).unwrap_err(),
        ),
        (
            "another reader has the ring",
            other.add(&Source::memory(&ring)).unwrap_err(),
        ),
        (
            "the reader has no ring of this index",
            reader.ring_stats(index + 1).unwrap_err(),
        ),
        (
            "no ring has the index 1",
            reader.remove(index + 1).unwrap_err(),
        ),
        (
            "the record can never fit into the ring",
            producer.output(&[0; 4096]).unwrap_err(),
        ),
        (
            "the file is not a snapshot",
            Snapshot::load(file_with(&[7; 4096])).unwrap_err(),
        ),
        (
            "not an open file descriptor",
            snapshot.save(&read_only).unwrap_err(),
        ),
    ]
}

#[test]
fn errors_are_sentences() {
    for (wanted, error) in errors() {
        let text = error.to_string();
        assert!(text.starts_with(wanted), "{text:?} instead of {wanted:?}");
        assert!(text.len() <= 100 && !text.ends_with('.'), "{text:?}");
        assert!(
            !text.contains(". ") && !text.contains("rbcore_"),
            "{text:?}"
        );
        let mut clauses: Vec<_> = text.split(": ").map(str::to_lowercase).collect();
        clauses.sort_unstable();
        let count = clauses.len();
        clauses.dedup();
        assert_eq!(clauses.len(), count, "{text:?} says something twice");
    }
}
