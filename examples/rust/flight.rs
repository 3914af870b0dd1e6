// SPDX-License-Identifier: MIT
//! A flight recorder: when something happens that is worth a look, it prints the last records before
//! that. A ring in overwrite mode (Linux 6.19) always has the newest records, no reader has to keep up
//! with them, and one call copies all. On older kernels a reader holds the newest as leases.
//!
//!     flight [-n RECORDS] [NAME]        (as root; Ctrl-C ends it)
//!     flight [-n RECORDS] --memory      (without BPF)
//!
//! The trigger is the next program of that NAME that is started, or without NAME the next one. --memory
//! uses a memory ring in overwrite mode, and a thread that writes into it and ends with a fault.

use std::collections::VecDeque;
use std::thread;
use std::time::Duration;

use events::{EXEC, Event, Failure, MADE_UP, Program, SWITCH, flush_on_signal, text};
use nix::time::{ClockId, clock_gettime};
use rbcore::{Lease, MemoryRing, Producer, Reader, Snapshot, Source};
use zerocopy::IntoBytes;

const RING_SIZE: usize = 65536;
/// Of 100 records: several times what the ring holds.
const BURSTS: u32 = 100;

fn made_up(kind: u32, name: &[u8]) -> nix::Result<Event> {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    let mut event = Event {
        time_ns: now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64,
        kind,
        cpu: 0,
        pid: std::process::id(),
        name: [0; 16],
        reserved: 0,
    };
    event.name[..name.len()].copy_from_slice(name);
    Ok(event)
}

/// In overwrite mode no record is refused: the oldest make room.
fn produce_until_fault(ring: &MemoryRing) -> Result<(), Failure> {
    let producer = Producer::open(ring)?;
    for _ in 0..BURSTS {
        for _ in 0..100 {
            producer.output(made_up(MADE_UP, b"producer")?.as_bytes())?;
        }
        thread::sleep(Duration::from_millis(1));
    }
    producer.output(made_up(EXEC, b"fault")?.as_bytes())?;
    Ok(())
}

fn is_trigger(event: &Event, wanted: Option<&str>) -> bool {
    event.kind == EXEC && wanted.is_none_or(|wanted| text(&event.name) == wanted)
}

fn print(event: &Event, position: u64) {
    let kind = match event.kind {
        EXEC => "exec",
        SWITCH => "switch",
        _ => "made up",
    };
    println!(
        "{:14.6}  cpu {:<3} {kind:7} {}[{}] at {position}",
        event.time_ns as f64 / 1e9,
        event.cpu,
        text(&event.name),
        event.pid,
    );
}

/// Follows the ring, and returns where the trigger is.
fn wait_for_trigger(reader: &mut Reader, wanted: Option<&str>) -> rbcore::Result<u64> {
    loop {
        let batch = reader.next(None)?;
        for record in &batch {
            if is_trigger(record.data_as()?, wanted) {
                return Ok(record.position());
            }
        }
        batch.commit()?;
    }
}

/// Prints the last records of the snapshot before the trigger, and the trigger.
fn print_flight(snapshot: &mut Snapshot, trigger: u64, most: usize) -> Result<(), Failure> {
    let records: Vec<_> = snapshot.records().collect::<Result<_, _>>()?;
    let before = records
        .iter()
        .position(|record| record.position() == trigger)
        .ok_or("the trigger was overwritten before it was copied")?;
    let count = before.min(most);
    for record in &records[before - count..before] {
        print(record.data_as()?, record.position());
    }
    let event: &Event = records[before].data_as()?;
    println!(
        "trigger: {} at {trigger}, the last {count} of {before} records before it",
        text(&event.name)
    );
    Ok(())
}

/// Records with a ring in overwrite mode. `start` starts the writer, which runs until the result is
/// dropped.
fn overwritten<T>(
    source: Source<'_>,
    wanted: Option<&str>,
    most: usize,
    start: impl FnOnce() -> Result<T, Failure>,
) -> Result<(), Failure> {
    let mut reader = Reader::open()?;
    let ring = reader.add(&source.overwrite())?;
    flush_on_signal(reader.handle())?;
    let _started = start()?;
    let trigger = wait_for_trigger(&mut reader, wanted)?;
    print_flight(&mut reader.snapshot(ring)?, trigger, most)
}

/// Records with leases: a record stays in the ring until its lease is dropped.
fn held(program: &Program, wanted: Option<&str>, most: usize) -> Result<(), Failure> {
    let mut reader = Reader::builder().open_leasing()?;
    reader.add(&program.source())?;
    flush_on_signal(reader.handle())?;
    let _attached = program.attach()?;
    let mut newest: VecDeque<Lease> = VecDeque::new();
    loop {
        for lease in reader.next(None)? {
            let event: &Event = lease.data_as()?;
            if is_trigger(event, wanted) {
                for lease in &newest {
                    print(lease.data_as()?, lease.position());
                }
                let (name, count) = (text(&event.name), newest.len());
                println!(
                    "trigger: {name} at {}, the last {count} records before it",
                    lease.position()
                );
                return Ok(());
            }
            newest.push_back(lease);
            if newest.len() > most {
                newest.pop_front(); // given back
            }
        }
    }
}

fn in_memory(most: usize) -> Result<(), Failure> {
    let ring = MemoryRing::create_overwriting(RING_SIZE)?;
    thread::scope(|threads| {
        overwritten(Source::memory(&ring), None, most, || {
            Ok(threads.spawn(|| produce_until_fault(&ring).expect("no record is refused")))
        })
    })
}

fn of_the_kernel(wanted: Option<&str>, most: usize) -> Result<(), Failure> {
    match Program::load(true) {
        Ok(program) => overwritten(program.source(), wanted, most, || Ok(program.attach()?)),
        Err(_) => held(&Program::load(false)?, wanted, most), // before Linux 6.19
    }
}

fn main() -> Result<(), Failure> {
    let mut arguments = pico_args::Arguments::from_env();
    let most = arguments.opt_value_from_str("-n")?.unwrap_or(10);
    let wanted: Option<String> = match arguments.contains("--memory") {
        true => return in_memory(most),
        false => arguments.opt_free_from_str()?,
    };
    match of_the_kernel(wanted.as_deref(), most) {
        Err(error) if error.downcast_ref() == Some(&rbcore::Error::Flushed) => Ok(()), // Ctrl-C
        result => result,
    }
}
