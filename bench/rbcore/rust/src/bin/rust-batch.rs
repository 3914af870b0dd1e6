// SPDX-License-Identifier: MIT
//! Batches that are lent, and committed whole. An argument before those of the producer is the
//! maximal latency in microseconds.

use std::cell::Cell;
use std::time::Duration;

use rbcore::Source;
use rbcore_bench_peers::{Reader, Result, ready};

/// The default of a reader.
const BATCH_SIZE: usize = 256;

fn main() -> Result<()> {
    let (mut accounts, fd) = Reader::open()?;
    let mut options = rbcore::Reader::builder();
    if std::env::args().len() == 4 {
        let latency = std::env::args().nth(1).unwrap_or_default().parse()?;
        options = options.max_latency(Duration::from_micros(latency));
    }
    let mut reader = options.open()?;
    reader.add(&Source::map(&fd))?;
    let ended = Cell::new(false);
    let mut wakeups = 0;
    let ready_cpu_ns = ready();

    while !ended.get() {
        let batch = reader.next(None)?;
        wakeups += u64::from(batch.len() < BATCH_SIZE); // it took all there was
        for record in &batch {
            accounts.record(record.data(), &ended);
        }
        batch.commit()?;
    }
    accounts.report(ready_cpu_ns, wakeups);
    Ok(())
}
