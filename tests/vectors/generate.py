#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes images/*.vector and snapshots/*.vector: rings and snapshots, and what a reader must make
of them (README.md).

generate.py            writes them
generate.py --check    compares with what is committed; ends with 1 if something differs
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import overwriting
import snapshots
import turns
from model import BUSY, DISCARD, DISCARDS_PER_READ, SMALL, U64, Vector, span

HERE = Path(__file__).resolve().parent

# ---- The vectors ----

VECTORS: dict[str, Vector] = {}


def vector(name: str, made: Vector) -> None:
    if name in VECTORS:
        raise ValueError(f"two vectors are named {name}")
    VECTORS[name] = made


def plain() -> None:
    """Records as the kernel makes them."""
    vector("empty", Vector("Nothing was ever produced").add().all())
    for size in (0, 1, 7, 8, 9, 16, 17, 255):
        vector(
            f"size-{size:04}",
            (Vector(f"Three records of {size} bytes").records(size, size, size).add().all()),
        )
    vector(
        "zero-size-fills-the-ring",
        (
            Vector("511 records without data: as full as the kernel makes a ring")
            .records(*[0] * (SMALL // 8 - 1))
            .add()
            .read_all(600)
            .commit_all()
            .stats()
        ),
    )
    vector(
        "largest",
        (
            Vector("The largest record that the kernel reserves in this ring")
            .records(SMALL - 16)
            .add()
            .all()
        ),
    )
    vector(
        "two-pages",
        (
            Vector("A ring of two pages, and a record larger than a page", 8192)
            .records(5000, 3000)
            .add()
            .all()
        ),
    )
    vector(
        "many-sizes",
        Vector("Sizes that all differ").records(*range(0, 60, 3)).add().all(),
    )
    vector(
        "runs-of-sizes",
        (
            Vector("Runs of equal sizes, with one of another size between them")
            .records(*[8] * 5, 9, *[8] * 3, *[24] * 6, 0, 0, 8)
            .add()
            .all()
        ),
    )
    vector(
        "array-smaller-than-ring",
        (
            Vector("More records than one read has room for")
            .records(*[12] * 10)
            .add()
            .read(4)
            .read(4)
            .read(4)
            .read(4)
            .commit_all()
        ),
    )
    vector(
        "array-of-one",
        (
            Vector("One record a read")
            .records(8, 8, 8)
            .add()
            .read(1)
            .read(1)
            .read(1)
            .read(1)
            .commit_all()
        ),
    )
    vector(
        "more-comes",
        (
            Vector("Records that come between reads, before anything was committed")
            .records(8)
            .add()
            .read()
            .records(24, 24)
            .read()
            .commit_all()
            .records(8)
            .read()
            .commit_all()
            .stats()
        ),
    )


def wrap() -> None:
    """The end of the data, and of the positions."""
    for left in (8, 16, 24, 64):
        vector(
            f"wrap-{left:02}-left",
            (
                Vector(f"A record of 100 bytes whose header begins {left} bytes before the end")
                .start_at(3 * SMALL - left)
                .records(100, 5)
                .add()
                .all()
            ),
        )
    vector(
        "wrap-exactly",
        (
            Vector("A record that ends where the data ends")
            .start_at(SMALL - 32)
            .records(24, 24)
            .add()
            .all()
        ),
    )
    vector(
        "wrap-padding",
        (
            Vector("The padding of a record goes round the end, its data does not")
            .start_at(SMALL - 16)
            .records(3, 3)
            .add()
            .all()
        ),
    )
    vector(
        "wrap-largest",
        (
            Vector("The largest record, from the middle of the ring")
            .start_at(SMALL // 2)
            .records(SMALL - 16)
            .add()
            .all()
        ),
    )
    vector(
        "wrap-run",
        (
            Vector("A run of equal records across the end")
            .start_at(7 * SMALL - 80)
            .records(*[16] * 12)
            .add()
            .all()
        ),
    )
    vector(
        "wrap-discard",
        (
            Vector("A discarded record across the end")
            .start_at(SMALL - 24)
            .discard(60)
            .record(9)
            .add()
            .all()
        ),
    )
    vector(
        "wrap-many-times",
        many_laps(Vector("Five laps round the ring, committed as they come").add()),
    )
    for power in (31, 32, 63):
        vector(
            f"position-2-{power}",
            (
                Vector(f"Positions that pass 2^{power}")
                .start_at((1 << power) - 40)
                .records(10, 10, 10)
                .add()
                .all()
            ),
        )
    vector(
        "position-2-64",
        (
            Vector("Positions that pass 2^64: the record at 0 is none that was read before")
            .start_at(U64 - 48)
            .records(8, 8, 8, 8)
            .add()
            .all()
        ),
    )
    vector(
        "position-beyond-2-53",
        (
            Vector("A position that is no exact floating-point number")
            .start_at((1 << 60) + 8)
            .records(1, 1)
            .add()
            .all()
        ),
    )
    vector(
        "position-last-lap",
        (Vector("The last lap before 2^64").start_at(U64 - SMALL).records(100, 200).add().all()),
    )


def many_laps(self: Vector) -> Vector:
    for lap in range(5):
        for size in (1000, 1000, 1000 + lap):
            self.record(size)
        self.read_all().commit_all()
    return self.stats()


def resume() -> None:
    """Rings that somebody read before."""
    vector(
        "resume-in-the-middle",
        (
            Vector("A ring that is in use: the records before consumer_pos were read by another")
            .records(8, 16, 24)
            .consumer_pos(40)
            .add()
            .all()
        ),
    )
    vector(
        "resume-at-the-end",
        (
            Vector("All was read by another")
            .records(8, 16)
            .consumer_pos(40)
            .add()
            .all()
            .record(8)
            .read()
            .commit_all()
        ),
    )
    vector(
        "resume-after-part",
        (
            Vector("A second reader gets what the first did not commit")
            .records(8, 8, 8, 8)
            .add()
            .read()
            .commit(1)
            .close()
            .add()
            .all()
        ),
    )
    vector(
        "resume-after-nothing",
        (
            Vector("A second reader gets all that the first read and did not commit")
            .records(8, 9, 10)
            .add()
            .read()
            .close()
            .add()
            .all()
        ),
    )
    vector(
        "resume-latest",
        (
            Vector("Complete records are skipped, what comes later is read")
            .records(8, 8)
            .discard(8)
            .add(latest=True)
            .read()
            .record(5)
            .read()
            .commit_all()
        ),
    )
    vector(
        "resume-latest-before-busy",
        latest_before_busy(
            Vector("What is still being written is not skipped, nor what is behind it")
        ),
    )


def latest_before_busy(self: Vector) -> Vector:
    self.records(8, 8).record(16, BUSY).record(8)
    return self.add(latest=True).read().header(32, 16).read().commit_all()


def discards() -> None:
    vector(
        "discard-one",
        Vector("Nothing but a discarded record").discard(8).add().all(),
    )
    vector(
        "discard-zero-size",
        (Vector("A discarded record without data").discard(0).record(8).add().all()),
    )
    vector(
        "discard-first",
        (Vector("A discarded record at the head").discard(30).record(8).add().all()),
    )
    vector(
        "discard-last",
        (Vector("A discarded record at the end").record(8).discard(30).add().all()),
    )
    vector(
        "discard-between",
        (
            Vector("A discarded record in a run of equal ones")
            .records(8, 8)
            .discard(8)
            .records(8, 8)
            .add()
            .all()
        ),
    )
    vector(
        "discard-every-other",
        every_other(Vector("Every other record is discarded")).add().all(),
    )
    vector(
        "discard-largest",
        Vector("The largest record, discarded").discard(SMALL - 16).add().all(),
    )
    vector(
        "discard-goes-with-the-one-before",
        (
            Vector("Discarded records that follow a committed one go with it")
            .record(8)
            .discard(8)
            .discard(40)
            .record(8)
            .add()
            .read()
            .commit(0)
            .commit_all()
        ),
    )
    for count in (DISCARDS_PER_READ, DISCARDS_PER_READ + 1, 2 * DISCARDS_PER_READ + 5):
        vector(
            f"discards-{count}",
            many_discards(count),
        )


def every_other(self: Vector) -> Vector:
    for i in range(20):
        self.record(i, DISCARD if i % 2 else 0)
    return self


def many_discards(count: int) -> Vector:
    self = Vector(
        f"{count} discarded records before one that is not: a read passes 65536",
        2 << 20,
    )
    self.fill(0, count, (DISCARD).to_bytes(4, "little") + (3).to_bytes(4, "little"))
    self.producer = 8 * count
    self.record(24).add()
    for _ in range(count // DISCARDS_PER_READ + 1):
        self.read()
    return self.commit_all().stats()


def busy() -> None:
    """Records that are being written."""
    vector(
        "busy-head",
        (Vector("The head is being written").record(8, BUSY).records(8, 8).add().all()),
    )
    vector(
        "busy-between",
        (
            Vector("A record in the middle is being written")
            .records(8, 8)
            .record(8, BUSY)
            .record(8)
            .add()
            .all()
        ),
    )
    vector(
        "busy-then-submitted",
        (
            Vector("The head is submitted later")
            .record(20, BUSY)
            .record(8)
            .add()
            .read()
            .header(0, 20)
            .read()
            .commit_all()
            .stats()
        ),
    )
    vector(
        "busy-then-discarded",
        (
            Vector("The head is discarded later")
            .record(20, BUSY)
            .record(8)
            .add()
            .read()
            .header(0, 20 | DISCARD)
            .read()
            .commit_all()
            .stats()
        ),
    )
    vector(
        "busy-and-discard",
        (
            Vector("Both bits: it is still being written")
            .record(8, BUSY | DISCARD)
            .record(8)
            .add()
            .all()
        ),
    )
    vector(
        "busy-largest",
        (Vector("The largest record is being written").record(SMALL - 16, BUSY).add().all()),
    )
    vector(
        "busy-behind-discards",
        (
            Vector("Discarded records before one that is being written")
            .discard(8)
            .discard(0)
            .record(8, BUSY)
            .add()
            .all()
        ),
    )
    vector(
        "busy-impossible-size",
        (
            Vector("A size beyond the ring, while it is being written: nobody may look at it")
            .record(8)
            .header(16, BUSY | 0x3FFFFFFF)
            .producer_pos(48)
            .add()
            .all()
        ),
    )


def hostile() -> None:
    """What no producer writes."""
    for size, name in (
        (SMALL, "ring"),
        (SMALL + 8, "more"),
        (0x3FFFFFFF, "most"),
        (0x3FFFFFF8, "most-aligned"),
    ):
        vector(
            f"oversize-{name}",
            (
                Vector(f"A header of {size} bytes in a ring of {SMALL}")
                .header(0, size)
                .producer_pos(64)
                .add()
                .all()
            ),
        )
    vector(
        "oversize-discard",
        (
            Vector("A discarded record that is larger than the ring")
            .header(0, DISCARD | (SMALL + 1))
            .producer_pos(64)
            .add()
            .all()
        ),
    )
    vector(
        "oversize-by-8",
        (
            Vector("A record that ends 8 bytes behind producer_pos")
            .header(0, 64)
            .producer_pos(64)
            .add()
            .all()
        ),
    )
    vector(
        "oversize-by-1",
        (
            Vector("A record one byte too long for producer_pos")
            .header(0, 57)
            .producer_pos(64)
            .add()
            .all()
        ),
    )
    vector(
        "exactly-to-the-end",
        (
            Vector("A record that ends where producer_pos is, rounded up")
            .header(0, 49)
            .producer_pos(64)
            .add()
            .all()
        ),
    )
    vector(
        "oversize-behind-good-ones",
        (
            Vector("Good records before an impossible one are delivered first")
            .records(8, 8)
            .header(32, 5000)
            .producer_pos(96)
            .add()
            .all()
        ),
    )
    vector(
        "oversize-behind-discard",
        (
            Vector("A discarded record before an impossible one")
            .discard(8)
            .header(16, 5000)
            .producer_pos(96)
            .add()
            .all()
        ),
    )
    vector(
        "oversize-at-the-end-of-data",
        (
            Vector("A record that would go past the second copy of the data")
            .start_at(SMALL - 8)
            .header(SMALL - 8, 2 * SMALL)
            .producer_pos(SMALL + 64)
            .add()
            .all()
        ),
    )
    vector(
        "broken-stays-broken",
        (
            Vector("A ring that was found impossible stays so, for this reader; not for the next")
            .header(0, 5000)
            .producer_pos(16)
            .add()
            .read()
            .header(0, 8)
            .read()
            .close()
            .add()
            .all()
        ),
    )
    vector(
        "garbage-header",
        (
            Vector("Text where a header should be")
            .producer_pos(512)
            .put_text(0, b"this is no header")
            .add()
            .all()
        ),
    )
    vector(
        "zeros",
        (
            Vector("Memory that was never written: headers of records without data")
            .producer_pos(64)
            .add()
            .all()
        ),
    )
    vector(
        "all-busy",
        (
            Vector("Every header with all bits set: everything is being written")
            .filled(b"\xff\xff\xff\xff\0\0\0\0")
            .producer_pos(64)
            .add()
            .all()
        ),
    )
    vector(
        "consumer-pos-changed",
        (
            Vector("Somebody writes consumer_pos while it is read: the reader knows better")
            .records(8, 8)
            .add()
            .read(1)
            .consumer_pos(4000)
            .read()
            .commit_all()
        ),
    )


def positions() -> None:
    """Positions that cannot be, when the ring is added and later."""
    for name, consumer, producer in (
        ("consumer-unaligned", 4, 64),
        ("consumer-odd", 1, 64),
        ("producer-unaligned", 0, 12),
        ("producer-odd", 0, 63),
        ("both-unaligned", 4, 12),
        ("producer-too-far", 0, SMALL + 8),
        ("producer-very-far", 8, 1 << 40),
        ("producer-behind", 64, 56),
        ("producer-far-behind", SMALL * 4, 0),
        ("consumer-at-the-end-of-time", U64 - 8, SMALL),
    ):
        vector(
            f"position-{name}",
            (
                Vector("Positions that no ring has")
                .consumer_pos(consumer)
                .producer_pos(producer)
                .add()
            ),
        )
    for name, producer in (
        ("runs-back", 8),
        ("runs-back-below-all", -8),
        ("runs-away", SMALL + 40),
        ("becomes-unaligned", 36),
        ("becomes-huge", 1 << 63),
    ):
        vector(
            f"producer-{name}",
            (
                Vector("A producer position that becomes impossible")
                .records(8, 8)
                .add()
                .read()
                .commit_all()
                .producer_pos(producer)
                .read()
                .read()
            ),
        )
    vector(
        "producer-over-held-records",
        (
            Vector("A producer position that would overwrite what is not committed")
            .records(8, 8)
            .add()
            .read()
            .producer_pos(SMALL + 8)
            .read()
            .commit_all()
        ),
    )
    vector(
        "producer-runs-back-with-held",
        (
            Vector("It runs back while records are held: they can still be committed")
            .records(8, 8)
            .add()
            .read()
            .producer_pos(16)
            .read()
            .commit_all()
        ),
    )


def commits() -> None:
    vector(
        "commit-nothing",
        (
            Vector("A commit without records changes nothing")
            .add()
            .commit_all()
            .record(8)
            .commit_all()
            .all()
        ),
    )
    vector(
        "commit-one-by-one",
        (
            Vector("A prefix, record by record")
            .records(8, 16, 24)
            .add()
            .read()
            .commit(0)
            .commit(1)
            .commit(2)
            .read()
        ),
    )
    vector(
        "commit-in-two-reads",
        (
            Vector("A commit within the second read gives back all of the first")
            .records(*[8] * 8)
            .add()
            .read(4)
            .read(4)
            .commit(1)
            .commit_all()
        ),
    )
    vector(
        "commit-frees-space",
        (
            Vector("The space of what was committed is used again")
            .records(2000, 2000)
            .add()
            .read()
            .commit(0)
            .records(1900)
            .read_all()
            .commit_all()
            .stats()
        ),
    )
    vector(
        "commit-across-the-end",
        (
            Vector("A committed record across the end of the data")
            .start_at(SMALL - 16)
            .records(64, 8)
            .add()
            .read()
            .commit(0)
            .commit_all()
        ),
    )


def mixed() -> None:
    """Rings and readers by chance, the same on each run."""
    for seed in range(1, 17):
        vector(f"mixed-{seed:02}", by_chance(seed))


def by_chance(seed: int) -> Vector:
    state = seed

    def below(limit: int) -> int:
        nonlocal state
        state = (state * 6364136223846793005 + 1442695040888963407) % U64
        return (state >> 33) % limit

    self = Vector(f"Records, discards, reads and commits by chance, number {seed}")
    self.start_at(8 * below(1 << 20)).add()
    for _ in range(12):
        size = below(1 << (1 + below(8)))
        free = self.size - 8 - (self.producer - self.user_pos) % U64
        action = below(6)
        if action < 3 and span(size) <= free:
            self.record(size, DISCARD if below(4) == 0 else 0)
        elif action == 3:
            self.read(1 + below(5))
        elif action == 4 and self.last and self.last[-1] in self.held:
            self.commit(len(self.last) - 1)
        elif action == 5:
            self.commit_all()
    return self.read().all()


for kind in (plain, wrap, resume, discards, busy, hostile, positions, commits, mixed):
    kind()
for name, made in (*overwriting.vectors(), *turns.vectors()):
    vector(name, made)

FOLDERS = {
    "images": {name: made.text() for name, made in VECTORS.items()},
    "snapshots": dict(snapshots.vectors()),
}


def write() -> int:
    for folder, expected in FOLDERS.items():
        (HERE / folder).mkdir(exist_ok=True)
        for old in (HERE / folder).glob("*.vector"):
            old.unlink()
        for name, text in expected.items():
            (HERE / folder / f"{name}.vector").write_text(text)
    return 0


def check() -> int:
    differences = 0
    for folder, expected in FOLDERS.items():
        committed = {path.stem: path.read_text() for path in (HERE / folder).glob("*.vector")}
        for name in sorted(committed | expected):
            if committed.get(name) != expected.get(name):
                print(f"{folder}/{name} is not what generate.py writes", file=sys.stderr)
                differences += 1
    return 1 if differences else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes the vectors.")
    parser.add_argument("--check", action="store_true", help="compare with what is committed")
    return check() if parser.parse_args().check else write()


if __name__ == "__main__":
    sys.exit(main())
