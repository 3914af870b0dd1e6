// SPDX-License-Identifier: MIT
//! Reproduces tests/vectors of the project: its README has the format.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::iter::Peekable;
use std::ops::RangeInclusive;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::sys::memfd::{MFdFlags, memfd_create};
use rbcore::{Batch, Error, MemoryRing, Reader, RingId, Snapshot, SnapshotInfo, Source};

/// The ring and what writes into it behind the reader's back.
struct Image {
    page: u64,
    ring: MemoryRing,
    memory: File,
}

fn hash(data: &[u8]) -> u64 {
    data.iter().fold(0xcbf29ce484222325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100000001b3)
    })
}

fn bytes(hex: &str) -> Vec<u8> {
    let pair = |i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(pair).collect()
}

fn number(word: &str) -> u64 {
    word.parse().unwrap()
}

/// Writes a result as the vectors do.
fn text(result: Result<usize, Error>) -> String {
    match result {
        Ok(count) => count.to_string(),
        Err(error) => match error.errno() {
            libc::EBADMSG => "EBADMSG".into(),
            libc::EOPNOTSUPP => "EOPNOTSUPP".into(),
            libc::EMEDIUMTYPE => "EMEDIUMTYPE".into(),
            libc::E2BIG => "E2BIG".into(),
            other => format!("errno {other}"),
        },
    }
}

impl Image {
    fn create(ring: MemoryRing, page: u64) -> Self {
        let memory = File::from(ring.memory().try_clone_to_owned().unwrap());
        Self { page, ring, memory }
    }

    fn open(&self, word: &str, expected: &str) -> Reader {
        let mut reader = Reader::open().unwrap();
        let source = Source::memory(&self.ring);
        let source = match word {
            "add_latest" => source.latest(),
            "add_overwrite" => source.overwrite(),
            _ => source,
        };
        assert_eq!(text(reader.add(&source).map(usize::from)), expected);
        reader
    }

    /// Lines that need no reader. Returns whether this was one.
    fn carry_out(&self, words: &[&str]) -> bool {
        let (at, bytes) = match *words {
            ["consumer_pos", position] => (0, number(position).to_ne_bytes().to_vec()),
            ["producer_pos", position] => (self.page, number(position).to_ne_bytes().to_vec()),
            ["pending_pos", position] => (self.page + 8, number(position).to_ne_bytes().to_vec()),
            ["overwrite_pos", position] => {
                (self.page + 16, number(position).to_ne_bytes().to_vec())
            }
            ["data", offset, hex] => (2 * self.page + number(offset), bytes(hex)),
            ["fill", offset, count, hex] => {
                let bytes = bytes(hex).repeat(number(count) as usize);
                (2 * self.page + number(offset), bytes)
            }
            ["series", offset, count, first, step] => {
                let [first, step] = [first, step].map(number);
                let bytes = (0..number(count)).map(|i| (first + i * step) as u8);
                (2 * self.page + number(offset), bytes.collect())
            }
            ["consumer", position] => {
                let mut word = [0; 8];
                self.memory.read_exact_at(&mut word, 0).unwrap();
                assert_eq!(u64::from_ne_bytes(word), number(position), "consumer_pos");
                return true;
            }
            _ => return false,
        };
        self.memory.write_all_at(&bytes, at).unwrap();
        true
    }
}

/// Checks a read and the lines about its records: all that follow while the batch is lent.
fn read<'v>(
    image: &Image,
    reader: &mut Reader,
    kept: &mut Option<Kept>,
    [max, expected]: [&str; 2],
    lines: &mut Peekable<impl Iterator<Item = Vec<&'v str>>>,
) {
    if expected == "EAGAIN" {
        return; // this crate goes on by itself: the read that follows does it all
    }
    reader.set_batch_size(number(max) as usize).unwrap();
    let mut batch = match reader.read() {
        Ok(batch) => batch,
        Err(error) => return assert_eq!(text(Err(error)), expected),
    };
    assert_eq!(text(Ok(batch.len())), expected);
    let (mut described, mut committed) = (0, 0);
    while let Some(words) = lines.peek() {
        match words[..] {
            ["record", position, size, digest] => {
                let record = batch.get(described).expect("a record");
                assert_eq!(record.position(), number(position));
                assert_eq!(record.data().len() as u64, number(size));
                assert_eq!(format!("{:016x}", hash(record.data())), digest);
                described += 1;
            }
            ["commit", index] => {
                let count = number(index) as usize + 1;
                batch.commit_first(count - committed).unwrap();
                committed = count;
            }
            ["snapshot", expected] => *kept = expect_snapshot(batch.snapshot(0), expected),
            ["describe", first, last, expected] => {
                let [first, last] = [first, last].map(|i| number(i) as usize - committed);
                *kept = expect_snapshot(load_records(&batch, first..=last), expected);
            }
            _ if image.carry_out(words) => {}
            _ if describe(kept, words) => {}
            _ => break,
        }
        lines.next();
    }
}

