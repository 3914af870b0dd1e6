# SPDX-License-Identifier: MIT
"""How far a loop over records has got."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import repeat
from typing import Any, Protocol


class Counter(Protocol):
    """An iterator that knows how much it has left: those of lists and tuples, and of struct."""

    def __length_hint__(self) -> int: ...


NOTHING: Any = iter(())


class Progress:
    """What an iterator handed out, as the iterators of C tell that it is made of.

    So it costs nothing for the single record.
    """

    __slots__ = ("_end", "_parts")

    def __init__(self) -> None:
        self._parts: list[tuple[Counter, int, int]] = []
        self._end: Any = repeat(None, 1)

    def follows(self, counter: Counter, unit: int = 1) -> None:
        """The items of counter come next, each of which is so many records."""
        self._parts.append((counter, counter.__length_hint__(), unit))

    def is_at(self, count: int) -> None:
        """One item, of count records, is handed out now."""
        self._parts.append((NOTHING, 1, count))

    def is_asked(self) -> None:
        """For the next item, which there is not: the loop is done with those before."""
        self._parts.append((NOTHING, 1, 0))

    def end(self) -> Iterator[Any]:
        """The last part of the iterator, an empty one: who asks it is through. The iterator has it
        from the beginning."""
        return filter(None, self._end)

    @property
    def is_gone(self) -> bool:
        """Whether the iterator is: then nobody but this one has its end."""
        return sys.getrefcount(self._end) <= 2

    @property
    def is_through(self) -> bool:
        """Whether the iterator was asked for more, and had none."""
        return not self._end.__length_hint__()

    def handed_out(self) -> int:
        """Records."""
        return sum((size - left.__length_hint__()) * unit for left, size, unit in self._parts)

    def done(self) -> int:
        """Records that the loop is done with: all but the item that it is at."""
        if not self.is_through:
            for left, size, unit in reversed(self._parts):
                if size > left.__length_hint__():
                    return self.handed_out() - unit
        return self.handed_out()
