// SPDX-License-Identifier: MIT
//! What a reader does, on a memory ring and on one of the kernel: each test runs on both.

mod common;

use std::os::fd::AsFd;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::kernel::InKernel;
use common::{InMemory, RING_SIZE, Records, Ring, WATCHDOG, sequence};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rbcore::{Batch, Error, Lease, Reader, RingId, RingOwner, Source};

/// Each becomes two tests, `memory::NAME` and `kernel::NAME`.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod memory {
            $(#[test] fn $name() { super::$name(&super::InMemory::create()); })*
        }
        mod kernel {
            $(#[test] fn $name() {
                if let Some(ring) = super::InKernel::create() {
                    super::$name(&ring);
                }
            })*
        }
    };
}

on_both!(
    single_read,
    many_reads_with_discards,
    commit_frees_space,
    prefix_commit,
    dropped_batch_stays,
    deadline,
    commit_of_nothing,
    shutdown_while_blocked,
    interrupt_while_blocked,
    flush,
    wakeup_of_a_blocked_reader,
    two_readers,
    all_sequence_numbers,
    leases_on_threads,
    leases_outlive_the_reader,
    leases_not_taken_go_back,
    pollable,
    removed_ring,
    latest,
    figures,
);

fn open(ring: &dyn Ring) -> Reader {
    let mut reader = Reader::open().unwrap();
    assert_eq!(reader.add(&ring.source()).unwrap(), 0);
    reader
}

fn sequences(batch: &Batch<'_>) -> Vec<u64> {
    batch.iter().map(|record| sequence(record.data())).collect()
}

fn consumer_pos(reader: &Reader) -> u64 {
    reader.ring_stats(0).unwrap().consumer_pos
}

fn single_read(ring: &dyn Ring) {
    let mut reader = open(ring);
    assert!(reader.read().unwrap().is_empty());
    ring.produce_some(7, 1);
    let batch = reader.read().unwrap();
    assert_eq!(sequences(&batch), [7]);
    let record = batch.get(0).unwrap();
    assert_eq!((record.ring(), record.position()), (0, 0));
    assert!(batch.get(1).is_none());
    batch.commit().unwrap();
    assert_eq!(consumer_pos(&reader), 24);
    assert!(reader.read().unwrap().is_empty());
}

fn many_reads_with_discards(ring: &dyn Ring) {
    let mut reader = Reader::builder().batch_size(4).open().unwrap();
    reader.add(&ring.source()).unwrap();
    ring.produce(Records {
        first: 0,
        count: 30,
        discard_each: 3,
        ..Default::default()
    });
    let mut found = Vec::new();
    loop {
        let batch = reader.read().unwrap();
        assert!(batch.len() <= 4);
        if batch.is_empty() {
            break;
        }
        found.extend(sequences(&batch));
    }
    assert_eq!(found, (0..30).filter(|i| i % 3 != 0).collect::<Vec<_>>());
    assert_eq!(reader.stats().unwrap().discards, 10);
    let before = consumer_pos(&reader);
    assert!(
        before <= 24,
        "only the discarded record at the head may be gone: {before}"
    );
    reader.commit().unwrap();
    assert_eq!(consumer_pos(&reader), 30 * 24);
}

/// Reads as often as something is found, each time a quarter of the ring at most; without giving
/// back.
fn read_to_end(reader: &mut Reader) -> Vec<u64> {
    let mut all = Vec::new();
    loop {
        let batch = reader.read().unwrap();
        if batch.is_empty() {
            return all;
        }
        assert!(batch.len() <= RING_SIZE / 24 / 4);
        all.extend(sequences(&batch));
    }
}

fn commit_frees_space(ring: &dyn Ring) {
    let room = (RING_SIZE / 24) as u32;
    let mut reader = Reader::builder().batch_size(8192).open().unwrap();
    reader.add(&ring.source()).unwrap();
    ring.produce_some(0, room);
    assert_eq!(
        ring.produce(Records {
            first: 0,
            count: 1,
            ..Default::default()
        }),
        1
    );
    assert_eq!(
        read_to_end(&mut reader),
        (0..u64::from(room)).collect::<Vec<_>>()
    );
    assert_eq!(
        ring.produce(Records {
            first: 0,
            count: 1,
            ..Default::default()
        }),
        1,
        "reading frees nothing"
    );
    assert_eq!(reader.ring_stats(0).unwrap().lost, Some(2));
    reader.commit_now().unwrap();
    ring.produce_some(1000, room);
    let expected: Vec<_> = (1000..1000 + u64::from(room)).collect();
    assert_eq!(read_to_end(&mut reader), expected);
    reader.commit().unwrap();
}

