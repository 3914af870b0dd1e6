// SPDX-License-Identifier: MIT
//! Random legal calls on memory rings, compared with a model of what must come out: for what lives
//! how long, in a reader's, a lease's and a reservation's life.
//!
//! The seed is printed; `RBCORE_RANDOM_SEED` repeats a run, `RBCORE_RANDOM_TIMES=100` makes as many
//! more.

mod common;

use std::env;
use std::io::{Seek, Write};
use std::mem::transmute;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use common::model::{Answer, Model, RingModel, State, content};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use proptest::prelude::*;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use rbcore::{
    Batch, Error, Lease, LeaseReader, MemoryRing, Producer, Reader, Reservation, RingOwner,
    Snapshot, Source, Wakeup,
};

const RINGS: usize = 3;
const WATCHDOG: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug)]
enum Way {
    Read,
    Look,
    Spans,
    Next,
    /// This reads as next does, but tells of signals, which do not come here.
    Interruptible,
    /// Until there is something, if there must be.
    Wait,
    /// This waits by the descriptor, if it must become readable.
    Poll,
}

#[derive(Clone, Copy, Debug)]
enum Then {
    Commit,
    CommitNow,
    CommitFirst(usize),
    Snapshot,
    Describe(usize, usize),
    Nothing,
}

#[derive(Clone, Debug)]
enum Call {
    Output(usize, Vec<usize>, bool),
    OutputBatch(usize, Vec<usize>),
    Reserve(usize, usize),
    Finish(usize, u8),
    Open {
        leases: bool,
        batch_size: usize,
    },
    Close,
    Add(usize, bool),
    Remove(u16),
    Ask(u8),
    Read(Way, Then),
    Commit(bool),
    Release {
        from: usize,
        count: usize,
        elsewhere: bool,
    },
    Snapshot {
        pick: usize,
        consume: bool,
        as_file: bool,
    },
    ReadUntilFlushed,
    Look(usize),
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    let size = prop::sample::select(vec![8, 8, 8, 8, 0, 1, 24, 100, 5000]);
    prop::collection::vec(size, 1..12)
}

fn call() -> impl Strategy<Value = Call> {
    let way = prop_oneof![
        Just(Way::Read),
        Just(Way::Look),
        Just(Way::Spans),
        Just(Way::Next),
        Just(Way::Interruptible),
        Just(Way::Wait),
        Just(Way::Poll)
    ];
    let then = prop_oneof![
        2 => Just(Then::Commit),
        1 => Just(Then::CommitNow),
        2 => (0usize..6).prop_map(Then::CommitFirst),
        1 => Just(Then::Snapshot),
        2 => (any::<usize>(), any::<usize>()).prop_map(|(i, j)| Then::Describe(i, j)),
        2 => Just(Then::Nothing)
    ];
    prop_oneof![
        4 => (0..RINGS, sizes(), any::<bool>()).prop_map(|(r, s, w)| Call::Output(r, s, w)),
        2 => (0..RINGS, sizes()).prop_map(|(r, s)| Call::OutputBatch(r, s)),
        2 => (0..RINGS, 0usize..100).prop_map(|(r, s)| Call::Reserve(r, s)),
        3 => (any::<usize>(), 0u8..3).prop_map(|(p, h)| Call::Finish(p, h)),
        2 => (any::<bool>(), 1usize..20)
            .prop_map(|(leases, batch_size)| Call::Open { leases, batch_size }),
        1 => Just(Call::Close),
        4 => (0..RINGS, any::<bool>()).prop_map(|(r, t)| Call::Add(r, t)),
        2 => (0u16..6).prop_map(Call::Remove),
        2 => (0u8..20).prop_map(Call::Ask),
        10 => (way, then).prop_map(|(w, t)| Call::Read(w, t)),
        2 => any::<bool>().prop_map(Call::Commit),
        4 => (any::<usize>(), 1usize..8, any::<bool>())
            .prop_map(|(from, count, elsewhere)| Call::Release { from, count, elsewhere }),
        3 => (any::<usize>(), any::<bool>(), any::<bool>())
            .prop_map(|(pick, consume, as_file)| Call::Snapshot { pick, consume, as_file }),
        1 => Just(Call::ReadUntilFlushed),
        2 => (0..RINGS).prop_map(Call::Look),
    ]
}

