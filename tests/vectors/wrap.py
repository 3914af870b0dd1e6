# SPDX-License-Identifier: MIT
"""Vectors of the end of the data, and of positions that pass a power of two."""

from __future__ import annotations

from collections.abc import Iterator

from model import SMALL, U64, Vector


def vectors() -> Iterator[tuple[str, Vector]]:
    """The end of the data, and of the positions."""
    for left in (8, 16, 24, 64):
        yield (
            f"wrap-{left:02}-left",
            (
                Vector(f"A record of 100 bytes whose header begins {left} bytes before the end")
                .start_at(3 * SMALL - left)
                .records(100, 5)
                .add()
                .all()
            ),
        )
    yield (
        "wrap-exactly",
        (
            Vector("A record that ends where the data ends")
            .start_at(SMALL - 32)
            .records(24, 24)
            .add()
            .all()
        ),
    )
    yield (
        "wrap-padding",
        (
            Vector("The padding of a record goes round the end, its data does not")
            .start_at(SMALL - 16)
            .records(3, 3)
            .add()
            .all()
        ),
    )
    yield (
        "wrap-largest",
        (
            Vector("The largest record, from the middle of the ring")
            .start_at(SMALL // 2)
            .records(SMALL - 16)
            .add()
            .all()
        ),
    )
    yield (
        "wrap-run",
        (
            Vector("A run of equal records across the end")
            .start_at(7 * SMALL - 80)
            .records(*[16] * 12)
            .add()
            .all()
        ),
    )
    yield (
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
    yield (
        "wrap-many-times",
        many_laps(Vector("Five laps round the ring, committed as they come").add()),
    )
    for power in (31, 32, 63):
        yield (
            f"position-2-{power}",
            (
                Vector(f"Positions that pass 2^{power}")
                .start_at((1 << power) - 40)
                .records(10, 10, 10)
                .add()
                .all()
            ),
        )
    yield (
        "position-2-64",
        (
            Vector("Positions that pass 2^64: the record at 0 is none that was read before")
            .start_at(U64 - 48)
            .records(8, 8, 8, 8)
            .add()
            .all()
        ),
    )
    yield (
        "position-beyond-2-53",
        (
            Vector("A position that is no exact floating-point number")
            .start_at((1 << 60) + 8)
            .records(1, 1)
            .add()
            .all()
        ),
    )
    yield (
        "position-last-lap",
        (Vector("The last lap before 2^64").start_at(U64 - SMALL).records(100, 200).add().all()),
    )


def many_laps(self: Vector) -> Vector:
    for lap in range(5):
        for size in (1000, 1000, 1000 + lap):
            self.record(size)
        self.read_all().commit_all()
    return self.stats()
