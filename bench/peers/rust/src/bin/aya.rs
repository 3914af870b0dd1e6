// SPDX-License-Identifier: MIT
//! aya as its documentation shows it: wait until the descriptor is readable, then take all records.

use std::cell::Cell;
use std::os::fd::AsFd;

use aya::maps::{Map, MapData, RingBuf};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rbcore_bench_peers::{Reader, Result, ready};

fn main() -> Result<()> {
    let (mut reader, fd) = Reader::open()?;
    let mut ring = RingBuf::try_from(Map::RingBuf(MapData::from_fd(fd)?))?;
    let ended = Cell::new(false);
    let mut wakeups = 0;
    let ready_cpu_ns = ready();

    while !ended.get() {
        let mut found = 0;

        poll(
            &mut [PollFd::new(ring.as_fd(), PollFlags::POLLIN)],
            PollTimeout::NONE,
        )?;
        while let Some(item) = ring.next() {
            reader.record(&item, &ended);
            found = 1;
        }
        wakeups += found;
    }
    reader.report(ready_cpu_ns, wakeups);
    Ok(())
}
