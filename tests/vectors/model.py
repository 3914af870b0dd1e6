# SPDX-License-Identifier: MIT
"""A ring and its reader, slowly: what the kernel's Documentation/bpf/ringbuf.rst and the contract
in rbcore.h say, word by word. Each step that changes or reads the ring is a line of a vector as
well. Nothing of it comes from capi/.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import ClassVar, Self

BUSY = 1 << 31
DISCARD = 1 << 30
HEADER = 8
PARTS = 4  # rbcore.h: "One call takes at most a quarter of a ring's size from it"
DISCARDS_PER_READ = 65536  # rbcore.h: "a call passes at most 65536 of them"
U64 = 1 << 64
SMALL = 4096


def fnv1a(data: bytes) -> str:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 % U64
    return f"{value:016x}"


def span(size: int) -> int:
    """The space of a record of that many bytes: its header and data, rounded up to 8."""
    return (HEADER + size + 7) // 8 * 8


def payload(seed: int, size: int) -> bytes:
    """Bytes that differ from record to record and are cheap to write down."""
    return bytes((seed * 37 + i * 11 + 1) % 256 for i in range(size))


# A series of fewer bytes is as short in full.
SERIES_MIN = 16


def data_line(offset: int, part: bytes) -> str:
    """In full, or as a series if each byte differs from the one before by the same."""
    step = (part[1] - part[0]) % 256 if len(part) >= SERIES_MIN else 0
    if len(part) >= SERIES_MIN and all((b - a) % 256 == step for a, b in itertools.pairwise(part)):
        return f"series {offset} {len(part)} {part[0]} {step}"
    return f"data {offset} {part.hex()}"


@dataclass
class Found:
    position: int
    size: int
    end: int  # where the records that follow begin; discarded ones right behind it belong to it


@dataclass
class Vector:
    """A ring's memory, the reader that the contract describes, and the lines of the file."""

    word_for_ring: ClassVar[str] = "ring"
    about: str
    size: int = SMALL
    consumer: int = 0
    producer: int = 0
    lines: list[str] = field(default_factory=list)
    memory: bytearray = field(init=False)
    read_pos: int = 0
    user_pos: int = 0
    broken: bool = False
    held: list[Found] = field(default_factory=list)
    last: list[Found] = field(default_factory=list)
    counts: list[int] = field(default_factory=lambda: [0, 0, 0])
    made: int = 0

    def __post_init__(self) -> None:
        self.memory = bytearray(self.size)
        self.line(f"{self.word_for_ring} {self.size}")

    def line(self, text: str) -> None:
        self.lines.append(text)

    # ---- What is written into the memory ----

    def consumer_pos(self, position: int) -> Self:
        self.consumer = position % U64
        self.line(f"consumer_pos {self.consumer}")
        return self

    def producer_pos(self, position: int) -> Self:
        self.producer = position % U64
        self.line(f"producer_pos {self.producer}")
        return self

    def start_at(self, position: int) -> Self:
        """An empty ring that has been in use: both positions there."""
        return self.consumer_pos(position).producer_pos(position)

    def put(self, position: int, data: bytes) -> None:
        """At a position, round the end of the data if need be."""
        at = position % self.size
        for offset, part in ((at, data[: self.size - at]), (0, data[self.size - at :])):
            if part:
                self.memory[offset : offset + len(part)] = part
                self.line(data_line(offset, part))

    def fill(self, offset: int, count: int, data: bytes) -> None:
        self.memory[offset : offset + count * len(data)] = data * count
        self.line(f"fill {offset} {count} {data.hex()}")

    def put_text(self, position: int, data: bytes) -> Self:
        self.put(position, data)
        return self

    def filled(self, data: bytes) -> Self:
        self.fill(0, self.size // len(data), data)
        return self

    def header(self, position: int, length: int) -> Self:
        """The second word is the kernel's own: the page of the ring that the header is on."""
        page = 3 + position % self.size // 4096
        self.put(position, length.to_bytes(4, "little") + page.to_bytes(4, "little"))
        return self

    def record(self, size: int, flags: int = 0) -> Self:
        """A record: submitted (flags 0), discarded, or still being written."""
        self.made += 1
        position, data = self.producer, payload(self.made, size)
        self.header(position, size | flags)
        if size:
            self.put(position + HEADER, data)
        return self.producer_pos(position + span(size))

    def records(self, *sizes: int) -> Self:
        for size in sizes:
            self.record(size)
        return self

    def discard(self, size: int) -> Self:
        return self.record(size, DISCARD)

    # ---- Without a reader ----

    def look(self) -> Self:
        waiting = min((self.producer - self.consumer) % U64, self.size)
        self.line(f"look {self.consumer} {self.producer} {waiting}")
        return self

    # ---- The reader ----

    def memory_at(self, position: int, size: int) -> bytes:
        return bytes(self.memory[(position + i) % self.size] for i in range(size))

    def memory_word(self, position: int) -> int:
        return int.from_bytes(self.memory_at(position, 4), "little")

    def bytes_at(self, position: int, size: int) -> bytes:
        """The reader sees the memory itself."""
        return self.memory_at(position, size)

    def word(self, position: int) -> int:
        return int.from_bytes(self.bytes_at(position, 4), "little")

    def positions_are_possible(self) -> bool:
        aligned = self.consumer % 8 == 0 and self.producer % 8 == 0
        return aligned and (self.producer - self.consumer) % U64 <= self.size

    def add(self, latest: bool = False) -> Self:
        self.read_pos = self.user_pos = self.consumer
        self.broken, self.held, self.last, self.counts = False, [], [], [0, 0, 0]
        possible = self.positions_are_possible()
        self.line(f"{'add_latest' if latest else 'add'} {'0' if possible else 'EBADMSG'}")
        if possible and latest:
            self.skip_complete()
        return self

    def skip_complete(self) -> None:
        while self.read_pos != self.producer:
            length = self.word(self.read_pos)
            if length & BUSY or span(length & ~DISCARD) > (self.producer - self.read_pos) % U64:
                break
            self.read_pos = (self.read_pos + span(length & ~DISCARD)) % U64
        self.user_pos = self.consumer = self.read_pos

    def producer_is_possible(self) -> bool:
        return self.producer % 8 == 0 and all(
            (self.producer - position) % U64 <= self.size
            for position in (self.read_pos, self.user_pos)
        )

    def scan(self, most: int, until: int) -> tuple[list[Found], str]:
        """The records of one read, and why it found no more of them."""
        found: list[Found] = []
        discards = 0
        begin = self.read_pos
        while len(found) < most and self.read_pos != until:
            length = self.word(self.read_pos)
            if length & BUSY:
                break
            size = length & ~DISCARD
            if span(size) > (until - self.read_pos) % U64:
                return found, "EBADMSG"
            if length & DISCARD and discards == DISCARDS_PER_READ:
                return found, "EAGAIN"
            end = (self.read_pos + span(size)) % U64
            if found and not length & DISCARD and (end - begin) % U64 > self.size // PARTS:
                break
            if length & DISCARD:
                discards += 1
                self.counts[2] += 1
                for before in (found or self.held)[-1:]:
                    before.end = end
            else:
                found.append(Found(self.read_pos, size, end))
                self.counts[0] += 1
                self.counts[1] += size
            self.read_pos = end
        return found, "0"

    def read(self, most: int = 64) -> Self:
        if self.broken or not self.producer_is_possible():
            self.broken = True
            found: list[Found] = []
            why = "EBADMSG"
        else:
            found, why = self.scan(most, self.producer)
            self.broken = why == "EBADMSG"
        return self.found(most, found, why)

    def found(self, most: int, found: list[Found], why: str) -> Self:
        self.line(f"read {most} {len(found) or why}")
        for one in found:
            digest = fnv1a(self.bytes_at(one.position + HEADER, one.size))
            self.line(f"record {one.position} {one.size} {digest}")
        self.last = found
        self.held += found
        return self

    def read_all(self, most: int = 64) -> Self:
        """Reads until one finds nothing."""
        while self.read(most).last:
            pass
        return self

    def commit(self, index: int) -> Self:
        one = self.last[index]
        self.line(f"commit {index}")
        self.held = self.held[self.held.index(one) + 1 :]
        self.user_pos = one.end if self.held else self.read_pos
        return self.expect_consumer()

    def commit_all(self) -> Self:
        self.line("commit_all")
        self.held, self.user_pos = [], self.read_pos
        return self.expect_consumer()

    def expect_consumer(self) -> Self:
        self.consumer = self.user_pos
        self.line(f"consumer {self.consumer}")
        return self

    def stats(self) -> Self:
        self.line("stats " + " ".join(map(str, self.counts)))
        return self

    # ---- Snapshots ----

    def oldest(self) -> int:
        """The position where the content of a snapshot begins."""
        return self.user_pos

    def snapshot(self) -> Self:
        """Whole records up to the first that is being written; impossible ones make an error."""
        first = at = self.oldest()
        kept = []
        while at != self.producer and not self.memory_word(at) & BUSY:
            size = self.memory_word(at) & ~DISCARD
            if span(size) > (self.producer - at) % U64:
                self.line("snapshot EBADMSG")
                return self
            if not self.memory_word(at) & DISCARD:
                kept.append(f"kept {at} {size} {fnv1a(self.memory_at(at + HEADER, size))}")
            at = (at + span(size)) % U64
        self.line("snapshot 0")
        self.line(f"extent {first} {at} {self.producer} 0")
        self.lines += kept
        self.line("kept_end 0")
        return self

    def describe(self, first: int, last: int) -> Self:
        """A file of records of the last read, made where they lie, with what is between them."""
        at, behind = self.last[first].position, self.last[last].position
        end, begin, kept = (behind + span(self.last[last].size)) % U64, at, []
        while at != end:
            word = self.memory_word(at)
            size = word & ~DISCARD
            if word & BUSY or (at != behind and span(size) > (behind - at) % U64):
                self.line(f"describe {first} {last} EBADMSG")
                return self
            if not word & DISCARD:
                kept.append(f"kept {at} {size} {fnv1a(self.memory_at(at + HEADER, size))}")
            at = (at + span(size)) % U64
        self.line(f"describe {first} {last} 0")
        self.line(f"extent {begin} {end} {self.producer} 0")
        self.lines += kept
        self.line("kept_end 0")
        return self

    def close(self) -> Self:
        self.line("close")
        return self

    def all(self) -> Self:
        """Most vectors end so: reads, the last of which finds nothing more, and a commit of all."""
        return self.read().read_all().commit_all().stats()

    def text(self) -> str:
        return "\n".join([f"# {self.about}", *self.lines]) + "\n"
