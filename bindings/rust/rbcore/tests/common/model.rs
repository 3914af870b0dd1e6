// SPDX-License-Identifier: MIT
//! What must come out of rings and readers, for random.rs: the slow way, record by record.

use std::collections::{BTreeMap, HashMap};

pub(crate) fn content(number: u64, size: usize) -> Vec<u8> {
    let word = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes();
    word.iter().copied().cycle().take(size).collect()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    There,
    /// The record is there as long as it is written.
    Open,
    Discarded,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) number: u64,
    pub(crate) size: usize,
    pub(crate) position: u64,
    pub(crate) state: State,
    pub(crate) is_back: bool,
}

impl Entry {
    pub(crate) fn end(&self) -> u64 {
        self.position + span(self.size)
    }

    fn found(&self) -> (u64, Vec<u8>) {
        (self.position, content(self.number, self.size))
    }
}

fn span(size: usize) -> u64 {
    (size as u64 + 15) & !7
}

/// A ring and all that was written into it.
#[derive(Debug, Default)]
pub(crate) struct RingModel {
    pub(crate) size: u64,
    pub(crate) entries: Vec<Entry>,
    pub(crate) index: HashMap<u64, usize>,
    /// All before this one were handed out or passed.
    read: usize,
    /// So many were refused.
    pub(crate) lost: u64,
}

