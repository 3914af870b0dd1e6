// SPDX-License-Identifier: MIT
//! Batches and deferred commit: records are given back only after they are safe in a file, so that
//! a reader that dies repeats records, and never loses one.
//!
//!     batch FILE

use std::error::Error;
use std::fs::File;
use std::io::Write;

use rbcore::{MemoryRing, Producer, Reader, Source};

const RECORDS: u32 = 1000;

fn produce(ring: &MemoryRing) -> rbcore::Result<()> {
    let producer = Producer::open(ring)?;
    for number in 0..RECORDS {
        producer.output(&number.to_ne_bytes())?;
    }
    Ok(())
}

fn open(ring: &MemoryRing) -> rbcore::Result<Reader> {
    let mut reader = Reader::builder().batch_size(64).open()?;
    reader.add(&Source::memory(ring))?;
    Ok(reader)
}

/// Saves and commits until the ring is empty or `room` records are saved. Returns their number.
fn drain(reader: &mut Reader, file: &mut File, room: usize) -> Result<usize, Box<dyn Error>> {
    let mut total = 0;
    while total < room {
        let mut batch = reader.read()?;
        if batch.is_empty() {
            break;
        }
        let count = batch.len().min(room - total);
        for record in batch.iter().take(count) {
            writeln!(file, "{}", u32::from_ne_bytes(record.data().try_into()?))?;
        }
        file.sync_data()?;
        batch.commit_first(count)?;
        total += count;
    }
    Ok(total)
}

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args_os().nth(1).ok_or("usage: batch FILE")?;
    let mut file = File::create(path)?;
    let ring = MemoryRing::create(65536)?;
    produce(&ring)?;

    // The first reader has room for 300 records: it stops within a batch, and commits up to there.
    let saved = drain(&mut open(&ring)?, &mut file, 300)?;
    println!("the first reader saved {saved} records and stopped within a batch");

    // The second one gets exactly what was not committed.
    let saved = drain(&mut open(&ring)?, &mut file, RECORDS as usize)?;
    println!("the second reader saved the other {saved}");
    Ok(())
}
