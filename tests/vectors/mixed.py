# SPDX-License-Identifier: MIT
"""Vectors of records, reads and commits by chance, the same on each run."""

from __future__ import annotations

from collections.abc import Iterator

from model import DISCARD, U64, Vector, span


def vectors() -> Iterator[tuple[str, Vector]]:
    """Rings and readers by chance, the same on each run."""
    for seed in range(1, 17):
        yield f"mixed-{seed:02}", by_chance(seed)


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