impl RingModel {
    pub(crate) fn new(size: u64) -> Self {
        Self {
            size,
            ..Self::default()
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.entries.last().map_or(0, Entry::end)
    }

    pub(crate) fn wrote(&mut self, number: u64, size: usize, state: State) {
        let position = self.end();
        self.index.insert(position, self.entries.len());
        self.entries.push(Entry {
            number,
            size,
            position,
            state,
            is_back: false,
        });
    }

    /// Only a ring that is full refuses, and the record is lost.
    pub(crate) fn refused(&mut self, size: usize) {
        self.lost += 1;
        self.is_full(size);
    }

    pub(crate) fn is_full(&self, size: usize) {
        let (taken_from, _) = self.taken_between();
        assert!(self.end() + span(size) - taken_from >= self.size, "refused");
    }

    /// The index of the first one that is not back.
    fn first(&self) -> usize {
        let is_back = |entry: &Entry| entry.is_back || entry.state == State::Discarded;
        let read = &self.entries[..self.read];
        read.iter()
            .position(|entry| !is_back(entry))
            .unwrap_or(self.read)
    }

    fn until_open(&self, begin: usize) -> &[Entry] {
        let rest = &self.entries[begin..];
        let open = rest.iter().position(|entry| entry.state == State::Open);
        &rest[..open.unwrap_or(rest.len())]
    }

    fn visible(&self) -> impl Iterator<Item = &Entry> {
        self.until_open(self.read)
            .iter()
            .filter(|entry| entry.state == State::There)
    }

    /// Returns what one call takes: a quarter of the ring at most, but always one record.
    fn takeable(&self) -> usize {
        let begin = self
            .entries
            .get(self.read)
            .map_or(0, |entry| entry.position);
        self.visible()
            .enumerate()
            .take_while(|(i, entry)| *i == 0 || entry.end() - begin <= self.size / 4)
            .count()
    }

    pub(crate) fn not_given_back(&self) -> Vec<(u64, Vec<u8>)> {
        let there = self.until_open(self.first()).iter();
        there
            .filter(|entry| entry.state == State::There)
            .map(Entry::found)
            .collect()
    }

    pub(crate) fn left_for_the_next(&self) -> Vec<(u64, Vec<u8>)> {
        let left = self.entries[self.first()..].iter();
        left.filter(|entry| entry.state == State::There)
            .map(Entry::found)
            .collect()
    }

    pub(crate) fn is_held(&self) -> bool {
        self.first() < self.read
    }

    fn pass_discarded(&mut self) {
        while self
            .entries
            .get(self.read)
            .is_some_and(|e| e.state == State::Discarded)
        {
            self.read += 1;
        }
    }

    pub(crate) fn consumed(&mut self) {
        let count = self.until_open(self.read).len();
        for entry in &mut self.entries[self.read..self.read + count] {
            entry.is_back = true;
        }
        self.read += count;
    }

    /// Returns where `user_pos` can be: discarded records go with those before them, or later.
    pub(crate) fn given_between(&self) -> (u64, u64) {
        let first = self.first();
        let back = self.entries[..first]
            .iter()
            .rfind(|entry| entry.state == State::There);
        let behind = self.entries[first..]
            .iter()
            .find(|entry| entry.state != State::Discarded);
        (
            back.map_or(0, Entry::end),
            behind.map_or(self.end(), |entry| entry.position),
        )
    }

    /// Returns where `consumer_pos` can be: the last one given back may still take its place, with
    /// the discarded ones behind it.
    pub(crate) fn taken_between(&self) -> (u64, u64) {
        let last = self.entries[..self.first()]
            .iter()
            .rfind(|entry| entry.state == State::There);
        (
            last.map_or(0, |entry| entry.position),
            self.given_between().1,
        )
    }

    /// The records from one position to another, as a file has them.
    pub(crate) fn found_between(&self, first: u64, last: u64) -> Vec<(u64, Vec<u8>)> {
        let entries = self.entries[self.index[&first]..=self.index[&last]].iter();
        entries
            .filter(|entry| entry.state == State::There)
            .map(Entry::found)
            .collect()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Records,
    Shutdown,
    Interrupted,
    Flushed,
    /// It returns records, or Flushed: discarded ones may have been passed with others.
    Either,
}

/// The rings and the reader that is open.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) rings: Vec<RingModel>,
    pub(crate) leases: bool,
    pub(crate) batch_size: usize,
    /// The rings are here by the reader's index.
    pub(crate) added: BTreeMap<u16, usize>,
    /// These are handed out and not committed, in order: ring and entry.
    lent: Vec<(usize, usize)>,
    pub(crate) is_shut: bool,
    pub(crate) is_interrupted: bool,
    pub(crate) is_flush_asked: bool,
    pub(crate) is_armed: bool,
    /// This is where each ring ended when the flush was noticed.
    flush: Option<HashMap<usize, usize>>,
}

impl Model {
    pub(crate) fn new(rings: Vec<RingModel>) -> Self {
        Self {
            rings,
            leases: false,
            batch_size: 0,
            added: BTreeMap::new(),
            lent: Vec::new(),
            is_shut: false,
            is_interrupted: false,
            is_flush_asked: false,
            is_armed: false,
            flush: None,
        }
    }

    pub(crate) fn open(&mut self, leases: bool, batch_size: usize) {
        *self = Self {
            leases,
            batch_size,
            ..Self::new(std::mem::take(&mut self.rings))
        };
    }

    pub(crate) fn close(&mut self) {
        if !self.leases {
            for ring in self.added.values() {
                self.rings[*ring].read = self.rings[*ring].first();
            }
        }
        self.added.clear();
        self.lent.clear();
        self.settle();
    }

    pub(crate) fn add(&mut self, index: u16, ring: usize) {
        assert_eq!(
            self.added.insert(index, ring),
            None,
            "an index that is not free"
        );
        if let Some(flush) = &mut self.flush {
            flush.remove(&ring);
        }
        self.is_armed = true; // add makes the descriptor readable, so that a wait ends in a look
    }

    pub(crate) fn remove(&mut self, index: u16) {
        self.added.remove(&index);
        self.settle();
    }

    /// Rings that nothing keeps are read anew from where they were given back.
    pub(crate) fn settle(&mut self) {
        for ring in 0..self.rings.len() {
            if !self.is_taken(ring) {
                self.rings[ring].read = self.rings[ring].first();
            }
        }
    }