enum Opened {
    InOrder(Reader),
    Leasing(LeaseReader),
}

/// Makes the same call on a reader of either kind.
macro_rules! either {
    ($opened:expr, $reader:ident => $call:expr) => {
        match $opened {
            Opened::InOrder($reader) => $call,
            Opened::Leasing($reader) => $call,
        }
    };
}

/// A record as it was handed out: ring, position, bytes.
type Found = (u16, u64, Vec<u8>);

/// Fields in the order in which they have to be dropped.
struct World {
    reservations: Vec<(usize, usize, Reservation<'static>)>,
    reader: Option<Opened>,
    leases: Vec<(usize, usize, Lease)>,
    producers: Vec<Producer>,
    rings: Vec<MemoryRing>,
    model: Model,
    next_number: u64,
}

impl World {
    fn new() -> Self {
        let sizes = [8192, 4096, 16384];
        let rings: Vec<_> = sizes.map(|size| MemoryRing::create(size).unwrap()).into();
        let open = |ring| Producer::open(ring).unwrap();
        Self {
            reservations: Vec::new(),
            reader: None,
            leases: Vec::new(),
            producers: rings.iter().map(open).collect(),
            rings,
            model: Model::new(sizes.map(|size| RingModel::new(size as u64)).into()),
            next_number: 0,
        }
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn apply(&mut self, call: &Call) {
        match call {
            Call::Output(ring, sizes, wake) => self.output(*ring, sizes, *wake),
            Call::OutputBatch(ring, sizes) => self.output_batch(*ring, sizes),
            Call::Reserve(ring, size) => self.reserve(*ring, *size),
            Call::Finish(pick, how) => self.finish(*pick, *how),
            Call::Open { leases, batch_size } => self.open(*leases, *batch_size),
            Call::Close => self.close(),
            Call::Add(ring, trusted) => self.add(*ring, *trusted),
            Call::Remove(index) => self.remove(*index),
            Call::Ask(what) => self.ask(*what),
            Call::Read(way, then) => {
                self.read(*way, *then);
            }
            Call::Commit(now) => self.commit(*now),
            Call::Release {
                from,
                count,
                elsewhere,
            } => self.release(*from, *count, *elsewhere),
            Call::Snapshot {
                pick,
                consume,
                as_file,
            } => self.snapshot(*pick, *consume, *as_file),
            Call::ReadUntilFlushed => self.read_until_flushed(),
            Call::Look(ring) => self.look(*ring),
        }
        self.check();
    }

    // ---- Producers

    fn output(&mut self, ring: usize, sizes: &[usize], wake: bool) {
        for &size in sizes {
            let number = self.number();
            let wakeup = if wake {
                Wakeup::Adaptive
            } else {
                Wakeup::Never
            };
            match self.producers[ring].output_with(&content(number, size), wakeup) {
                Ok(()) => self.model.rings[ring].wrote(number, size, State::There),
                Err(Error::Full) => self.model.rings[ring].refused(size),
                Err(error) => {
                    assert_eq!(error.errno(), libc::EMSGSIZE);
                    assert!(size as u64 > self.model.rings[ring].size - 16);
                }
            }
        }
    }

    fn output_batch(&mut self, ring: usize, sizes: &[usize]) {
        let sizes: Vec<_> = sizes.iter().copied().filter(|size| *size <= 100).collect();
        let numbers: Vec<_> = sizes.iter().map(|_| self.number()).collect();
        let contents: Vec<_> = numbers
            .iter()
            .zip(&sizes)
            .map(|(n, s)| content(*n, *s))
            .collect();
        let slices: Vec<_> = contents.iter().map(|c| std::io::IoSlice::new(c)).collect();
        let written = match self.producers[ring].output_batch(&slices) {
            Ok(written) => written,
            Err(Error::Full) => 0,
            Err(error) => panic!("{error}"),
        };
        for i in 0..written {
            self.model.rings[ring].wrote(numbers[i], sizes[i], State::There);
        }
        if written < sizes.len() {
            self.model.rings[ring].is_full(sizes[written]); // not lost
        }
    }

    fn reserve(&mut self, ring: usize, size: usize) {
        if self.reservations.len() > 3 {
            return;
        }
        let number = self.number();
        match self.producers[ring].reserve(size) {
            Ok(mut reservation) => {
                reservation.put(0, &content(number, size)).unwrap();
                // SAFETY: the producers stay where they are, and are dropped after the
                // reservations.
                let reservation: Reservation<'static> = unsafe { transmute(reservation) };
                self.model.rings[ring].wrote(number, size, State::Open);
                let entry = self.model.rings[ring].entries.len() - 1;
                self.reservations.push((ring, entry, reservation));
            }
            Err(Error::Full) => self.model.rings[ring].refused(size),
            Err(error) => panic!("{error}"),
        }
    }

    fn finish(&mut self, pick: usize, how: u8) {
        if self.reservations.is_empty() {
            return;
        }
        let (ring, entry, reservation) = self
            .reservations
            .swap_remove(pick % self.reservations.len());
        match how {
            0 => reservation.submit().unwrap(),
            1 => reservation.discard().unwrap(),
            _ => drop(reservation),
        }
        let state = if how == 0 {
            State::There
        } else {
            State::Discarded
        };
        self.model.rings[ring].entries[entry].state = state;
    }

    // ---- The reader's life

    fn open(&mut self, leases: bool, batch_size: usize) {
        if self.reader.is_some() {
            return;
        }
        let builder = Reader::builder().batch_size(batch_size);
        self.reader = Some(if leases {
            Opened::Leasing(builder.open_leasing().unwrap())
        } else {
            Opened::InOrder(builder.open().unwrap())
        });
        self.model.open(leases, batch_size);
    }

    fn close(&mut self) {
        if let Some(reader) = self.reader.take() {
            let handle = either!(&reader, reader => reader.handle());
            drop(reader);
            assert_eq!(handle.flush(), Err(Error::Shutdown));
            self.model.close();
        }
    }

    fn add(&mut self, ring: usize, trusted: bool) {
        let Some(opened) = &mut self.reader else {
            return;
        };
        let mut source = Source::memory(&self.rings[ring]);
        if trusted {
            // SAFETY: only the producers of this test write, and after a submit no more.
            source = unsafe { source.trusted() };
        }
        let result = either!(opened, reader => reader.add(&source));
        if self.model.is_shut {
            assert_eq!(result, Err(Error::Shutdown));
        } else if self.model.is_taken(ring) {
            assert!(matches!(result, Err(Error::Busy(_))), "{result:?}");
        } else {
            self.model.add(result.unwrap(), ring);
        }
    }

    fn remove(&mut self, index: u16) {
        let Some(opened) = &mut self.reader else {
            return;
        };
        let result = either!(opened, reader => reader.remove(index));
        match self.model.ring_of(index) {
            None => assert_eq!(result.unwrap_err().errno(), libc::EINVAL),
            Some(ring) if !self.model.leases && self.model.rings[ring].is_held() => {
                assert!(matches!(result, Err(Error::Busy(_))), "{result:?}");
            }
            Some(_) => {
                result.unwrap();
                self.model.remove(index);
                let snapshot = either!(opened, reader => reader.snapshot(index));
                assert_eq!(
                    snapshot.unwrap_err().errno(),
                    libc::EINVAL,
                    "it was removed"
                );
            }
        }
    }

    fn ask(&mut self, what: u8) {
        let Some(opened) = &self.reader else {
            return;
        };
        let handle = either!(opened, reader => reader.handle());
        match what {
            0 => handle.shutdown(),
            1..8 => handle.interrupt(),
            _ => handle.flush(),
        }
        .unwrap();
        match what {
            0 => self.model.is_shut = true,
            1..8 => self.model.is_interrupted = true,
            _ => self.model.is_flush_asked = true,
        }
        self.model.is_armed = true;
    }

    // ---- Reading

    fn read(&mut self, way: Way, then: Then) -> Answer {
        let Some(mut opened) = self.reader.take() else {
            return Answer::Records;
        };
        let answer = self.read_of(&mut opened, way, then);
        self.reader = Some(opened);
        answer
    }

    fn read_of(&mut self, opened: &mut Opened, mut way: Way, then: Then) -> Answer {
        if matches!(way, Way::Look) && self.model.is_busy_with_a_flush() {
            way = Way::Read; // a look passes discarded records, and says of a flush in the next call
        }
        if matches!(way, Way::Poll) && self.model.is_armed && self.model.visible() > 0 {
            let fd = either!(&*opened, reader => reader.as_fd());
            let timeout = PollTimeout::try_from(WATCHDOG).unwrap();
            let ready = poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], timeout).unwrap();
            assert_eq!(ready, 1, "nothing made the descriptor readable");
        }
        let mut answer = self.model.answer();
        let wanted = self.model.visible();
        let takeable = self.model.takeable();
        let timeout = match way {
            Way::Wait if wanted > 0 => Some(WATCHDOG),
            _ => Some(Duration::ZERO),
        };
        let result = match opened {
            Opened::InOrder(reader) => self.lend(reader, way, timeout, then),
            Opened::Leasing(reader) => self.lease(reader, way, timeout, then),
        };
        if answer == Answer::Either && result == Err(Error::Flushed) {
            answer = self.model.flushed();
        }
        match answer {
            Answer::Records | Answer::Either => {
                let found = result.unwrap();
                match way {
                    Way::Read | Way::Look => {
                        assert_eq!(found, takeable.min(self.model.batch_size));
                    }
                    Way::Wait => assert!(found > 0 || wanted == 0, "nothing came"),
                    _ => assert!(found <= wanted),
                }
                if found > 0 {
                    self.model.is_armed = false;
                } else if !matches!(way, Way::Look) {
                    self.model.is_armed = true;
                }
            }
            Answer::Shutdown => assert_eq!(result, Err(Error::Shutdown)),
            Answer::Interrupted => assert_eq!(result, Err(Error::Interrupted)),
            Answer::Flushed => assert_eq!(result, Err(Error::Flushed)),
        }
        if !matches!(answer, Answer::Records | Answer::Either) {
            self.model.is_armed = false;
        }
        answer
    }

