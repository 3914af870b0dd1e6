// SPDX-License-Identifier: MIT
//! What the benchmark's readers in Rust have in common: what they do with each record, and their
//! report.

use std::cell::Cell;
use std::error::Error;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::time::{ClockId, clock_gettime};

/// Set in the sequence of the last record.
const RECORD_END: u64 = 1 << 63;

/// Set in the sequences of the second producer.
const RECORD_SECOND: u64 = 1 << 62;

/// Latencies beyond these are not kept; the memory is taken page by page as they come.
const LATENCIES_MAX: usize = 1 << 22;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Keeps the accounts of one measurement.
pub struct Reader {
    delivered: u64, // known at the end
    lost: u64,
    expected: u64, // the next sequence
    other: u64,    // the next sequence of the producer that the last record is not from
    sample_mask: u64,
    end_ns: u64,
    end_cpu_ns: u64,
    latencies: Vec<u64>,
}

impl Reader {
    /// Takes the arguments that the producer gives, the last two; the descriptor of the map among
    /// them.
    pub fn open() -> Result<(Self, OwnedFd)> {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let [.., fd, sample_every] = arguments.as_slice() else {
            return Err("call it by the producer: MAP_FD SAMPLE_EVERY".into());
        };
        let fd: RawFd = fd.parse()?;
        let sample_every: u64 = sample_every.parse()?;
        if !sample_every.is_power_of_two() {
            return Err("SAMPLE_EVERY has to be a power of two".into());
        }
        let reader = Self {
            delivered: 0,
            lost: 0,
            expected: 0,
            other: RECORD_SECOND,
            sample_mask: sample_every - 1,
            end_ns: 0,
            end_cpu_ns: 0,
            latencies: Vec::with_capacity(LATENCIES_MAX),
        };
        // SAFETY: the producer left this descriptor open for us, and nobody else has it.
        Ok((reader, unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// The work on each record, equal for all readers: one word, and of a sample the second, too.
    /// Sets `ended` at the last one.
    #[inline]
    pub fn record(&mut self, data: &[u8], ended: &Cell<bool>) {
        let sequence = word(data, 0);
        if sequence != self.expected {
            self.gap(sequence, ended);
            if ended.get() {
                return;
            }
        }
        self.expected = sequence + 1;
        if sequence & self.sample_mask == 0 {
            self.sample(data);
        }
    }

    /// Prints the result; takes what `ready` returned.
    pub fn report(mut self, ready_cpu_ns: u64, wakeups: u64) {
        self.latencies.sort_unstable();
        println!(
            r#"{{"delivered": {}, "lost": {}, "end_ns": {}, "cpu_ns": {}, "wakeups": {}, "latency_ns": {{"p50": {}, "p99": {}, "p999": {}}}}}"#,
            self.delivered,
            self.lost,
            self.end_ns,
            self.end_cpu_ns - ready_cpu_ns,
            wakeups,
            self.percentile(0.5),
            self.percentile(0.99),
            self.percentile(0.999)
        );
    }

    /// A sequence that is not the one expected: of a record after lost ones, another producer, the
    /// end.
    fn gap(&mut self, sequence: u64, ended: &Cell<bool>) {
        if sequence & RECORD_END != 0 {
            let next = (self.expected & !RECORD_SECOND) + (self.other & !RECORD_SECOND);
            self.delivered = next - self.lost;
            self.lost = (sequence & !RECORD_END) - self.delivered;
            ended.set(true);
            self.end_ns = clock_ns(ClockId::CLOCK_MONOTONIC);
            self.end_cpu_ns = clock_ns(ClockId::CLOCK_PROCESS_CPUTIME_ID);
            return;
        }
        if (sequence ^ self.expected) & RECORD_SECOND != 0 {
            std::mem::swap(&mut self.expected, &mut self.other);
        }
        if sequence < self.expected {
            eprintln!("reader: a record came twice or out of order");
            std::process::exit(1);
        }
        self.lost += sequence - self.expected;
    }

    fn sample(&mut self, data: &[u8]) {
        let now = clock_ns(ClockId::CLOCK_MONOTONIC);
        if self.latencies.len() < LATENCIES_MAX {
            self.latencies.push(now - word(data, 1));
        }
    }

    fn percentile(&self, fraction: f64) -> u64 {
        let index = (fraction * self.latencies.len() as f64) as usize;
        self.latencies.get(index).copied().unwrap_or(0)
    }
}

/// Tells the producer to begin; the CPU time counts from the one that this returns.
pub fn ready() -> u64 {
    println!("ready");
    clock_ns(ClockId::CLOCK_PROCESS_CPUTIME_ID)
}

#[inline]
fn word(data: &[u8], index: usize) -> u64 {
    let bytes = data[8 * index..8 * index + 8].try_into();
    u64::from_ne_bytes(bytes.expect("a slice of 8 bytes"))
}

fn clock_ns(clock: ClockId) -> u64 {
    let now = clock_gettime(clock).expect("a clock that Linux has");
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}
