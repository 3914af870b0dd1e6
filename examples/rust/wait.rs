// SPDX-License-Identifier: MIT
//! The reader in an event loop: tokio's, beside a timer and signals.
//!
//!     wait        (as root; Ctrl-C ends it)

use std::time::Duration;

use events::{Event, Failure, Program, SWITCH};
use rbcore::{AsyncReader, Batch, Reader};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Default)]
struct Counts {
    switches: u64,
    others: u64,
}

impl Counts {
    fn add(&mut self, batch: &Batch<'_>) -> rbcore::Result<()> {
        for event in batch.records::<Event>() {
            match event?.kind {
                SWITCH => self.switches += 1,
                _ => self.others += 1,
            }
        }
        Ok(())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let program = Program::load(false)?;
    let mut reader = AsyncReader::new(Reader::open()?)?;
    let ring = reader.get_mut().add(&program.source())?;
    let handle = reader.handle();
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    let _attached = program.attach()?;

    let (mut counts, mut ticks) = (Counts::default(), 0);
    loop {
        tokio::select! {
            // A branch that loses is cancelled, and no record with it.
            batch = reader.next() => match batch {
                Ok(batch) => {
                    counts.add(&batch)?;
                    batch.commit()?;
                }
                Err(rbcore::Error::Flushed) => break,
                Err(error) => return Err(error.into()),
            },
            _ = tick.tick() => ticks += 1,
            _ = interrupted.recv() => handle.flush()?,
            _ = terminated.recv() => handle.flush()?,
        }
    }
    let lost = reader.get_ref().ring_stats(ring)?.lost.unwrap_or(0);
    println!(
        "{} switches and {} other records beside {ticks} ticks of a timer, {lost} lost",
        counts.switches, counts.others
    );
    Ok(())
}