    fn lend(
        &mut self,
        reader: &mut Reader,
        way: Way,
        timeout: Option<Duration>,
        then: Then,
    ) -> Result<usize, Error> {
        if matches!(way, Way::Spans) {
            let spans = reader.next_spans(self.model.batch_size, timeout)?;
            let records = spans.iter().flat_map(|span| span.iter());
            let found = records.map(|r| (r.ring(), r.position(), r.data().to_vec()));
            let found: Vec<Found> = found.collect();
            self.model.handed(&found);
            if matches!(then, Then::Commit | Then::CommitFirst(_)) {
                spans.commit()?;
                self.model.commit(None);
            }
            return Ok(found.len());
        }
        let mut batch = match way {
            Way::Read => reader.read()?,
            Way::Look => reader.look()?,
            Way::Interruptible => reader.next_interruptible(timeout)?,
            _ => reader.next(timeout)?,
        };
        let found = batch
            .iter()
            .map(|r| (r.ring(), r.position(), r.data().to_vec()));
        let found: Vec<Found> = found.collect();
        self.model.handed(&found);
        match then {
            Then::Commit => {
                batch.commit()?;
                self.model.commit(None);
            }
            Then::CommitNow => {
                batch.commit_now()?;
                self.model.commit(None);
            }
            Then::CommitFirst(count) if count <= found.len() => {
                batch.commit_first(count)?;
                self.model.commit(Some((count, found.len())));
                let left: Vec<_> = batch.iter().map(|r| r.data().to_vec()).collect();
                let wanted: Vec<_> = found[count..].iter().map(|f| f.2.clone()).collect();
                assert_eq!(left, wanted);
            }
            Then::CommitFirst(count) => {
                assert_eq!(batch.commit_first(count).unwrap_err().errno(), libc::EINVAL);
            }
            Then::Snapshot => {
                if let Some((index, ..)) = found.first() {
                    let ring = self.model.ring_of(*index).unwrap();
                    let taken = contents(&mut batch.snapshot(*index)?);
                    assert_eq!(taken, self.model.rings[ring].not_given_back());
                    assert_eq!(batch.get(0).unwrap().data(), found[0].2);
                }
            }
            Then::Describe(i, j) => self.describe(&batch, &found, i, j),
            Then::Nothing => drop(batch),
        }
        Ok(found.len())
    }