fn prefix_commit(ring: &dyn Ring) {
    let mut reader = open(ring);
    ring.produce_some(0, 10);
    let mut batch = reader.read().unwrap();
    batch.commit_first(0).unwrap();
    batch.commit_first(3).unwrap();
    assert_eq!(sequences(&batch), (3..10).collect::<Vec<_>>());
    batch.commit_first(2).unwrap();
    assert_eq!(sequences(&batch), (5..10).collect::<Vec<_>>());
    assert!(matches!(
        batch.commit_first(6),
        Err(Error::Os {
            errno: libc::EINVAL,
            ..
        })
    ));
    drop(batch);
    assert_eq!(reader.ring_stats(0).unwrap().user_pos, 5 * 24);
    drop(reader);
    let mut next = open(ring);
    assert_eq!(
        sequences(&next.read().unwrap()),
        (5..10).collect::<Vec<_>>()
    );
}

fn dropped_batch_stays(ring: &dyn Ring) {
    let mut reader = open(ring);
    ring.produce_some(0, 2);
    drop(reader.read().unwrap());
    assert!(reader.read().unwrap().is_empty());
    ring.produce_some(2, 1);
    let batch = reader.read().unwrap();
    assert_eq!(sequences(&batch), [2]);
    batch.commit().unwrap();
    assert_eq!(consumer_pos(&reader), 72, "all that was handed out");
}

fn deadline(ring: &dyn Ring) {
    let mut reader = open(ring);
    let started = Instant::now();
    let timeout = Duration::from_millis(30);
    assert!(reader.next(Some(timeout)).unwrap().is_empty());
    assert!(started.elapsed() >= timeout);
    ring.produce_some(0, 1);
    drop(reader.next(WATCHDOG).unwrap());
    let started = Instant::now();
    assert!(
        reader.next(Some(timeout)).unwrap().is_empty(),
        "nothing new while one is held"
    );
    assert!(started.elapsed() >= timeout);
    assert!(reader.next(Some(Duration::ZERO)).unwrap().is_empty());
}

fn commit_of_nothing(ring: &dyn Ring) {
    let mut reader = open(ring);
    reader.commit().unwrap();
    let batch = reader.read().unwrap();
    batch.commit().unwrap();
    ring.produce_some(0, 1);
    reader.commit().unwrap();
    assert_eq!(consumer_pos(&reader), 0);
    assert_eq!(reader.read().unwrap().len(), 1, "it was not lost");
    reader.commit().unwrap();
    reader.commit().unwrap();
    assert_eq!(consumer_pos(&reader), 24);
}

/// Lets a reader wait in another thread, acts meanwhile, and returns how the wait ended.
fn next_while(reader: &mut Reader, act: impl FnOnce()) -> Result<Vec<u64>, Error> {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| reader.next(WATCHDOG).map(|batch| sequences(&batch)));
        std::thread::sleep(Duration::from_millis(20)); // as good as certain: it waits
        act();
        waiting.join().unwrap()
    })
}

fn shutdown_while_blocked(ring: &dyn Ring) {
    let mut reader = open(ring);
    let handle = reader.handle();
    ring.produce_some(0, 1);
    drop(reader.read().unwrap());
    let result = next_while(&mut reader, || handle.shutdown().unwrap());
    assert_eq!(result, Err(Error::Shutdown));
    assert_eq!(reader.read().unwrap_err(), Error::Shutdown);
    reader.commit().unwrap();
    assert_eq!(consumer_pos(&reader), 24, "what was read can be given back");
    drop(reader);
    assert_eq!(handle.shutdown(), Err(Error::Shutdown));
}

fn interrupt_while_blocked(ring: &dyn Ring) {
    let mut reader = open(ring);
    let handle = reader.handle();
    let result = next_while(&mut reader, || handle.interrupt().unwrap());
    assert_eq!(result, Err(Error::Interrupted));
    ring.produce_some(0, 1);
    assert_eq!(sequences(&reader.next(WATCHDOG).unwrap()), [0], "once");
}

fn flush(ring: &dyn Ring) {
    let mut reader = open(ring);
    let handle = reader.handle();
    let straggler = Records {
        first: 5,
        count: 1,
        quietly: true,
        ..Default::default()
    };
    let result = next_while(&mut reader, || {
        ring.produce(straggler);
        handle.flush().unwrap();
    });
    assert_eq!(result, Ok(vec![5]));
    assert_eq!(reader.next(WATCHDOG).unwrap_err(), Error::Flushed);
    assert!(reader.read().unwrap().is_empty(), "once");
}

fn wakeup_of_a_blocked_reader(ring: &dyn Ring) {
    let mut reader = open(ring);
    for round in 0..20 {
        let result = next_while(&mut reader, || ring.produce_some(round, 1));
        assert_eq!(result, Ok(vec![round]));
        reader.commit().unwrap();
    }
}

