// SPDX-License-Identifier: MIT
//! A lease for each record, given back one by one.

use std::cell::Cell;

use rbcore::Source;
use rbcore_bench_peers::{Reader, Result, ready};

fn main() -> Result<()> {
    let (mut accounts, fd) = Reader::open()?;
    let mut reader = rbcore::Reader::builder().open_leasing()?;
    reader.add(&Source::map(&fd))?;
    let ended = Cell::new(false);
    let ready_cpu_ns = ready();

    while !ended.get() {
        for lease in reader.next(None)? {
            accounts.record(&lease, &ended);
        }
    }
    accounts.report(ready_cpu_ns, reader.stats()?.wakeups);
    Ok(())
}
