# SPDX-License-Identifier: MIT
"""This is what must come out of rings and readers, for test_random.py: the slow way, record by
record.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import rbcore

COPIED_MAX = 65536  # the last record of a batch is a copy if it is not larger


def content(number: int, size: int) -> bytes:
    word = (number * 0x9E3779B97F4A7C15 & (1 << 64) - 1).to_bytes(8, "little")
    return (word * (size // 8 + 1))[:size]


@dataclass(eq=False)
class Entry:
    """A record of a ring."""

    ring: RingModel
    number: int
    size: int
    position: int
    state: str = "there"  # or "open" as long as it is written, or "discarded"
    is_back: bool = False

    @property
    def end(self) -> int:
        return self.position + (self.size + 15 & ~7)


class RingModel:
    """A ring and all that was written into it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.memory = rbcore.MemoryRing(size)
        self.producer = rbcore.Producer(self.memory)
        self.entries: list[Entry] = []
        self.index: dict[int, int] = {}  # by position
        self.read = 0  # all before this one were handed out or passed
        self.lost = 0

    def close(self) -> None:
        self.producer.close()
        self.memory.close()

    # ---- Written

    @property
    def end(self) -> int:
        return self.entries[-1].end if self.entries else 0

    def wrote(self, number: int, size: int) -> Entry:
        entry = Entry(self, number, size, self.end)
        self.index[entry.position] = len(self.entries)
        self.entries.append(entry)
        return entry

    def refused(self, size: int) -> None:
        """Only a ring that is full refuses."""
        assert self.end + (size + 15 & ~7) - self.taken_between()[0] >= self.size

    def at(self, position: int) -> Entry:
        return self.entries[self.index[position]]

    # ---- Read and given back

    def first(self) -> int:
        """The index of the first one that is not back."""
        i = 0
        while i < self.read and (self.entries[i].is_back or self.entries[i].state == "discarded"):
            i += 1
        return i

    def until_open(self, begin: int) -> list[Entry]:
        found = []
        for entry in self.entries[begin:]:
            if entry.state == "open":
                break
            found.append(entry)
        return found

    def visible(self) -> list[Entry]:
        return [entry for entry in self.until_open(self.read) if entry.state == "there"]

    def takeable(self) -> int:
        """Returns what one call takes: a quarter of the ring at most, but always one record."""
        count = 0
        for entry in self.visible():
            if count and entry.end - self.entries[self.read].position > self.size // 4:
                break
            count += 1
        return count

    def not_given_back(self) -> list[Entry]:
        return [entry for entry in self.until_open(self.first()) if entry.state == "there"]

    def is_held(self) -> bool:
        return self.first() < self.read

    def pass_discarded(self) -> None:
        while self.read < len(self.entries) and self.entries[self.read].state == "discarded":
            self.read += 1

    def given_between(self) -> tuple[int, int]:
        """Returns where user_pos can be: discarded records go with those before them, or later."""
        first = self.first()
        back = [entry.end for entry in self.entries[:first] if entry.state == "there"]
        while first < len(self.entries) and self.entries[first].state == "discarded":
            first += 1
        high = self.entries[first].position if first < len(self.entries) else self.end
        return back[-1] if back else 0, high

    def taken_between(self) -> tuple[int, int]:
        """Returns where consumer_pos can be: the last one given back may still take its place, and
        discarded ones behind it go with it, or with the next.
        """
        back = [entry for entry in self.entries[: self.first()] if entry.state == "there"]
        return back[-1].position if back else 0, self.given_between()[1]

    def between(self, first: Entry, last: Entry) -> list[Entry]:
        entries = self.entries[self.index[first.position] : self.index[last.position] + 1]
        return [entry for entry in entries if entry.state == "there"]

    def left_for_the_next(self) -> list[Entry]:
        return [entry for entry in self.entries[self.first() :] if entry.state == "there"]


@dataclass(eq=False)
class Handed:
    """A batch that was not given back as a whole."""

    batch: Any  # until the reader is closed
    entries: list[Entry]
    first: int = 0  # the ones before it were
    loop: list[int] = field(default_factory=lambda: [0])  # what the last loop was handed out


