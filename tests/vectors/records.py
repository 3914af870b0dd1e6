# SPDX-License-Identifier: MIT
"""Vectors of records as producers make them: complete, discarded, or still being written."""

from __future__ import annotations

from collections.abc import Iterator

from model import BUSY, DISCARD, DISCARDS_PER_READ, SMALL, Vector


def plain() -> Iterator[tuple[str, Vector]]:
    """Records as the kernel makes them."""
    yield "empty", Vector("Nothing was ever produced").add().all()
    for size in (0, 1, 7, 8, 9, 16, 17, 255):
        yield (
            f"size-{size:04}",
            (Vector(f"Three records of {size} bytes").records(size, size, size).add().all()),
        )
    yield (
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
    yield (
        "largest",
        (
            Vector("The largest record that the kernel reserves in this ring")
            .records(SMALL - 16)
            .add()
            .all()
        ),
    )
    yield (
        "two-pages",
        (
            Vector("A ring of two pages, and a record larger than a page", 8192)
            .records(5000, 3000)
            .add()
            .all()
        ),
    )
    yield (
        "many-sizes",
        Vector("Sizes that all differ").records(*range(0, 60, 3)).add().all(),
    )
    yield (
        "runs-of-sizes",
        (
            Vector("Runs of equal sizes, with one of another size between them")
            .records(*[8] * 5, 9, *[8] * 3, *[24] * 6, 0, 0, 8)
            .add()
            .all()
        ),
    )
    yield (
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
    yield (
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
    yield (
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


def discards() -> Iterator[tuple[str, Vector]]:
    yield (
        "discard-one",
        Vector("Nothing but a discarded record").discard(8).add().all(),
    )
    yield (
        "discard-zero-size",
        (Vector("A discarded record without data").discard(0).record(8).add().all()),
    )
    yield (
        "discard-first",
        (Vector("A discarded record at the head").discard(30).record(8).add().all()),
    )
    yield (
        "discard-last",
        (Vector("A discarded record at the end").record(8).discard(30).add().all()),
    )
    yield (
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
    yield (
        "discard-every-other",
        every_other(Vector("Every other record is discarded")).add().all(),
    )
    yield (
        "discard-largest",
        Vector("The largest record, discarded").discard(SMALL - 16).add().all(),
    )
    yield (
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
        yield (
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


def busy() -> Iterator[tuple[str, Vector]]:
    """Records that are being written."""
    yield (
        "busy-head",
        (Vector("The head is being written").record(8, BUSY).records(8, 8).add().all()),
    )
    yield (
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
    yield (
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
    yield (
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
    yield (
        "busy-and-discard",
        (
            Vector("Both bits: it is still being written")
            .record(8, BUSY | DISCARD)
            .record(8)
            .add()
            .all()
        ),
    )
    yield (
        "busy-largest",
        (Vector("The largest record is being written").record(SMALL - 16, BUSY).add().all()),
    )
    yield (
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
    yield (
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


def vectors() -> Iterator[tuple[str, Vector]]:
    yield from plain()
    yield from discards()
    yield from busy()
