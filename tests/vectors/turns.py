# SPDX-License-Identifier: MIT
"""Vectors of how much one read takes: a quarter of the ring at most, but always one record."""

from __future__ import annotations

from collections.abc import Iterator

from model import SMALL, Vector


def vectors() -> Iterator[tuple[str, Vector]]:
    quarter = Vector("Two records fill a quarter to the byte").records(504, 504, 0)
    yield "turn-of-a-quarter", quarter.add().all()
    more = Vector("The second ends 8 bytes beyond the quarter").records(504, 505, 0)
    yield "turn-of-a-word-more", more.add().all()
    large = Vector("Larger than a quarter: one a read").records(SMALL // 4, 0, 1500, 1300)
    yield "turn-of-a-large-record", large.add().all()
    wraps = Vector("The quarter goes on at the beginning of the ring").start_at(SMALL - 520)
    yield "turn-across-the-end", wraps.records(*[240] * 8).add().all()
    between = Vector("Discarded records count, those behind the quarter are passed with it")
    between.records(96).discard(500).records(392).discard(400).discard(40).records(8)
    yield "turn-with-discards", between.add().all()
    behind = Vector("One record behind more than a quarter of discarded ones")
    behind.discard(600).discard(600).records(40, 40)
    yield "turn-after-discards", behind.add().all()
    held = Vector("What is held counts for the call alone that handed it out")
    held.records(*[248] * 12).add().read().read().commit(1)
    yield "turn-behind-held-records", held.all()