fn two_readers(ring: &dyn Ring) {
    let first = open(ring);
    let mut second = Reader::open().unwrap();
    let error = second.add(&ring.source()).unwrap_err();
    assert!(
        matches!(&error, Error::Busy(message) if message.contains("another reader")),
        "{error:?}"
    );
    assert_eq!(
        std::io::Error::from(error).kind(),
        std::io::Error::from_raw_os_error(libc::EBUSY).kind()
    );
    drop(first);
    second.add(&ring.source()).unwrap();
}

fn all_sequence_numbers(ring: &dyn Ring) {
    const COUNT: u64 = 200_000;
    let mut reader = open(ring);
    let handle = reader.handle();
    let (mut delivered, mut expected, refused) = std::thread::scope(|scope| {
        let producing = scope.spawn(|| {
            let runs = (0..COUNT).step_by(1000);
            let refused = runs.map(|first| {
                ring.produce(Records {
                    first,
                    count: 1000,
                    ..Default::default()
                })
            });
            let refused: u64 = refused.sum();
            handle.flush().unwrap();
            refused
        });
        let (mut delivered, mut expected) = (0, 0);
        loop {
            match reader.next(WATCHDOG) {
                Ok(batch) => {
                    assert!(!batch.is_empty(), "nothing came");
                    for number in sequences(&batch) {
                        assert!(number >= expected, "{number} after {expected}");
                        expected = number + 1;
                        delivered += 1;
                    }
                    batch.commit().unwrap();
                }
                Err(Error::Flushed) => break,
                Err(error) => panic!("{error}"),
            }
        }
        (delivered, expected, producing.join().unwrap())
    });
    for number in sequences(&reader.read().unwrap()) {
        assert!(number >= expected);
        expected = number + 1;
        delivered += 1;
    }
    assert_eq!(delivered + refused, COUNT);
    let stats = reader.ring_stats(0).unwrap();
    assert_eq!((stats.records, stats.lost), (delivered, Some(refused)));
}

fn leases_on_threads(ring: &dyn Ring) {
    const COUNT: u64 = 2000;
    let mut reader = Reader::builder().batch_size(64).open_leasing().unwrap();
    reader.add(&ring.source()).unwrap();
    ring.produce_some(0, COUNT as u32);
    let (to_worker, at_worker) = mpsc::channel::<Lease>();
    let (to_other, at_other) = mpsc::channel::<Lease>();
    let work = |leases: mpsc::Receiver<Lease>| {
        // The newest comes first: the other end of the order.
        let mut held: Vec<Lease> = leases.iter().collect();
        let mut numbers = Vec::new();
        while let Some(lease) = held.pop() {
            numbers.push(sequence(&lease));
        }
        numbers
    };
    let workers = [at_worker, at_other].map(|leases| std::thread::spawn(move || work(leases)));
    let mut turn = [to_worker, to_other];
    for _ in 0..=COUNT / 64 {
        for lease in reader.read().unwrap() {
            turn[0].send(lease).unwrap();
            turn.swap(0, 1);
        }
    }
    assert_eq!(
        reader.ring_stats(0).unwrap().consumer_pos,
        0,
        "all are held"
    );
    drop(turn);
    let mut numbers: Vec<u64> = workers
        .into_iter()
        .flat_map(|worker| worker.join().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..COUNT).collect::<Vec<_>>());
    assert_eq!(reader.ring_stats(0).unwrap().user_pos, COUNT * 24);
}

fn leases_outlive_the_reader(ring: &dyn Ring) {
    let mut reader = Reader::builder().open_leasing().unwrap();
    reader.add(&ring.source()).unwrap();
    ring.produce_some(0, 3);
    let mut leases: Vec<Lease> = reader.read().unwrap().collect();
    drop(reader);
    assert!(matches!(
        Reader::open().unwrap().add(&ring.source()),
        Err(Error::Busy(_))
    ));
    let last = leases.pop().unwrap();
    drop(leases);
    assert_eq!(sequence(&last), 2);
    drop(last);
    assert!(open(ring).read().unwrap().is_empty(), "all were given back");
}

fn leases_not_taken_go_back(ring: &dyn Ring) {
    let mut reader = Reader::builder().open_leasing().unwrap();
    reader.add(&ring.source()).unwrap();
    ring.produce_some(0, 10);
    let taken: Vec<Lease> = reader.read().unwrap().take(4).collect();
    assert_eq!(
        taken
            .iter()
            .map(|lease| sequence(lease))
            .collect::<Vec<_>>(),
        [0, 1, 2, 3]
    );
    assert_eq!(reader.ring_stats(0).unwrap().user_pos, 0);
    drop(taken);
    assert_eq!(reader.ring_stats(0).unwrap().user_pos, 240);
    assert_eq!(reader.read().unwrap().len(), 0);
}