    /// Makes a file of the records of a batch from one to another.
    fn describe(&self, batch: &Batch<'_>, found: &[Found], i: usize, j: usize) {
        if found.is_empty() {
            assert_eq!(batch.snapshot_header(..).unwrap_err().errno(), libc::EINVAL);
            return;
        }
        let (i, j) = (i % found.len(), j % found.len());
        let ((index, first, _), (other, last, _)) = (&found[i], &found[j]);
        let described = batch.snapshot_header(i..=j);
        if i > j || index != other {
            assert_eq!(described.unwrap_err().errno(), libc::EINVAL);
            return;
        }
        let (header, content) = described.unwrap();
        let mut file = tempfile();
        file.write_all(&header).unwrap();
        file.write_all(&content).unwrap();
        file.rewind().unwrap();
        let mut loaded = Snapshot::load(&file).unwrap().unwrap();
        let ring = &self.model.rings[self.model.ring_of(*index).unwrap()];
        let info = loaded.info().unwrap();
        let end = ring.entries[ring.index[last]].end();
        assert_eq!((info.first_pos, info.end_pos), (*first, end));
        assert_eq!((info.ring_size, info.producer_pos), (ring.size, ring.end()));
        assert_eq!(contents(&mut loaded), ring.found_between(*first, *last));
    }

