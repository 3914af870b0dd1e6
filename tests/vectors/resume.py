# SPDX-License-Identifier: MIT
"""Vectors of rings that were read before, and of what a commit gives back."""

from __future__ import annotations

from collections.abc import Iterator

from model import BUSY, SMALL, Vector


def resume() -> Iterator[tuple[str, Vector]]:
    """Rings that somebody read before."""
    yield (
        "resume-in-the-middle",
        (
            Vector("A ring that is in use: the records before consumer_pos were read by another")
            .records(8, 16, 24)
            .consumer_pos(40)
            .add()
            .all()
        ),
    )
    yield (
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
    yield (
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
    yield (
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
    yield (
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
    yield (
        "resume-latest-before-busy",
        latest_before_busy(
            Vector("What is still being written is not skipped, nor what is behind it")
        ),
    )


def latest_before_busy(self: Vector) -> Vector:
    self.records(8, 8).record(16, BUSY).record(8)
    return self.add(latest=True).read().header(32, 16).read().commit_all()


def commits() -> Iterator[tuple[str, Vector]]:
    yield (
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
    yield (
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
    yield (
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
    yield (
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
    yield (
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


def looks() -> Iterator[tuple[str, Vector]]:
    """Rings that are looked at without a reader, before they have one and beside it."""
    yield (
        "look-beside-a-reader",
        (
            Vector("What waits is what was not given back, handed out or not")
            .look()
            .records(8, 16, 24)
            .look()
            .add()
            .read()
            .look()
            .commit_all()
            .look()
            .records(8, 8)
            .read()
            .commit(0)
            .look()
            .close()
            .look()
        ),
    )
    yield (
        "look-after-many-rounds",
        (
            Vector("Positions far beyond the ring's size, and a record that is being written")
            .start_at(SMALL * 1000 + 16)
            .records(8, 16)
            .record(8, BUSY)
            .look()
        ),
    )
    yield (
        "look-at-impossible-positions",
        (
            Vector("Positions that no reader takes: no more waits than the ring has")
            .consumer_pos(2 * SMALL)
            .producer_pos(16)
            .look()
            .add()
            .look()
            .producer_pos(5 * SMALL + 3)
            .look()
            .add()
        ),
    )


def vectors() -> Iterator[tuple[str, Vector]]:
    yield from resume()
    yield from commits()
    yield from looks()