fn is_readable(reader: &Reader, milliseconds: u16) -> bool {
    let mut fds = [PollFd::new(reader.as_fd(), PollFlags::POLLIN)];
    poll(&mut fds, PollTimeout::from(milliseconds)).unwrap() == 1
}

fn pollable(ring: &dyn Ring) {
    let mut reader = open(ring);
    while !reader.next(Some(Duration::ZERO)).unwrap().is_empty() {}
    assert!(!is_readable(&reader, 20));
    ring.produce_some(0, 1);
    assert!(is_readable(&reader, 30_000));
    let batch = reader.next(Some(Duration::ZERO)).unwrap();
    assert_eq!(sequences(&batch), [0]);
    batch.commit().unwrap();
    assert!(reader.next(Some(Duration::ZERO)).unwrap().is_empty());
    assert!(!is_readable(&reader, 20));
}

fn removed_ring(ring: &dyn Ring) {
    let mut reader = open(ring);
    ring.produce_some(0, 1);
    drop(reader.read().unwrap());
    assert!(matches!(reader.remove(0), Err(Error::Busy(_))));
    reader.commit().unwrap();
    assert_eq!(reader.rings().collect::<Vec<_>>(), [0]);
    reader.remove(0).unwrap();
    assert_eq!(reader.rings().count(), 0);
    assert!(matches!(
        reader.remove(0),
        Err(Error::Os {
            errno: libc::EINVAL,
            ..
        })
    ));
    assert!(reader.ring_stats(0).is_err());
    let again = reader.add(&ring.source()).unwrap();
    assert_ne!(again, 0, "indexes are reused late");
    let handle = reader.handle();
    assert_eq!(handle.rings().collect::<Vec<_>>(), [again]);
    let stats = reader.ring_stats(again).unwrap();
    let look = ring.source().ring_stats().unwrap();
    assert_eq!(stats.first_ring, u64::from(again));
    assert_eq!(stats.owner, RingOwner::Process(std::process::id()));
    assert_eq!(look.owner, stats.owner);
    assert_eq!(look.map_id, stats.map_id);
    assert_eq!(look.consumer_pos, stats.consumer_pos);
    assert_eq!(look.producer_pos, stats.producer_pos);
    assert_eq!(look.ring_size, stats.ring_size);
    ring.produce_some(1, 1);
    assert_eq!(sequences(&reader.read().unwrap()), [1]);
}

fn latest(ring: &dyn Ring) {
    ring.produce_some(0, 5);
    let mut reader = Reader::open().unwrap();
    reader.add(&ring.source().latest().cookie(99)).unwrap();
    ring.produce_some(5, 1);
    assert_eq!(sequences(&reader.read().unwrap()), [5]);
    let stats = reader.ring_stats(0).unwrap();
    assert_eq!((stats.skipped, stats.cookie), (5, 99));
}

fn figures(ring: &dyn Ring) {
    let mut reader = open(ring);
    ring.produce(Records {
        first: 0,
        count: 4,
        discard_each: 2,
        ..Default::default()
    });
    let batch = reader.read().unwrap();
    let record = batch.get(1).unwrap();
    let identity = batch.identity(&record).unwrap();
    assert_eq!(identity.position, record.position());
    assert_ne!(identity.boot_id, [0; 16]);
    drop(batch);
    let stats = reader.handle().ring_stats(0).unwrap();
    assert_eq!(stats.ring_size, RING_SIZE as u64);
    assert_eq!((stats.records, stats.bytes, stats.discards), (2, 32, 2));
    assert_eq!((stats.producer_pos, stats.read_pos), (96, 96));
    assert!(!stats.is_broken && !stats.is_unguarded && !stats.is_paced);
    match stats.map_id {
        Some(id) => assert_eq!(identity.ring, RingId::Map(id)),
        None => assert!(matches!(identity.ring, RingId::Memory(inode) if inode != 0)),
    }
    let all = reader.stats().unwrap();
    assert_eq!((all.records, all.batches, all.rings), (2, 1, 1));
}

#[test]
fn kernel_ring_by_id() {
    let Some(ring) = InKernel::create() else {
        return;
    };
    let mut reader = open(&ring);
    let id = reader.ring_stats(0).unwrap().map_id.unwrap();
    reader.remove(0).unwrap();
    reader
        .add(&Source::map_id(u32::try_from(id).unwrap()))
        .unwrap();
    ring.produce_some(3, 1);
    assert_eq!(sequences(&reader.read().unwrap()), [3]);
}
