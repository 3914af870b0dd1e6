// SPDX-License-Identifier: MIT
//! A lease for each record, given back one by one.

use std::cell::Cell;

use rbcore::Source;
use rbcore_bench_peers::{Reader, Result, ready};

/// The default of a reader.
const BATCH_SIZE: usize = 256;

fn main() -> Result<()> {
    let (mut accounts, fd) = Reader::open()?;
    let mut reader = rbcore::Reader::builder().open_leasing()?;
    reader.add(&Source::map(&fd))?;
    let ended = Cell::new(false);
    let mut wakeups = 0;
    let ready_cpu_ns = ready();

    while !ended.get() {
        let leases = reader.next(None)?;
        wakeups += u64::from(leases.len() < BATCH_SIZE); // it took all there was
        for lease in leases {
            accounts.record(&lease, &ended);
        }
    }
    accounts.report(ready_cpu_ns, wakeups);
    Ok(())
}
