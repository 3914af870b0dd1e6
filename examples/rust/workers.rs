// SPDX-License-Identifier: MIT
//! Records handed to threads: each holds a lease as long as it needs it, and they are given back in
//! any order. The ring frees its space as the oldest ones come back.
//!
//!     workers        (as root; Ctrl-C ends it)

use std::collections::HashMap;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use events::{Event, Failure, Program, flush_on_signal, text};
use rbcore::{Lease, LeaseReader, Reader};

const WORKERS: usize = 4;

/// Records by the name of the program that they are about.
type Counts = HashMap<String, u64>;

/// Counts what it gets until the reader is done.
fn work(queue: Arc<Mutex<mpsc::Receiver<Lease>>>) -> rbcore::Result<Counts> {
    let mut counts = Counts::new();
    loop {
        let lease = match queue.lock().map(|queue| queue.recv()) {
            Ok(Ok(lease)) => lease,
            _ => return Ok(counts),
        };
        let event: &Event = lease.data_as()?;
        *counts.entry(text(&event.name).into_owned()).or_default() += 1;
    } // here the lease is dropped: the record is given back
}

/// Hands each record on, until a flush says that this was the last one.
fn hand_out(reader: &mut LeaseReader, workers: &mpsc::SyncSender<Lease>) -> rbcore::Result<()> {
    loop {
        match reader.next(None) {
            Ok(leases) => {
                for lease in leases {
                    if workers.send(lease).is_err() {
                        return Ok(()); // no worker is left: they say why
                    }
                }
            }
            Err(rbcore::Error::Flushed) => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn main() -> Result<(), Failure> {
    let program = Program::load(false)?;
    let mut reader = Reader::builder().open_leasing()?;
    let ring = reader.add(&program.source())?;
    flush_on_signal(reader.handle())?;
    let _attached = program.attach()?;

    let (sender, receiver) = mpsc::sync_channel(1024);
    let queue = Arc::new(Mutex::new(receiver));
    let mut all = Counts::new();
    thread::scope(|scope| {
        let workers = std::iter::repeat_n(queue, WORKERS).map(|queue| scope.spawn(|| work(queue)));
        let workers: Vec<_> = workers.collect();
        let result = hand_out(&mut reader, &sender);
        drop(sender); // the workers end when the queue is empty
        for worker in workers {
            for (name, count) in worker.join().expect("a worker does not panic")? {
                *all.entry(name).or_default() += count;
            }
        }
        result
    })?;

    let mut names: Vec<_> = all.into_iter().collect();
    names.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    for (name, count) in &names {
        println!("{count:8} {name}");
    }
    let stats = reader.ring_stats(ring)?;
    println!(
        "{} records by {WORKERS} workers, {} bytes not given back, {} lost",
        stats.records,
        stats.read_pos - stats.user_pos,
        stats.lost.unwrap_or(0)
    );
    Ok(())
}
