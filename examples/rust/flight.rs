// SPDX-License-Identifier: MIT
//! A flight recorder: a ring in overwrite mode always holds the newest records, and nobody has to
//! keep up with them. When something happens that is worth a look, one call copies the ring, and the
//! last records before it are printed.
//!
//!     flight [-n RECORDS] [PATH]
//!
//! PATH: where a ring in overwrite mode is pinned (load -o PATH of the examples in C); what triggers is
//! the next program that is started. Without it: a memory ring, and a thread that writes into it and
//! ends with a fault.

use std::error::Error;
use std::thread;
use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use rbcore::{MemoryRing, Producer, Reader, Record, Snapshot, Source};

type Failure = Box<dyn Error + Send + Sync>;

const RING_SIZE: usize = 65536;
/// Of 100 records: several times what the ring holds.
const BURSTS: u32 = 100;

/// The kinds of examples/bpf/events.h.
const EXEC: u32 = 1;
const SWITCH: u32 = 2;
const MADE_UP: u32 = 3;

fn word(data: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes(data[at..at + 4].try_into().expect("four bytes"))
}

fn name(data: &[u8]) -> String {
    let name = data[20..36].split(|&byte| byte == 0).next();
    String::from_utf8_lossy(name.unwrap_or_default()).into_owned()
}

/// struct event of examples/bpf/events.h.
fn event(kind: u32, name: &[u8]) -> nix::Result<[u8; 40]> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    let time_ns = now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64;
    let mut event = [0; 40];
    event[..8].copy_from_slice(&time_ns.to_ne_bytes());
    event[8..12].copy_from_slice(&kind.to_ne_bytes());
    event[16..20].copy_from_slice(&std::process::id().to_ne_bytes());
    event[20..20 + name.len()].copy_from_slice(name);
    Ok(event)
}

/// In overwrite mode no record is refused, the oldest make room.
fn produce_until_fault(ring: &MemoryRing) -> Result<(), Failure> {
    let producer = Producer::open(ring)?;
    for _ in 0..BURSTS {
        for _ in 0..100 {
            producer.output(&event(MADE_UP, b"producer")?)?;
        }
        thread::sleep(Duration::from_millis(1));
    }
    producer.output(&event(EXEC, b"fault")?)?;
    Ok(())
}

/// Follows the ring, and returns where the trigger is.
fn wait_for_trigger(reader: &mut Reader) -> rbcore::Result<u64> {
    loop {
        let batch = reader.next(None)?;
        let is_trigger = |record: &Record<'_>| word(record.data(), 8) == EXEC;
        if let Some(trigger) = batch.iter().find(is_trigger) {
            return Ok(trigger.position());
        }
        batch.commit()?;
    }
}

fn print(record: &Record<'_>) {
    let data = record.data();
    let time_ns = u64::from_ne_bytes(data[..8].try_into().expect("eight bytes"));
    let kind = match word(data, 8) {
        EXEC => "exec",
        SWITCH => "switch",
        _ => "made up",
    };
    println!(
        "{:14.6}  cpu {:<3} {kind:7} {}[{}] at {}",
        time_ns as f64 / 1e9,
        word(data, 12),
        name(data),
        word(data, 16),
        record.position()
    );
}

/// Prints the last records of the snapshot before the trigger, and the trigger.
fn print_flight(snapshot: &mut Snapshot, trigger: u64, most: usize) -> Result<(), Failure> {
    let records: Vec<_> = snapshot.records().collect::<Result<_, _>>()?;
    let before = records
        .iter()
        .position(|record| record.position() == trigger)
        .ok_or("the trigger was overwritten before it was copied")?;
    let count = before.min(most);
    records[before - count..before].iter().for_each(print);
    println!(
        "trigger: {} at {trigger}, the last {count} of {before} records before it",
        name(records[before].data())
    );
    Ok(())
}

fn record_flight(source: &Source<'_>, most: usize) -> Result<(), Failure> {
    let mut reader = Reader::open()?;
    let ring = reader.add(&source.clone().overwrite())?;
    let trigger = wait_for_trigger(&mut reader)?;
    print_flight(&mut reader.snapshot(ring)?, trigger, most)
}

fn main() -> Result<(), Failure> {
    let mut arguments = pico_args::Arguments::from_env();
    let most = arguments.opt_value_from_str("-n")?.unwrap_or(10);
    if let Some(path) = arguments.opt_free_from_str::<String>()? {
        return record_flight(&Source::path(path), most);
    }
    let ring = MemoryRing::create_overwriting(RING_SIZE)?;
    thread::scope(|threads| {
        let producer = threads.spawn(|| produce_until_fault(&ring));
        record_flight(&Source::memory(&ring), most)?;
        producer.join().expect("the producer does not panic")?;
        Ok(())
    })
}