    fn lease(
        &mut self,
        reader: &mut LeaseReader,
        way: Way,
        timeout: Option<Duration>,
        then: Then,
    ) -> Result<usize, Error> {
        let mut leases = match way {
            Way::Read | Way::Look => reader.read()?,
            Way::Interruptible => reader.next_interruptible(timeout)?,
            _ => reader.next(timeout)?,
        };
        let count = leases.len();
        // What is not taken goes back with the iterator; of which ring is only known if there is
        // one.
        let taken = match then {
            Then::CommitFirst(most) if self.model.added.len() == 1 => most,
            _ => count,
        };
        let taken: Vec<Lease> = leases.by_ref().take(taken).collect();
        drop(leases);
        let found: Vec<Found> = taken
            .iter()
            .map(|l| (l.ring(), l.position(), l.data().to_vec()))
            .collect();
        self.model.handed(&found);
        self.model.handed_and_back(count - taken.len());
        for lease in taken {
            let ring = self.model.ring_of(lease.ring()).unwrap();
            self.leases
                .push((ring, self.model.rings[ring].index[&lease.position()], lease));
        }
        Ok(count)
    }

    fn read_until_flushed(&mut self) {
        if self.reader.is_none() {
            return;
        }
        self.ask(19);
        loop {
            match self.read(Way::Wait, Then::Commit) {
                Answer::Flushed | Answer::Shutdown => break,
                _ => {}
            }
        }
        assert!(self.model.is_shut || self.model.visible() == 0);
    }

    fn commit(&mut self, now: bool) {
        if let Some(Opened::InOrder(reader)) = &mut self.reader {
            if now {
                reader.commit_now()
            } else {
                reader.commit()
            }
            .unwrap();
            self.model.commit(None);
        }
    }

    fn release(&mut self, from: usize, count: usize, elsewhere: bool) {
        if self.leases.is_empty() {
            return;
        }
        let from = from % self.leases.len();
        let end = self.leases.len().min(from + count);
        for (ring, entry, lease) in self.leases.drain(from..end) {
            let there = &mut self.model.rings[ring].entries[entry];
            assert_eq!(lease.data(), content(there.number, there.size));
            there.is_back = true;
            if elsewhere {
                thread::spawn(move || drop(lease)).join().unwrap();
            } else {
                drop(lease);
            }
        }
        self.model.settle();
    }

    fn snapshot(&mut self, pick: usize, consume: bool, as_file: bool) {
        let Some(opened) = &mut self.reader else {
            return;
        };
        let Some((index, ring)) = self.model.pick(pick) else {
            return;
        };
        let wanted = self.model.rings[ring].not_given_back();
        let result = either!(opened, reader => match consume {
            true => reader.drain_to_snapshot(index),
            false => reader.snapshot(index),
        });
        if consume && self.model.rings[ring].is_held() {
            assert!(matches!(result, Err(Error::Busy(_))), "{result:?}");
            return;
        }
        let mut taken = result.unwrap();
        if consume {
            self.model.rings[ring].consumed();
        }
        if as_file {
            let mut file = tempfile();
            taken.save(&file).unwrap();
            file.rewind().unwrap();
            taken = Snapshot::load(&file).unwrap().unwrap();
        }
        assert_eq!(contents(&mut taken), wanted);
        either!(opened, reader => reader.snapshot_into(index, &mut taken)).unwrap();
        assert_eq!(
            contents(&mut taken),
            self.model.rings[ring].not_given_back()
        );
    }

