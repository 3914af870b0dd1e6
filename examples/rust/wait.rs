// SPDX-License-Identifier: MIT
//! The reader in somebody else's event loop: its descriptor beside a timer in one epoll.

use std::error::Error;
use std::thread;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use rbcore::{MemoryRing, Producer, Reader, Source};

const RECORDS: usize = 200;
const GIVE_UP: usize = 300; // ticks
const READER: u64 = 1;
const TIMER: u64 = 2;

/// Writes a record every other millisecond.
fn produce(ring: &MemoryRing) -> rbcore::Result<()> {
    let producer = Producer::open(ring)?;
    for number in 0..RECORDS {
        producer.output(&number.to_ne_bytes())?;
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// The rule of the reader's descriptor: when it is readable, read until nothing is due.
fn read_all(reader: &mut Reader) -> rbcore::Result<usize> {
    let mut total = 0;
    loop {
        let batch = reader.next(Some(Duration::ZERO))?;
        if batch.is_empty() {
            return Ok(total);
        }
        total += batch.len();
        batch.commit()?;
    }
}

fn run(reader: &mut Reader) -> Result<(), Box<dyn Error + Send + Sync>> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC)?;
    let tick = TimeSpec::from(Duration::from_millis(100));
    timer.set(Expiration::Interval(tick), TimerSetTimeFlags::empty())?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(&*reader, EpollEvent::new(EpollFlags::EPOLLIN, READER))?;
    epoll.add(&timer, EpollEvent::new(EpollFlags::EPOLLIN, TIMER))?;

    let (mut records, mut turns, mut ticks) = (0, 0, 0);
    while records < RECORDS || ticks == 0 {
        let mut events = [EpollEvent::empty()];
        epoll.wait(&mut events, EpollTimeout::NONE)?;
        if events[0].data() == READER {
            records += read_all(reader)?;
            turns += 1;
        } else {
            timer.wait()?;
            ticks += 1;
            if ticks > GIVE_UP {
                return Err("some records are missing".into());
            }
        }
    }
    println!("{records} records in {turns} turns of the loop, {ticks} ticks of its timer");
    Ok(())
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let ring = MemoryRing::create(65536)?;
    let mut reader = Reader::open()?;
    reader.add(&Source::memory(&ring))?;
    thread::scope(|scope| {
        scope.spawn(|| produce(&ring));
        run(&mut reader)
    })
}
