// SPDX-License-Identifier: MIT
//! Reproduces tests/vectors of the project: its README has the format.

use std::fs::{self, File};
use std::iter::Peekable;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rbcore::{Error, MemoryRing, Reader, Source};

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

/// A result as the vectors write it.
fn text(result: Result<usize, Error>) -> String {
    match result {
        Ok(count) => count.to_string(),
        Err(error) => match error.errno() {
            libc::EBADMSG => "EBADMSG".into(),
            libc::EAGAIN => "EAGAIN".into(),
            libc::EOPNOTSUPP => "EOPNOTSUPP".into(),
            libc::EMEDIUMTYPE => "EMEDIUMTYPE".into(),
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

/// A read and the lines about its records: all that follow while the batch is lent.
fn read<'v>(
    image: &Image,
    reader: &mut Reader,
    [max, expected]: [&str; 2],
    lines: &mut Peekable<impl Iterator<Item = Vec<&'v str>>>,
) {
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
            _ if image.carry_out(words) => {}
            _ => break,
        }
        lines.next();
    }
}

fn reproduce(vector: &str) -> bool {
    let lines = vector
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut lines = lines
        .map(|line| line.split(' ').collect::<Vec<_>>())
        .peekable();
    let (size, create): (_, fn(usize) -> _) = match lines.next().as_deref() {
        Some(["ring", size]) => (number(size), MemoryRing::create),
        Some(["ring_overwrite", size]) => (number(size), MemoryRing::create_overwriting),
        other => panic!("{other:?}"),
    };
    // SAFETY: takes and gives numbers.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) as u64 };
    if page > size {
        return false;
    }
    let image = Image::create(create(size as usize).unwrap(), page);
    let mut reader = None;
    while let Some(words) = lines.next() {
        match (words.as_slice(), &mut reader) {
            ([word @ ("add" | "add_latest" | "add_overwrite"), expected], _) => {
                reader = Some(image.open(word, expected));
            }
            (["read", max, expected], Some(reader)) => {
                read(&image, reader, [max, expected], &mut lines);
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
            (["close"], _) => reader = None,
            (words, _) => assert!(image.carry_out(words), "not of the format: {words:?}"),
        }
    }
    true
}

#[test]
fn vectors() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/vectors/images");
    let mut reproduced = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let vector = fs::read_to_string(&path).unwrap();
        match std::panic::catch_unwind(|| reproduce(&vector)) {
            Ok(applies) => reproduced += usize::from(applies),
            Err(_) => panic!("{}: see above", path.display()),
        }
    }
    // SAFETY: takes and gives numbers.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    assert!(reproduced >= 60 || page > 4096, "only {reproduced} vectors");
}