/// Loads records that are held from a file that is made of them.
fn load_records(batch: &Batch, records: RangeInclusive<usize>) -> Result<Snapshot, Error> {
    let (header, content) = batch.snapshot_header(records)?;
    let mut file = new_file();
    file.write_all(&header).unwrap();
    file.write_all(&content).unwrap();
    file.rewind().unwrap();
    Ok(Snapshot::load(&file)?.expect("a snapshot"))
}

/// The snapshot that was taken or loaded last.
struct Kept {
    info: SnapshotInfo,
    snapshot: Snapshot,
    /// Those of its records that no line described yet, as lines do, and what came after the last.
    records: std::vec::IntoIter<(u64, usize, String)>,
    end: Result<usize, Error>,
}

impl Kept {
    fn new(mut snapshot: Snapshot) -> Self {
        let info = snapshot.info().unwrap();
        let (mut records, mut end) = (Vec::new(), Ok(0));
        for record in snapshot.records() {
            match record {
                Ok(record) => {
                    let digest = format!("{:016x}", hash(record.data()));
                    records.push((record.position(), record.data().len(), digest));
                }
                Err(error) => end = Err(error),
            }
        }
        Self {
            info,
            snapshot,
            records: records.into_iter(),
            end,
        }
    }

    /// Lines about it. Returns whether this was one.
    fn describe(&mut self, words: &[&str]) -> bool {
        match *words {
            ["extent", first, end, producer, missed] => {
                let expected = [first, end, producer, missed].map(number);
                let info = &self.info;
                let found = [info.first_pos, info.end_pos, info.producer_pos, info.missed];
                assert_eq!(found, expected);
            }
            ["taken", boot_id, kind, id, size, realtime, boottime] => {
                assert_eq!(self.info.boot_id[..], bytes(boot_id));
                let ring = match kind {
                    "3" => RingId::Map(number(id)),
                    "4" => RingId::Memory(number(id)),
                    other => panic!("kind {other}"),
                };
                assert_eq!(self.info.ring, ring);
                let expected = [size, realtime, boottime].map(number);
                let info = &self.info;
                assert_eq!(
                    [info.ring_size, info.realtime_ns, info.boottime_ns],
                    expected
                );
            }
            ["kept", position, size, digest] => {
                let expected = (number(position), number(size) as usize, digest.into());
                assert_eq!(self.records.next(), Some(expected));
            }
            ["kept_end", expected] => {
                assert_eq!(self.records.next(), None);
                assert_eq!(text(self.end.clone()), expected);
            }
            _ => return false,
        }
        true
    }
}

fn describe(kept: &mut Option<Kept>, words: &[&str]) -> bool {
    kept.as_mut().is_some_and(|kept| kept.describe(words))
}

fn expect_snapshot(result: Result<Snapshot, Error>, expected: &str) -> Option<Kept> {
    assert_eq!(
        text(result.as_ref().map(|_| 0).map_err(Error::clone)),
        expected
    );
    result.ok().map(Kept::new)
}

/// Makes an empty file in memory.
fn new_file() -> File {
    memfd_create(c"vectors", MFdFlags::MFD_CLOEXEC)
        .unwrap()
        .into()
}

/// The file of snapshots, and what the last `load` read of it.
struct Files {
    file: File,
    loaded: Vec<u8>,
}

impl Files {
    fn load(&mut self, expected: &str) -> Option<Kept> {
        let start = self.file.stream_position().unwrap();
        let result = Snapshot::load(&self.file);
        let end = self.file.stream_position().unwrap();
        self.loaded = vec![0; (end - start) as usize];
        self.file.read_exact_at(&mut self.loaded, start).unwrap();
        match result.transpose() {
            Some(result) => expect_snapshot(result, expected),
            None => {
                assert_eq!("ENODATA", expected);
                None
            }
        }
    }