@dataclass(eq=False)
class ReaderModel:
    batch_size: int = 0
    rings: dict[int, RingModel] = field(default_factory=dict)
    taken: list[RingModel] = field(default_factory=list)  # by it or by what it gave out
    batches: list[Handed] = field(default_factory=list)
    is_closed: bool = False
    is_forgotten: bool = False  # closed when nothing refers to it any more
    is_shut: bool = False
    is_interrupted: bool = False
    is_flush_asked: bool = False
    is_flushing: bool = False
    flush_ends: dict[RingModel, int] = field(default_factory=dict)
    is_armed: bool = False

    # ---- Rings

    def add(self, index: int, ring: RingModel) -> None:
        self.rings[index] = ring
        self.taken.append(ring)
        self.flush_ends.pop(ring, None)
        self.is_armed = True  # add makes the descriptor readable, so that a wait ends in a look

    def index_of(self, ring: RingModel) -> int:
        return next(index for index, each in self.rings.items() if each is ring)

    def remove(self, index: int) -> None:
        del self.rings[index]

    def close(self, held: list[Holder], how: str) -> None:
        """how: "with" a block that ends well, "close", or "forget"."""
        if how != "forget" and self.batches:
            # No loop of these tests is done with a record: it gets one at most.
            self.commit(len(self.batches) - 1, self.batches[-1].loop[0] if how == "with" else 0)
            self.moved(held)
        for holder in held:
            if holder.reader is self and holder.handed is not None:
                holder.handed.batch = None  # it would keep the reader
        self.rings.clear()
        self.batches.clear()
        self.is_closed = True
        self.is_forgotten = how == "forget"

    def moved(self, held: list[Holder]) -> None:
        """What views hold is not in the rings any more."""
        for holder in held:
            if holder.reader is self and holder.lease is None:
                holder.holds = False

    def settle(self, held: list[Holder]) -> None:
        """Lets go of rings that nothing keeps."""
        for ring in list(self.taken):
            if not self.keeps(ring, held):
                ring.read = ring.first()
                self.taken.remove(ring)

    def keeps(self, ring: RingModel, held: list[Holder]) -> bool:
        """A reader that is closed keeps the rings of what is held, a forgotten one all of them."""
        if not self.is_closed:
            return ring in self.rings.values() or ring.is_held()
        rings = [holder.entry.ring for holder in held if holder.reader is self and holder.holds]
        return bool(rings) if self.is_forgotten else ring in rings

    # ---- What others ask

    def ask(self, what: str) -> None:
        if what == "interrupt":
            self.is_interrupted = True
        elif what == "flush":
            self.is_flush_asked = True
        else:
            self.is_shut = True
        self.is_armed = True

    def answer(self) -> type[rbcore.Error] | None:
        """Returns what a read says before it looks for records, or when it finds none."""
        if self.is_shut:
            return rbcore.Closed
        if self.is_interrupted:
            self.is_interrupted = False
            return rbcore.Interrupted
        if self.is_flush_asked:
            self.is_flush_asked, self.is_flushing = False, True
            self.flush_ends = {ring: len(ring.entries) for ring in self.rings.values()}
        if not self.visible():
            for ring in self.rings.values():
                ring.pass_discarded()
        if self.is_flushing and not self.visible():
            self.is_flushing = False
            return rbcore.Flushed
        return None

    def can_be_flushed(self) -> bool:
        """Nothing of what was flushed is left but discarded ones, passed with others or not."""
        left = (ring.visible() for ring in self.rings.values())
        return self.is_flushing and not any(
            rest and rest[0].ring.index[rest[0].position] < self.flush_ends.get(rest[0].ring, 0)
            for rest in left
        )

    # ---- Records

    def visible(self) -> list[Entry]:
        return [entry for ring in self.rings.values() for entry in ring.visible()]

    def takeable(self) -> int:
        return sum(ring.takeable() for ring in self.rings.values())

    def handed(self, batch: Any, entries: list[Entry], arms: bool) -> None:
        for entry in entries:
            entry.ring.read = entry.ring.index[entry.position] + 1
        if entries:
            self.is_armed = False
        elif arms:
            self.is_armed = True
        if entries and isinstance(batch, rbcore.Batch):
            self.batches.append(Handed(batch, entries))

    def holds(self, handed: Handed, held: list[Holder]) -> bool:
        return any(holder.handed is handed and holder.holds for holder in held)

    def let_go(self, held: list[Holder]) -> None:
        """Does what each call does first: batches that are not held go back, in order."""
        while self.batches and not self.holds(self.batches[0], held):
            self.commit(0, None)

    def evacuated(self, held: list[Holder]) -> None:
        self.commit(len(self.batches) - 1, None)
        self.moved(held)

    def commit(self, which: int, count: int | None) -> None:
        """Batches before this one, and so many records of it; None: all."""
        for handed in self.batches[: which + 1]:
            whole = handed is not self.batches[which] or count is None
            end = len(handed.entries) if whole or count is None else count
            for entry in handed.entries[:end]:
                entry.is_back = True
            handed.first = max(handed.first, end)
        done = self.batches[which].first == len(self.batches[which].entries)
        del self.batches[: which + done]

    def consumed(self, ring: RingModel) -> None:
        entries = ring.until_open(ring.read)
        for entry in entries:
            entry.is_back = True
        ring.read += len(entries)


