// SPDX-License-Identifier: MIT
//! The reader in tokio.
#![cfg(feature = "tokio")]

mod common;

use std::time::{Duration, Instant};

use common::kernel::InKernel;
use common::{InMemory, Records, Ring, sequence};
use futures_util::StreamExt;
use rbcore::{AsyncReader, Error, Lease, Reader};
use tokio::runtime::Runtime;
use tokio::time::timeout;

const WATCHDOG: Duration = Duration::from_secs(30);
const COUNT: u64 = 10_000;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

fn on_both(test: impl Fn(&dyn Ring)) {
    test(&InMemory::create());
    if let Some(ring) = InKernel::create() {
        test(&ring);
    }
}

/// A task that nobody woke is polled once more when its time is up: that does not count.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let result = timeout(WATCHDOG, future).await;
    assert!(started.elapsed() < WATCHDOG, "nobody woke the task");
    result.unwrap()
}

/// Some at once, then a pause in which the reader waits. Returns how many were refused.
fn produce(ring: &dyn Ring, first: u64) -> u64 {
    let mut refused = 0;
    for first in (first..COUNT).step_by(100) {
        refused += ring.produce(Records {
            first,
            count: 100,
            ..Default::default()
        });
        std::thread::sleep(Duration::from_micros(300));
    }
    refused
}

#[test]
fn batches() {
    on_both(|ring| {
        ring.produce_some(0, 100); // there before anybody waits
        let mut reader = Reader::open().unwrap();
        reader.add(&ring.source()).unwrap();
        let handle = reader.handle();
        std::thread::scope(|scope| {
            let producing = scope.spawn(|| {
                let refused = produce(ring, 100);
                handle.flush().unwrap();
                refused
            });
            let delivered = runtime().block_on(async {
                let mut reader = AsyncReader::new(reader).unwrap();
                let mut delivered = 0;
                let mut expected = 0;
                loop {
                    match soon(reader.next()).await {
                        Ok(batch) => {
                            for record in &batch {
                                assert!(sequence(record.data()) >= expected);
                                expected = sequence(record.data()) + 1;
                                delivered += 1;
                            }
                            batch.commit().unwrap();
                        }
                        Err(Error::Flushed) => return delivered,
                        Err(error) => panic!("{error}"),
                    }
                }
            });
            assert_eq!(delivered + producing.join().unwrap(), COUNT);
        });
    });
}

/// Each record has to wake the task that gave back the one before: a lost wakeup hangs here.
#[test]
fn one_by_one() {
    on_both(|ring| {
        let mut reader = Reader::open().unwrap();
        reader.add(&ring.source()).unwrap();
        runtime().block_on(async {
            let mut reader = AsyncReader::new(reader).unwrap();
            for number in 0..200 {
                let late = async {
                    tokio::time::sleep(Duration::from_micros(number % 7 * 100)).await;
                    ring.produce_some(number, 1);
                };
                let (found, ()) = tokio::join!(
                    async {
                        let batch = soon(reader.next()).await.unwrap();
                        let found: Vec<u64> =
                            batch.iter().map(|record| sequence(record.data())).collect();
                        batch.commit().unwrap();
                        found
                    },
                    late
                );
                assert_eq!(found, [number]);
            }
        });
    });
}

/// A busy ring is read by the timer in the reader's descriptor: the runtime need not know of it.
#[test]
fn busy_ring() {
    let ring = InMemory::of_size(1 << 24);
    let latency = Duration::from_millis(10);
    let mut reader = Reader::builder().max_latency(latency).open().unwrap();
    reader.add(&ring.source()).unwrap();
    let mut paced = 0;
    runtime().block_on(async {
        let mut reader = AsyncReader::new(reader).unwrap();
        for first in (0..1000).step_by(20) {
            ring.produce_some(first, 20);
            let mut expected = first;
            while expected < first + 20 {
                let batch = soon(reader.next()).await.unwrap();
                for record in &batch {
                    assert_eq!(sequence(record.data()), expected);
                    expected += 1;
                }
                batch.commit().unwrap();
            }
            paced += u32::from(reader.get_ref().ring_stats(0).unwrap().is_paced);
        }
    });
    assert!(paced > 0, "20 records at once do not make the ring busy");
}

#[test]
fn cancelled_wait() {
    on_both(|ring| {
        let mut reader = Reader::open().unwrap();
        reader.add(&ring.source()).unwrap();
        let handle = reader.handle();
        runtime().block_on(async {
            let mut reader = AsyncReader::new(reader).unwrap();
            assert!(
                timeout(Duration::from_millis(10), reader.next())
                    .await
                    .is_err()
            );
            ring.produce_some(0, 1);
            assert_eq!(soon(reader.next()).await.unwrap().len(), 1);
            reader.commit().unwrap();
            handle.shutdown().unwrap();
            assert_eq!(soon(reader.next()).await.unwrap_err(), Error::Shutdown);
        });
    });
}

#[test]
fn stream_of_leases() {
    on_both(|ring| {
        let mut reader = Reader::builder().batch_size(16).open_leasing().unwrap();
        reader.add(&ring.source()).unwrap();
        let handle = reader.handle();
        std::thread::scope(|scope| {
            let producing = scope.spawn(|| produce(ring, 0));
            runtime().block_on(async {
                let mut stream = AsyncReader::new(reader).unwrap();
                let mut held: Vec<Lease> = Vec::new();
                for _ in 0..50 {
                    held.push(soon(stream.next()).await.unwrap().unwrap());
                }
                let numbers: Vec<u64> = held.iter().map(|lease| sequence(lease)).collect();
                assert_eq!(numbers, (0..50).collect::<Vec<_>>());
                handle.shutdown().unwrap();
                while let Some(lease) = soon(stream.next()).await {
                    held.push(lease.unwrap());
                }
                drop(stream);
            });
            producing.join().unwrap();
        });
        // What the stream had fetched and not given out went back: the ring is free.
        Reader::open().unwrap().add(&ring.source()).unwrap();
    });
}

/// A reader of memory rings looks now and then by itself, and finds nothing: it must wait again.
#[test]
fn wakeup_after_looks_in_vain() {
    on_both(|ring| {
        let mut reader = Reader::open().unwrap();
        reader.add(&ring.source()).unwrap();
        runtime().block_on(async {
            let mut reader = AsyncReader::new(reader).unwrap();
            let late = async {
                tokio::time::sleep(Duration::from_millis(350)).await;
                ring.produce_some(0, 1);
            };
            let (found, ()) = tokio::join!(soon(reader.next()), late);
            assert_eq!(found.unwrap().len(), 1);
        });
    });
}

#[test]
fn leases_that_a_stream_did_not_give_out_go_back() {
    on_both(|ring| {
        let mut reader = Reader::builder().open_leasing().unwrap();
        reader.add(&ring.source()).unwrap();
        ring.produce_some(0, 10);
        runtime().block_on(async {
            let mut stream = AsyncReader::new(reader).unwrap();
            let lease = soon(stream.next()).await;
            drop(stream);
            assert_eq!(sequence(&lease.unwrap().unwrap()), 0);
        });
        let mut next = Reader::open().unwrap();
        next.add(&ring.source()).unwrap();
        assert!(next.read().unwrap().is_empty());
    });
}