    fn save(&self, snapshot: &Snapshot) {
        let mut copy = new_file();
        snapshot.save(&copy).unwrap();
        let mut saved = Vec::new();
        copy.rewind().unwrap();
        copy.read_to_end(&mut saved).unwrap();
        assert!(saved == self.loaded, "the bytes that were loaded");
    }
}

fn lines_of(vector: &str) -> Peekable<impl Iterator<Item = Vec<&str>>> {
    let lines = vector
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .peekable()
}

/// Runs a vector without a ring.
fn reproduce_file(vector: &str) {
    let file = new_file();
    let mut files = Files {
        file,
        loaded: Vec::new(),
    };
    let mut kept = None;
    for words in lines_of(vector) {
        match (words.as_slice(), &kept) {
            (["file", hex], _) => {
                files.file.write_all(&bytes(hex)).unwrap();
                files.file.rewind().unwrap();
            }
            (["load", expected], _) => kept = files.load(expected),
            (["save"], Some(kept)) => files.save(&kept.snapshot),
            (words, _) => assert!(describe(&mut kept, words), "not of the format: {words:?}"),
        }
    }
}

/// Runs a vector of a ring. Returns whether it applies here.
fn reproduce(vector: &str) -> bool {
    let mut lines = lines_of(vector);
    let (size, create): (_, fn(usize) -> _) = match lines.peek().map(Vec::as_slice) {
        Some(["ring", size]) => (number(size), MemoryRing::create),
        Some(["ring_overwrite", size]) => (number(size), MemoryRing::create_overwriting),
        _ => {
            reproduce_file(vector);
            return true;
        }
    };
    lines.next();
    // SAFETY: takes and gives numbers.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 };
    if page > size {
        return false;
    }
    let image = Image::create(create(size as usize).unwrap(), page);
    let mut kept = None;
    let mut reader = None;
    while let Some(words) = lines.next() {
        match (words.as_slice(), &mut reader) {
            ([word @ ("add" | "add_latest" | "add_overwrite"), expected], _) => {
                reader = Some(image.open(word, expected));
            }
            (["read", max, expected], Some(reader)) => {
                read(&image, reader, &mut kept, [max, expected], &mut lines);
            }
            (["commit_all"], Some(reader)) => reader.commit().unwrap(),
            (["stats", records, bytes, discards], Some(reader)) => {
                let stats = reader.ring_stats(0).unwrap();
                let expected = [records, bytes, discards].map(|word| number(word));
                assert_eq!([stats.records, stats.bytes, stats.discards], expected);
            }
            (["lost", bytes], Some(reader)) => {
                assert_eq!(reader.ring_stats(0).unwrap().lost_bytes, number(bytes));
            }
            (["look", consumer, producer, waiting], _) => {
                let stats = Source::memory(&image.ring).ring_stats().unwrap();
                let expected = [consumer, producer, waiting].map(|word| number(word));
                let found = [stats.consumer_pos, stats.producer_pos, stats.bytes_waiting];
                assert_eq!(found, expected);
            }
            (["close"], _) => reader = None,
            (["snapshot", expected], Some(reader)) => {
                kept = expect_snapshot(reader.snapshot(0), expected);
            }
            (words, _) if describe(&mut kept, words) => {}
            (words, _) => assert!(image.carry_out(words), "not of the format: {words:?}"),
        }
    }
    true
}

/// All of a folder, of which that many apply where pages have 4 KiB.
fn reproduce_all(folder: &str, at_least: usize) {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/vectors");
    let mut reproduced = 0;
    for entry in fs::read_dir(vectors.join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let vector = fs::read_to_string(&path).unwrap();
        match std::panic::catch_unwind(|| reproduce(&vector)) {
            Ok(applies) => reproduced += usize::from(applies),
            Err(_) => panic!("{}: see above", path.display()),
        }
    }
    // SAFETY: takes and gives numbers.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    assert!(
        reproduced >= at_least || page > 4096,
        "only {reproduced} vectors"
    );
}

#[test]
fn images() {
    reproduce_all("images", 60);
}

#[test]
fn snapshots() {
    reproduce_all("snapshots", 70);
}