    /// The reader holds it, or leases of it or of one before do.
    pub(crate) fn is_taken(&self, ring: usize) -> bool {
        self.added.values().any(|added| *added == ring) || self.rings[ring].is_held()
    }

    pub(crate) fn ring_of(&self, index: u16) -> Option<usize> {
        self.added.get(&index).copied()
    }

    pub(crate) fn pick(&self, pick: usize) -> Option<(u16, usize)> {
        let count = self.added.len().max(1);
        self.added
            .iter()
            .nth(pick % count)
            .map(|(index, ring)| (*index, *ring))
    }

    pub(crate) fn is_busy_with_a_flush(&self) -> bool {
        self.is_flush_asked || self.flush.is_some()
    }

    pub(crate) fn visible(&self) -> usize {
        self.added
            .values()
            .map(|ring| self.rings[*ring].visible().count())
            .sum()
    }

    pub(crate) fn takeable(&self) -> usize {
        self.added
            .values()
            .map(|ring| self.rings[*ring].takeable())
            .sum()
    }

    /// Returns what a read says before it looks for records, or when it finds none.
    pub(crate) fn answer(&mut self) -> Answer {
        if self.is_shut {
            return Answer::Shutdown;
        }
        if std::mem::take(&mut self.is_interrupted) {
            return Answer::Interrupted;
        }
        if std::mem::take(&mut self.is_flush_asked) {
            let ends = self
                .added
                .values()
                .map(|ring| (*ring, self.rings[*ring].entries.len()));
            self.flush = Some(ends.collect());
        }
        if self.visible() == 0 {
            for ring in self.added.values() {
                self.rings[*ring].pass_discarded();
            }
        }
        let Some(ends) = &self.flush else {
            return Answer::Records;
        };
        let is_left = |ring: &usize| {
            let model = &self.rings[*ring];
            let next = model
                .visible()
                .next()
                .map(|entry| model.index[&entry.position]);
            next.is_some_and(|next| next < ends.get(ring).copied().unwrap_or(0))
        };
        if self.added.values().any(is_left) {
            Answer::Records
        } else if self.visible() > 0 {
            Answer::Either
        } else {
            self.flushed()
        }
    }

    pub(crate) fn flushed(&mut self) -> Answer {
        self.flush = None;
        Answer::Flushed
    }

    /// It expects the next ones of each ring, in its order.
    pub(crate) fn handed(&mut self, found: &[(u16, u64, Vec<u8>)]) {
        for (index, position, data) in found {
            let ring = self.added[index];
            let model = &mut self.rings[ring];
            let next = model
                .visible()
                .next()
                .expect("a record that nobody wrote")
                .position;
            assert_eq!(*position, next, "out of order");
            let at = model.index[position];
            let entry = &model.entries[at];
            assert_eq!(
                *data,
                content(entry.number, entry.size),
                "record {}",
                entry.number
            );
            model.read = at + 1;
            if !self.leases {
                self.lent.push((ring, at));
            }
        }
    }

    /// These are leases of the only ring that the test did not take.
    pub(crate) fn handed_and_back(&mut self, count: usize) {
        for _ in 0..count {
            let ring = *self.added.values().next().unwrap();
            let model = &mut self.rings[ring];
            let position = model.visible().next().unwrap().position;
            let at = model.index[&position];
            model.entries[at].is_back = true;
            model.read = at + 1;
        }
    }

    /// This commits all, or all before the last batch and the first so many of the so many in that.
    pub(crate) fn commit(&mut self, of_last: Option<(usize, usize)>) {
        let end = match of_last {
            Some((0, _)) => 0, // nothing, not even what was before
            Some((count, all)) => self.lent.len() - all + count,
            None => self.lent.len(),
        };
        for (ring, entry) in self.lent.drain(..end) {
            self.rings[ring].entries[entry].is_back = true;
        }
    }
}
