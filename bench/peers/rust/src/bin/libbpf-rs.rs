// SPDX-License-Identifier: MIT
//! libbpf-rs as its documentation shows it: a loop around RingBuffer's poll.

use std::cell::Cell;
use std::os::fd::AsFd;
use std::time::Duration;

use libbpf_rs::{MapHandle, MapInfo, RingBufferBuilder};
use rbcore_bench_peers::{Reader, Result, ready};

fn main() -> Result<()> {
    let (mut reader, fd) = Reader::open()?;
    // It takes no descriptors, but the id of the map that one names.
    let map = MapHandle::from_map_id(MapInfo::new(fd.as_fd())?.info.id)?;
    let ended = Cell::new(false);
    let mut wakeups = 0;
    let mut rings = RingBufferBuilder::new();

    rings.add(&map, |data| {
        reader.record(data, &ended);
        0
    })?;
    let ring = rings.build()?;
    let ready_cpu_ns = ready();
    while !ended.get() {
        // The variant of poll that tells how many records it found.
        let records = ring.poll_raw(Duration::MAX);

        if records < 0 {
            return Err(format!("poll: error {records}").into());
        }
        wakeups += u64::from(records > 0);
    }
    drop(ring); // it holds the reader
    reader.report(ready_cpu_ns, wakeups);
    Ok(())
}
