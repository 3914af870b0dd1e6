# SPDX-License-Identifier: MIT
"""Vectors of rings in overwrite mode. The producers here do what the kernel's commit says that
brought the mode, and find no room where that says so; the reader does what rbcore.h promises.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Self

from model import BUSY, DISCARD, SMALL, U64, Found, Vector, span


def is_after(position: int, other: int) -> bool:
    """Positions are compared by their difference: it is never 2^63 or more."""
    return 0 < (position - other) % U64 < U64 // 2


@dataclass
class Overwriting(Vector):
    """The reader has a copy, which each read fills with all that is complete and has room."""

    word_for_ring: ClassVar[str] = "ring_overwrite"
    overwrite: int = 0
    pending: int = 0
    copied: dict[int, bytes] = field(default_factory=dict)  # 8 bytes each, by position
    copied_to: int = 0
    lost_bytes: int = 0

    # ---- Producers ----

    def overwrite_pos(self, position: int) -> Self:
        self.overwrite = position % U64
        self.line(f"overwrite_pos {self.overwrite}")
        return self

    def pending_pos(self, position: int) -> Self:
        self.pending = position % U64
        self.line(f"pending_pos {self.pending}")
        return self

    def start_at(self, position: int) -> Self:
        super().start_at(position)
        return self.overwrite_pos(position).pending_pos(position)

    def memory_span(self, position: int) -> int:
        return span(self.memory_word(position) & ~(BUSY | DISCARD))

    def first_pending(self) -> int:
        at = self.pending
        while at != self.producer and not self.memory_word(at) & BUSY:
            at = (at + self.memory_span(at)) % U64
        return at

    def has_room(self, size: int) -> bool:
        """False where a record that is being written would have to go."""
        return (self.producer + span(size) - self.first_pending()) % U64 < self.size

    def record(self, size: int, flags: int = 0) -> Self:
        if not self.has_room(size):
            raise ValueError("the kernel refuses this record")
        pending, oldest = self.first_pending(), self.overwrite
        while (self.producer + span(size) - oldest) % U64 >= self.size:
            oldest = (oldest + self.memory_span(oldest)) % U64
        if pending != self.pending:
            self.pending_pos(pending)
        if oldest != self.overwrite:
            self.overwrite_pos(oldest)
        return super().record(size, flags)

    def finish(self, position: int, flags: int = 0) -> Self:
        """The producer of a record that is being written submits or discards it."""
        return self.header(position, self.memory_word(position) & ~BUSY | flags)

    # ---- The reader ----

    def oldest(self) -> int:
        return self.overwrite

    def bytes_at(self, position: int, size: int) -> bytes:
        end = position + size
        chunks = [self.copied[at % U64] for at in range(position // 8 * 8, end, 8)]
        return b"".join(chunks)[position % 8 :][:size]

    def add(self, latest: bool = False) -> Self:
        possible = self.consumer % 8 == 0 and self.producer % 8 == 0
        possible = possible and not is_after(self.consumer, self.producer)
        self.line(f"add_overwrite {'0' if possible else 'EBADMSG'}")
        self.read_pos = self.user_pos = self.copied_to = self.consumer
        self.broken, self.held, self.last, self.counts = False, [], [], [0, 0, 0]
        self.copied, self.lost_bytes = {}, 0
        return self

    def lose(self) -> bool:
        """Goes on at the oldest record, if all that was copied was given back."""
        if self.user_pos != self.copied_to:
            return False
        self.lost_bytes += (self.overwrite - self.copied_to) % U64
        self.read_pos = self.user_pos = self.copied_to = self.overwrite
        return True

    def refill(self) -> None:
        if is_after(self.overwrite, self.copied_to) and not self.lose():
            return
        if (self.producer - self.copied_to) % U64 > self.size:
            self.broken = self.read_pos == self.copied_to
            return
        while self.copied_to != self.producer and not self.memory_word(self.copied_to) & BUSY:
            taken = self.memory_span(self.copied_to)
            if taken > (self.producer - self.copied_to) % U64:
                self.broken = self.read_pos == self.copied_to
                break
            if (self.copied_to + taken - self.user_pos) % U64 > self.size:
                break
            for offset in range(0, taken, 8):
                at = (self.copied_to + offset) % U64
                self.copied[at] = self.memory_at(at, 8)
            self.copied_to = (self.copied_to + taken) % U64

    def read(self, most: int = 64) -> Self:
        if not self.broken:
            self.refill()
        found: list[Found] = []
        why = "EBADMSG"
        if not self.broken:
            found, why = self.scan(most, self.copied_to)
        return self.found(most, found, why)

    def lost(self) -> Self:
        self.line(f"lost {self.lost_bytes}")
        return self

    def all(self) -> Self:
        super().all()
        return self.lost()


def example() -> Overwriting:
    """The one in the kernel's commit: A to E; E is refused."""
    self = Overwriting("A and B are overwritten by D; E finds no room, C is being written")
    self.record(504, BUSY).record(1016, BUSY).record(2040, BUSY)
    self.finish(0).finish(512)
    self.record(1528, BUSY)
    if self.has_room(1016):
        raise ValueError("E must not fit")
    self.add().read()
    return self.finish(1536).finish(3584).all()


def laps(about: str, size: int, sizes: list[int], start: int = 0) -> Overwriting:
    self = Overwriting(about, size)
    if start:
        self.start_at(start)
    for one in sizes:
        self.record(one)
    return self


def held_while_overwritten() -> Overwriting:
    self = laps("What was handed out stays as it is, whatever is overwritten", SMALL, [100] * 5)
    self.add().read().commit(2).records(*[200] * 40).read_all().commit_all()
    return self.all()


