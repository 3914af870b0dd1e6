// SPDX-License-Identifier: MIT
//! Records handed to threads: each holds a lease as long as it needs it, and they are given back in
//! any order. The ring frees its space as the oldest ones come back.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use rbcore::{Error, Lease, MemoryRing, Producer, Reader, Source};

const RECORDS: u32 = 20_000;
const RING_SIZE: usize = 65536; // all records together would not fit
const WORKERS: usize = 4;
const NAP: Duration = Duration::from_micros(100);

fn produce(ring: &MemoryRing) -> rbcore::Result<()> {
    let producer = Producer::open(ring)?;
    for number in 0..RECORDS {
        // In a real program a full ring loses the record; here it is tried again.
        while let Err(error) = producer.output(&number.to_ne_bytes()) {
            match error {
                Error::Full => thread::sleep(NAP),
                error => return Err(error),
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct Work {
    sum: AtomicU64,
    furthest: AtomicU64, // position that was given back, to see the disorder
    out_of_order: AtomicU64,
}

impl Work {
    fn on(&self, lease: Lease) {
        let number = lease.data().try_into().map_or(0, u32::from_ne_bytes);
        if number % 100 == 0 {
            thread::sleep(NAP); // some records are more work than others
        }
        self.sum.fetch_add(number.into(), Ordering::Relaxed);
        let position = lease.position();
        if position < self.furthest.fetch_max(position, Ordering::Relaxed) {
            self.out_of_order.fetch_add(1, Ordering::Relaxed);
        }
    } // here the lease is dropped: the record is given back
}

fn main() -> rbcore::Result<()> {
    let ring = MemoryRing::create(RING_SIZE)?;
    let mut reader = Reader::builder().batch_size(64).open_leasing()?;
    let index = reader.add(&Source::memory(&ring))?;
    let (sender, receiver) = mpsc::sync_channel::<Lease>(256);
    let receiver = Mutex::new(receiver);
    let work = Work::default();

    thread::scope(|scope| {
        let producing = scope.spawn(|| produce(&ring));
        for _ in 0..WORKERS {
            scope.spawn(|| {
                let take = || receiver.lock().ok().and_then(|queue| queue.recv().ok());
                while let Some(lease) = take() {
                    work.on(lease);
                }
            });
        }
        let mut seen = 0;
        while seen < RECORDS {
            for lease in reader.next(None)? {
                seen += 1;
                let _ = sender.send(lease); // the workers live as long as the sender
            }
        }
        drop(sender);
        producing.join().unwrap_or(Ok(()))
    })?;

    let stats = reader.ring_stats(index)?;
    let sum = work.sum.into_inner();
    let given_back = if stats.user_pos == stats.producer_pos {
        "all"
    } else {
        "NOT all"
    };
    println!(
        "{} records by {WORKERS} workers, sum {sum}, {given_back} given back",
        stats.records
    );
    println!("released out of order: {}", work.out_of_order.into_inner());
    Ok(())
}
