# SPDX-License-Identifier: MIT
"""This module counts how far a loop over records has got."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import repeat
from typing import Any, Protocol


class Counter(Protocol):
    """An iterator that knows how much it has left, as those of lists, tuples and struct do."""

    def __length_hint__(self) -> int: ...


NOTHING: Any = iter(())


class Progress:
    """Counts what an iterator handed out, as its parts tell, which are iterators of C.

    So a single record costs nothing.
    """

    __slots__ = ("_end", "_parts")

    def __init__(self) -> None:
        self._parts: list[tuple[Counter, int, int]] = []
        self._end: Any = repeat(None, 1)

    def follows(self, counter: Counter, unit: int = 1) -> None:
        """Notes that the items of counter come next. Each is so many records."""
        self._parts.append((counter, counter.__length_hint__(), unit))

    def is_at(self, count: int) -> None:
        """Notes that one item, of count records, is handed out now."""
        self._parts.append((NOTHING, 1, count))

    def is_asked(self) -> None:
        """Notes that the loop asked for one more item: it is done with those before."""
        self._parts.append((NOTHING, 1, 0))

    def end(self) -> Iterator[Any]:
        """Returns the last part of the iterator, which is empty: a loop that asks it is through.

        The iterator has it from the beginning.
        """
        return filter(None, self._end)

    @property
    def is_gone(self) -> bool:
        """Tells whether the iterator is gone: then only this object has its end."""
        return sys.getrefcount(self._end) <= 2

    @property
    def is_through(self) -> bool:
        """Tells whether the iterator was asked for more, and had none."""
        return not self._end.__length_hint__()

    def handed_out(self) -> int:
        """Returns how many records were handed out."""
        return sum((size - left.__length_hint__()) * unit for left, size, unit in self._parts)

    def done(self) -> int:
        """Returns how many records the loop is done with: all but the item that it is at."""
        if not self.is_through:
            for left, size, unit in reversed(self._parts):
                if size > left.__length_hint__():
                    return self.handed_out() - unit
        return self.handed_out()