@dataclass(eq=False)
class Holder:
    """Something that the program keeps, and what it must show as long as it lives."""

    thing: Any
    entry: Entry
    holds: bool = False  # the batch, and the ring
    reader: ReaderModel | None = None
    handed: Handed | None = None
    lease: rbcore.Lease | None = None
    how: str = "view"
    loop: list[int] = field(default_factory=lambda: [0])  # of an iterator
    was: bytes = b""  # the content of a file

    @classmethod
    def of_batch(cls, reader: ReaderModel, handed: Handed, how: str, i: int) -> Holder:
        batch, entry = handed.batch, handed.entries[i]
        is_copy = i == len(handed.entries) - 1 and entry.size <= COPIED_MAX
        if how == "array" and handed.entries[0].size > 0:
            array = next(batch.arrays("u1"))
            handed.loop = [len(array)]
            return cls(array, handed.entries[0], True, reader, handed, how=how)
        if how == "iterator":
            handed.loop = [0]
            holds = len(handed.entries) > 1 or handed.entries[0].size > COPIED_MAX
            return cls(
                iter(batch), handed.entries[0], holds, reader, handed, how=how, loop=handed.loop
            )
        thing = batch[i][:4] if how == "slice" else batch[i]
        return cls(thing, entry, not is_copy, reader, handed)

    @classmethod
    def of_content(
        cls, reader: ReaderModel, handed: Handed, view: memoryview, first: Entry
    ) -> Holder:
        return cls(view, first, True, reader, handed, how="content", was=bytes(view))

    @classmethod
    def of_lease(cls, reader: ReaderModel, lease: rbcore.Lease, entry: Entry) -> Holder:
        return cls(lease.view, entry, True, reader, lease=lease)

    def check(self) -> None:
        wanted = content(self.entry.number, self.entry.size)
        if self.how == "iterator":
            return  # shown by what it yields, when it is dropped
        if self.how == "content":
            assert self.thing == self.was
        elif self.how == "array":
            assert self.thing[0] == wanted[0]
        else:
            assert bytes(self.thing) == wanted[: len(self.thing)]
            assert len(self.thing) == len(wanted) or len(self.thing) == 4

    def drop(self) -> None:
        """Its parts may go in any order."""
        if self.how == "iterator":
            self.loop[0] = 1
            assert bytes(next(self.thing)) == content(self.entry.number, self.entry.size)
        self.thing = None
        if self.lease is not None:
            self.lease = None
            self.entry.is_back = True

    def release(self, how: str) -> bool:
        """Tells whether the lease is back."""
        lease = self.lease
        assert lease is not None
        if how == "slice":
            self.thing = lease.view[: len(self.thing)]
        elif how == "busy":
            try:
                lease.release()
            except BufferError:
                return False
            raise AssertionError("released although a view lives")
        elif how == "with":
            self.thing = None
            with lease as view:
                assert bytes(view) == content(self.entry.number, self.entry.size)
            del view
        else:
            self.thing = None
            lease.release()
            lease.release()
        if how == "slice":
            return False
        self.entry.is_back = True
        return True
