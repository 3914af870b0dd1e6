// SPDX-License-Identifier: MIT
//! Prints events live, with a line of figures each second, and a summary.
//!
//!     tail [-d SECONDS] [PATH]
//!
//! PATH is where `load` of examples/c pinned the ring of its BPF program. Without it a thread writes
//! events into a memory ring. SECONDS: how long, default 5.

use std::error::Error;
use std::thread;
use std::time::{Duration, Instant};

use rbcore::{Handle, MemoryRing, Producer, Reader, ReaderStats, Record, Source};

/// Lines printed in a tenth of a second: a terminal cannot keep up with all.
const LINES_MAX: u32 = 4;

/// struct event of examples/bpf/events.h: what kind, which CPU, whose.
struct Event<'b> {
    time_ns: u64,
    kind: u32,
    cpu: u32,
    pid: u32,
    name: &'b str,
    more: &'b [u8],
}

fn text(bytes: &[u8]) -> &str {
    let end = bytes
        .iter()
        .position(|&byte| byte == 0)
        .unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).unwrap_or("?")
}

/// None for a record that is too short to be an event.
fn parse(data: &[u8]) -> Option<Event<'_>> {
    let word = |at: usize| Some(u32::from_ne_bytes(data.get(at..at + 4)?.try_into().ok()?));
    Some(Event {
        time_ns: u64::from_ne_bytes(data.get(..8)?.try_into().ok()?),
        kind: word(8)?,
        cpu: word(12)?,
        pid: word(16)?,
        name: text(data.get(20..36)?),
        more: data.get(40..)?,
    })
}

fn print_event(record: &Record<'_>, event: &Event<'_>) {
    let (seconds, name, pid) = (event.time_ns as f64 / 1e9, event.name, event.pid);
    print!("{seconds:14.4}  cpu {:<3} ", event.cpu);
    match (event.kind, event.more) {
        (1, file) => println!("exec    {name}[{pid}] {}", text(file)),
        (2, next) if next.len() >= 16 => println!("switch  {name}[{pid}] -> {}", text(&next[..16])),
        _ => println!("made up {name}[{pid}] record at {}", record.position()),
    }
}

/// Bursts of 100 events with pauses between, until the reader is gone.
fn make_up(ring: &MemoryRing, reader: &Handle) -> rbcore::Result<()> {
    let producer = Producer::open(ring)?;
    let started = Instant::now();
    let mut event = [0; 40];
    event[8] = 3;
    event[16..20].copy_from_slice(&std::process::id().to_ne_bytes());
    event[20..28].copy_from_slice(b"producer");
    while reader.stats().is_ok() {
        event[..8].copy_from_slice(&(started.elapsed().as_nanos() as u64).to_ne_bytes());
        for _ in 0..100 {
            let _ = producer.output(&event); // full: the ring counts it
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Prints the first events of each tenth of a second, and leaves out the rest.
struct Printer {
    tenth: u64,
    lines: u32,
}

impl Printer {
    fn print(&mut self, record: &Record<'_>) {
        let Some(event) = parse(record.data()) else {
            return;
        };
        let tenth = event.time_ns / 100_000_000;
        if tenth != self.tenth {
            (self.tenth, self.lines) = (tenth, 0);
        }
        self.lines += 1;
        if self.lines <= LINES_MAX {
            print_event(record, &event);
        }
    }
}

fn tail(reader: &mut Reader, ring: u16, seconds: u64) -> rbcore::Result<()> {
    let mut printer = Printer { tenth: 0, lines: 0 };
    let mut before: ReaderStats = reader.stats()?;
    let started = Instant::now();
    for second in 1..=seconds {
        let end = started + Duration::from_secs(second);
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            let batch = reader.next(Some(left))?;
            batch.iter().for_each(|record| printer.print(&record));
            batch.commit()?;
        }
        let stats = reader.stats()?;
        let lost = reader.ring_stats(ring)?.lost;
        println!(
            "-- second {second}: {} records/s, {} batches/s, {} wakeups/s, {} lost so far",
            stats.records - before.records,
            stats.batches - before.batches,
            stats.wakeups - before.wakeups,
            lost.map_or("unknown".to_owned(), |lost| lost.to_string())
        );
        before = stats;
    }
    let (stats, lost) = (reader.stats()?, reader.ring_stats(ring)?.lost);
    println!(
        "{} records, {} batches, {} commits, {} wakeups, {} lost",
        stats.records,
        stats.batches,
        stats.commits,
        stats.wakeups,
        lost.map_or("unknown".to_owned(), |lost| lost.to_string())
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = pico_args::Arguments::from_env();
    let seconds = arguments.opt_value_from_str("-d")?.unwrap_or(5);
    let mut reader = Reader::open()?;
    if let Some(path) = arguments.opt_free_from_str::<String>()? {
        let ring = reader.add(&Source::path(path))?;
        return Ok(tail(&mut reader, ring, seconds)?);
    }
    let memory = MemoryRing::create(1 << 20)?;
    let ring = reader.add(&Source::memory(&memory))?;
    let handle = reader.handle();
    let producing = thread::spawn(move || make_up(&memory, &handle));
    let result = tail(&mut reader, ring, seconds);
    drop(reader);
    let _ = producing.join();
    Ok(result?)
}