    // ---- Beside the reader

    fn look(&self, ring: usize) {
        let stats = Source::memory(&self.rings[ring]).ring_stats().unwrap();
        let model = &self.model.rings[ring];
        let (low, high) = model.taken_between();
        assert!((low..=high).contains(&stats.consumer_pos), "{stats:?}");
        assert_eq!(stats.map_id, None);
        assert_eq!(stats.ring_size, model.size);
        assert_eq!(stats.producer_pos, model.end());
        assert_eq!(stats.bytes_waiting, model.end() - stats.consumer_pos);
        assert_eq!(stats.lost, Some(model.lost));
        let owner = if self.model.is_taken(ring) {
            RingOwner::Process(std::process::id())
        } else {
            RingOwner::Nobody
        };
        assert_eq!(stats.owner, owner);
    }

    // ---- What is always so

    fn check(&self) {
        for (ring, entry, lease) in &self.leases {
            let there = &self.model.rings[*ring].entries[*entry];
            assert_eq!(lease.data(), content(there.number, there.size), "a lease");
        }
        let Some(opened) = &self.reader else {
            return;
        };
        let rings: Vec<_> = either!(opened, reader => reader.rings().collect());
        assert!(rings.iter().eq(self.model.added.keys()), "{rings:?}");
        for (index, ring) in &self.model.added {
            let stats = either!(opened, reader => reader.ring_stats(*index)).unwrap();
            let (low, high) = self.model.rings[*ring].given_between();
            assert!((low..=high).contains(&stats.user_pos), "{stats:?}");
            assert_eq!(stats.producer_pos, self.model.rings[*ring].end());
        }
    }

    /// Each record comes once, to one of the readers or to a last one, and nothing keeps a ring.
    fn end(mut self) {
        for (ring, entry, reservation) in self.reservations.drain(..) {
            drop(reservation);
            self.model.rings[ring].entries[entry].state = State::Discarded;
        }
        self.close();
        self.release(0, usize::MAX / 2, false);
        for (ring, model) in self.rings.iter().zip(&self.model.rings) {
            let mut last = Reader::builder().batch_size(5000).open().unwrap();
            last.add(&Source::memory(ring)).unwrap();
            let mut found = Vec::new();
            loop {
                let batch = last.read().unwrap(); // a quarter of the ring at most
                if batch.is_empty() {
                    break;
                }
                found.extend(batch.iter().map(|r| (r.position(), r.data().to_vec())));
            }
            assert_eq!(found, model.left_for_the_next());
        }
    }
}

fn contents(snapshot: &mut Snapshot) -> Vec<(u64, Vec<u8>)> {
    let records = snapshot.records().map(|record| record.unwrap());
    records.map(|r| (r.position(), r.data().to_vec())).collect()
}

fn tempfile() -> std::fs::File {
    let flags = nix::fcntl::OFlag::O_TMPFILE | nix::fcntl::OFlag::O_RDWR;
    let mode = nix::sys::stat::Mode::S_IRUSR;
    nix::fcntl::open(&env::temp_dir(), flags, mode)
        .unwrap()
        .into()
}

fn number_from(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn random_calls() {
    let seed = number_from("RBCORE_RANDOM_SEED").unwrap_or_else(|| {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        now.as_nanos() as u64
    });
    println!("RBCORE_RANDOM_SEED={seed}");
    let config = Config {
        cases: 200 * number_from("RBCORE_RANDOM_TIMES").unwrap_or(1) as u32,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 2000,
        ..Config::default()
    };
    let calls = prop::collection::vec(call(), 1..100);
    let result = TestRunner::new(config).run(&calls, |calls| {
        // SAFETY: it is only a timer: a call that hangs ends the program.
        unsafe { libc::alarm(3 * WATCHDOG.as_secs() as u32) };
        let mut world = World::new();
        world.open(calls.len() % 2 == 0, 1 + calls.len() % 19);
        world.add(0, true);
        world.add(1, false);
        for call in &calls {
            world.apply(call);
        }
        world.end();
        Ok(())
    });
    // SAFETY: as above.
    unsafe { libc::alarm(0) };
    result.unwrap_or_else(|error| panic!("RBCORE_RANDOM_SEED={seed}: {error}"));
}
