// SPDX-License-Identifier: MIT
//! Prints the machine's execs live, with a line of figures each second.
//!
//!     tail        (as root; Ctrl-C ends it)

use std::time::{Duration, Instant};

use events::{EXEC, Event, Exec, Failure, Program, flush_on_signal, text};
use rbcore::{Reader, Record};

const SECOND: Duration = Duration::from_secs(1);

/// Most records are switches: they are counted only.
fn print(record: &Record<'_>) -> rbcore::Result<()> {
    if record.data_as::<Event>()?.kind != EXEC {
        return Ok(());
    }
    let Exec { event, file } = record.data_as()?;
    println!(
        "{:14.4}  cpu {:<3} {}[{}] {}",
        event.time_ns as f64 / 1e9,
        event.cpu,
        text(&event.name),
        event.pid,
        text(file)
    );
    Ok(())
}

fn print_figures(reader: &Reader, ring: u16) -> rbcore::Result<()> {
    let stats = reader.stats()?;
    let lost = reader.ring_stats(ring)?.lost.unwrap_or(0);
    println!(
        "-- {} records, {} batches, {} wakeups, {lost} lost",
        stats.records, stats.batches, stats.wakeups
    );
    Ok(())
}

fn main() -> Result<(), Failure> {
    let program = Program::load(false)?;
    let mut reader = Reader::open()?;
    let ring = reader.add(&program.source())?;
    flush_on_signal(reader.handle())?;
    let _attached = program.attach()?;

    let mut next_figures = Instant::now() + SECOND;
    loop {
        let left = next_figures.saturating_duration_since(Instant::now());
        match reader.next(Some(left)) {
            Ok(batch) => {
                batch.iter().try_for_each(|record| print(&record))?;
                batch.commit()?;
            }
            Err(rbcore::Error::Flushed) => break,
            Err(error) => return Err(error.into()),
        }
        if Instant::now() >= next_figures {
            print_figures(&reader, ring)?;
            next_figures += SECOND;
        }
    }
    print_figures(&reader, ring)?;
    Ok(())
}