def unread_while_overwritten() -> Overwriting:
    self = laps("What a read copied and did not hand out yet is not lost", SMALL, [40] * 12)
    self.add().read(3).records(*[90] * 80).read(4).read(64).read(1)
    return self.commit_all().all()


def copy_full() -> Overwriting:
    self = laps("What has no room in the copy waits for what is held", SMALL, [1000] * 3)
    self.add().read().commit(0).records(1500, 900).read().commit(0).read_all().commit_all()
    self.records(1000, 1000, 1000).read().records(900).read_all().commit_all()
    return self.all()


def read_in_pairs() -> Overwriting:
    self = laps("Two at a time, while more comes and overwrites", SMALL, [])
    self.add()
    for i in range(30):
        self.records(*[i * 13 % 300] * 4).read(2)
        if i % 4 == 3:
            self.commit_all().lost()
    return self.read_all().commit_all().all()


def discards() -> Overwriting:
    self = Overwriting("Discarded records are overwritten like others; those that are left, passed")
    for i in range(90):
        self.record(i, DISCARD if i % 3 == 0 else 0)
    return self.add().all()


def busy_head() -> Overwriting:
    self = Overwriting(
        "The oldest is being written: nothing can be read, and the newest find no room"
    )
    self.record(1000, BUSY).records(*[500] * 5)
    self.add().read_all().finish(0).read_all().commit_all().records(*[500] * 9)
    return self.all()


def second_reader() -> Overwriting:
    self = laps("A second reader goes on where the first committed to, if that is left", SMALL, [])
    self.records(*[24] * 10).add().read().commit(4).close().add().read()
    return self.close().records(*[600] * 20).add().all()


def by_chance(seed: int) -> Overwriting:
    state = seed

    def below(limit: int) -> int:
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % U64
        return (state >> 33) % limit

    self = Overwriting(f"Records, discards, reads and commits by chance, number {seed}")
    self.start_at(U64 - 8 * below(2000) if seed % 4 == 0 else 8 * below(1 << 20)).add()
    unfinished: list[int] = []
    for _ in range(70):
        action, size = below(10), below(1 << (4 + below(7)))
        if action < 5 and self.has_room(size):
            flags = (DISCARD, BUSY, 0, 0, 0)[below(5)]
            if flags == BUSY:
                unfinished.append(self.producer)
            self.record(size, flags)
        elif action == 5 and unfinished:
            self.finish(unfinished.pop(below(len(unfinished))))
        elif action in (6, 7):
            self.read(2 + below(7))  # a read of one may be given more to hold back
        elif action == 8 and self.last and self.last[-1] in self.held:
            self.commit(below(len(self.last)) if self.last[0] in self.held else len(self.last) - 1)
        elif action == 9:
            self.commit_all()
    for position in unfinished:
        self.finish(position)
    return self.commit_all().read_all(2000).commit_all().read_all(2000).commit_all().stats().lost()


def impossible(about: str) -> Overwriting:
    self = Overwriting(about)
    self.records(8, 8, 8)
    return self


def vectors() -> Iterator[tuple[str, Vector]]:
    """All of them, by name."""
    yield "overwrite-example", example()
    yield "overwrite-empty", Overwriting("Nothing was ever produced").add().all()
    not_full = laps("Nothing was overwritten yet", SMALL, [100, 7, 0, 50])
    yield "overwrite-not-full", not_full.add().all()
    yield "overwrite-once", laps("A little more than one lap", SMALL, [100] * 40).add().all()
    sizes = [i * 37 % 400 for i in range(70)]
    yield "overwrite-many-sizes", laps("Many laps, sizes that differ", SMALL, sizes).add().all()
    yield "overwrite-largest", laps("Only the last fits", SMALL, [50, SMALL - 16] * 2).add().all()
    yield "overwrite-two-pages", laps("A larger ring", 8192, [3000] * 4 + [9] * 50).add().all()
    last = laps("The last lap before 2^64", SMALL, [300] * 30, U64 - 5 * 1024)
    yield "overwrite-last-lap", last.add().all()
    yield "overwrite-payloads", laps("Data of all sizes", SMALL, [*range(64)] * 3).add().all()
    yield "overwrite-held", held_while_overwritten()
    yield "overwrite-unread", unread_while_overwritten()
    yield "overwrite-copy-full", copy_full()
    yield "overwrite-in-pairs", read_in_pairs()
    yield "overwrite-discards", discards()
    yield "overwrite-busy-head", busy_head()
    yield "overwrite-second-reader", second_reader()
    yield (
        "overwrite-oversize",
        impossible("No producer writes such a header").header(16, 5000).add().all(),
    )
    behind = impossible("Overwritten further than anything was produced").overwrite_pos(640)
    yield "overwrite-beyond-producer", behind.add().read().read()
    unaligned = impossible("A producer position that no ring has").producer_pos(52)
    yield "overwrite-producer-unaligned", unaligned.add()
    ahead = impossible("A consumer that is ahead of the producer").consumer_pos(56)
    yield "overwrite-consumer-ahead", ahead.add()
    for seed in range(1, 17):
        yield f"overwrite-mixed-{seed:02}", by_chance(seed)
    refused = Overwriting("Read like a normal ring it would be misread: it is refused")
    refused.records(8).line("add EOPNOTSUPP")
    yield "overwrite-refused", refused
    normal = Vector("A normal ring, read as one in overwrite mode: it is refused").records(8)
    normal.line("add_overwrite EMEDIUMTYPE")
    yield "overwrite-of-a-normal-ring", normal
