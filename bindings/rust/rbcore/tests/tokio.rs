// SPDX-License-Identifier: MIT
//! The reader in tokio.
#![cfg(feature = "tokio")]

mod common;

use std::future::Future;
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

/// A task without a wakeup is polled once more when its time is up: that does not count.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    let started = Instant::now();
    let result = timeout(WATCHDOG, future).await;
    assert!(started.elapsed() < WATCHDOG, "nobody woke the task");
    result.unwrap()
}

/// Produces some at once, then makes a pause in which the reader waits. Returns how many were
/// refused.
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
        ring.produce_some(0, 100); // there before the wait
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

/// A paced ring is read by the timer in the reader's descriptor: the runtime need not know of it.
#[test]
fn paced_ring() {
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
    assert!(paced > 0, "20 records at once do not make the ring paced");
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
                let mut stream = AsyncReader::new(reader).unwrap().into_stream();
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
            let mut stream = AsyncReader::new(reader).unwrap().into_stream();
            let lease = soon(stream.next()).await;
            drop(stream);
            assert_eq!(sequence(&lease.unwrap().unwrap()), 0);
        });
        let mut next = Reader::open().unwrap();
        next.add(&ring.source()).unwrap();
        assert!(next.read().unwrap().is_empty());
    });
}

#[test]
fn batches_of_leases() {
    on_both(|ring| {
        let mut reader = Reader::builder().batch_size(16).open_leasing().unwrap();
        reader.add(&ring.source()).unwrap();
        runtime().block_on(async {
            let mut reader = AsyncReader::new(reader).unwrap();
            ring.produce_some(0, 10);
            let mut leases = soon(reader.next()).await.unwrap();
            assert_eq!(leases.len(), 10);
            let held = leases.next().unwrap();
            drop(leases); // the other nine go back
            ring.produce_some(10, 1);
            let next: Vec<Lease> = soon(reader.next()).await.unwrap().collect();
            let numbers: Vec<u64> = next.iter().map(|lease| sequence(lease)).collect();
            assert_eq!((sequence(&held), numbers), (0, vec![10]));
            drop((held, next));
            let stats = reader.get_ref().ring_stats(0).unwrap();
            assert_eq!(stats.user_pos, stats.producer_pos);
        });
    });
}

/// A reader in the runtime can do this without waiting: rings come and go while it waits for
/// others.
#[test]
fn rings_and_snapshots_in_the_runtime() {
    on_both(|ring| {
        let other = InMemory::create();
        runtime().block_on(async {
            let mut reader = AsyncReader::new(Reader::open().unwrap()).unwrap();
            let first = reader.get_mut().add(&ring.source()).unwrap();
            ring.produce_some(0, 3);
            assert_eq!(soon(reader.next()).await.unwrap().len(), 3);
            let mut snapshot = reader.get_ref().snapshot(first).unwrap();
            assert_eq!(snapshot.records().count(), 3);
            assert!(matches!(
                reader.get_mut().remove(first),
                Err(Error::Busy(_))
            ));
            reader.commit().unwrap();

            ring.produce_some(3, 2);
            reader
                .get_mut()
                .snapshot_into(first, &mut snapshot)
                .unwrap();
            assert_eq!(snapshot.records().count(), 2);
            let mut drained = reader.get_mut().drain_to_snapshot(first).unwrap();
            assert_eq!(drained.records().count(), 2);
            reader.get_mut().remove(first).unwrap();

            let second = reader.get_mut().add(&other.source()).unwrap();
            reader.get_mut().set_batch_size(1).unwrap();
            let late = async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                other.produce_some(0, 2);
            };
            let (found, ()) =
                tokio::join!(async { soon(reader.next()).await.unwrap().len() }, late);
            assert_eq!(found, 1);
            reader.get_mut().commit_now().unwrap();
            assert_eq!(reader.get_mut().ring_stats(second).unwrap().user_pos, 24);
        });
    });
}

/// A reader leaves the runtime as it was, and may come back: the runtime forgot its descriptor.
#[test]
fn out_of_the_runtime() {
    on_both(|ring| {
        let mut reader = Reader::open().unwrap();
        reader.add(&ring.source()).unwrap();
        runtime().block_on(async {
            let mut reader = AsyncReader::new(reader).unwrap();
            ring.produce_some(0, 1);
            assert_eq!(soon(reader.next()).await.unwrap().len(), 1);
            let mut reader = reader.into_inner();
            assert!(reader.read().unwrap().is_empty());
            reader.commit().unwrap();
            ring.produce_some(1, 1);
            let mut reader = AsyncReader::new(reader).unwrap();
            assert_eq!(soon(reader.next()).await.unwrap().len(), 1);
        });
    });
}

/// A ring that is removed and its index used again: the leases that the stream holds keep their
/// bytes.
#[test]
fn a_stream_while_its_rings_change() {
    on_both(|ring| {
        let other = InMemory::create();
        let mut reader = Reader::builder().open_leasing().unwrap();
        reader.add(&ring.source()).unwrap();
        ring.produce_some(0, 5);
        runtime().block_on(async {
            let mut stream = AsyncReader::new(reader).unwrap().into_stream();
            assert_eq!(sequence(&soon(stream.next()).await.unwrap().unwrap()), 0);
            stream.get_mut().remove(0).unwrap();
            stream.get_mut().add(&other.source()).unwrap();
            stream.get_mut().set_batch_size(1).unwrap();
            other.produce_some(100, 1);
            for number in [1, 2, 3, 4, 100] {
                assert_eq!(
                    sequence(&soon(stream.next()).await.unwrap().unwrap()),
                    number
                );
            }
            assert_eq!(stream.get_ref().stats().unwrap().rings, 1);
        });
        let mut next = Reader::open().unwrap();
        next.add(&ring.source()).unwrap();
        assert!(next.read().unwrap().is_empty(), "all went back");
    });
}

#[test]
#[should_panic(expected = "IO is disabled")]
fn runtime_without_io() {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let reader = Reader::open().unwrap();
    let _ = runtime
        .unwrap()
        .block_on(async { AsyncReader::new(reader) });
}
