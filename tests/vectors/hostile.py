# SPDX-License-Identifier: MIT
"""Vectors of content and positions that no producer writes."""

from __future__ import annotations

from collections.abc import Iterator

from model import DISCARD, SMALL, U64, Vector


def hostile() -> Iterator[tuple[str, Vector]]:
    """Content that no producer writes."""
    for size, name in (
        (SMALL, "ring"),
        (SMALL + 8, "more"),
        (0x3FFFFFFF, "most"),
        (0x3FFFFFF8, "most-aligned"),
    ):
        yield (
            f"oversize-{name}",
            (
                Vector(f"A header of {size} bytes in a ring of {SMALL}")
                .header(0, size)
                .producer_pos(64)
                .add()
                .all()
            ),
        )
    yield (
        "oversize-discard",
        (
            Vector("A discarded record that is larger than the ring")
            .header(0, DISCARD | (SMALL + 1))
            .producer_pos(64)
            .add()
            .all()
        ),
    )
    yield (
        "oversize-by-8",
        (
            Vector("A record that ends 8 bytes behind producer_pos")
            .header(0, 64)
            .producer_pos(64)
            .add()
            .all()
        ),
    )
    yield (
        "oversize-by-1",
        (
            Vector("A record one byte too long for producer_pos")
            .header(0, 57)
            .producer_pos(64)
            .add()
            .all()
        ),
    )
    yield (
        "exactly-to-the-end",
        (
            Vector("A record that ends where producer_pos is, rounded up")
            .header(0, 49)
            .producer_pos(64)
            .add()
            .all()
        ),
    )
    yield (
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
    yield (
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
    yield (
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
    yield (
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
    yield (
        "garbage-header",
        (
            Vector("Text where a header should be")
            .producer_pos(512)
            .put_text(0, b"this is no header")
            .add()
            .all()
        ),
    )
    yield (
        "zeros",
        (
            Vector("Memory that was never written: headers of records without data")
            .producer_pos(64)
            .add()
            .all()
        ),
    )
    yield (
        "all-busy",
        (
            Vector("Every header with all bits set: everything is being written")
            .filled(b"\xff\xff\xff\xff\0\0\0\0")
            .producer_pos(64)
            .add()
            .all()
        ),
    )
    yield (
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


def positions() -> Iterator[tuple[str, Vector]]:
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
        yield (
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
        yield (
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
    yield (
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
    yield (
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


def vectors() -> Iterator[tuple[str, Vector]]:
    yield from hostile()
    yield from positions()
