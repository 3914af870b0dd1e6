// SPDX-License-Identifier: MIT
//! Batches and deferred commit: records are given back only after they are safe in a file. So a reader
//! of a pinned ring that dies repeats records, and never loses one.
//!
//!     batch FILE        (as root; Ctrl-C ends it)

use std::fs::File;
use std::io::Write;

use events::{EXEC, Event, Failure, Program, flush_on_signal, text};
use rbcore::{Batch, Reader};

/// Writes a line for each exec, and returns how many.
fn save(batch: &Batch<'_>, file: &mut File) -> Result<usize, Failure> {
    let mut lines = String::new();
    for event in batch.records::<Event>() {
        let event = event?;
        if event.kind == EXEC {
            lines += &format!("{} {} {}\n", event.time_ns, event.pid, text(&event.name));
        }
    }
    if !lines.is_empty() {
        file.write_all(lines.as_bytes())?;
        file.sync_data()?;
    }
    Ok(lines.lines().count())
}

fn main() -> Result<(), Failure> {
    let path = std::env::args_os().nth(1).ok_or("usage: batch FILE")?;
    let mut file = File::options().create(true).append(true).open(path)?;
    let program = Program::load(false)?;
    let mut reader = Reader::open()?;
    let ring = reader.add(&program.source())?;
    flush_on_signal(reader.handle())?;
    let _attached = program.attach()?;

    let mut saved = 0;
    loop {
        match reader.next(None) {
            Ok(batch) => {
                saved += save(&batch, &mut file)?;
                batch.commit()?; // only now may the kernel use their space again
            }
            Err(rbcore::Error::Flushed) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let stats = reader.ring_stats(ring)?;
    let lost = stats.lost.unwrap_or(0);
    println!(
        "{saved} execs saved of {} records, {lost} lost",
        stats.records
    );
    Ok(())
}
