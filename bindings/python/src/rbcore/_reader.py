# SPDX-License-Identifier: MIT
"""The reader that gives records back in order."""

from __future__ import annotations

import errno
from collections import deque
from typing import Any

from ._base import ReaderBase
from ._batch import Batch
from ._errors import check, error_of
from ._rbcore import ffi, lib
from ._records import SHAPE, SPAN

# Runs of records of one size in a batch, at most: where each has another size, so many records are
# enough for a batch.
SPANS_MAX = 1024


class Reader(ReaderBase[Batch]):
    __doc__ = f"""Hands out Batches, and gives them back in order.

    with Reader(source) as reader:
        for batch in reader:
            for record in batch:
                ...

    Each next(), and so each turn of the loop, gives back what was handed out before and nobody
    holds any more; it never raises for what somebody does hold, which stays valid. commit() gives
    back explicitly.

    {ReaderBase.__doc__}"""

    def _prepare(self) -> None:
        self._held: deque[Batch] = deque()  # handed out, and not given back as a whole
        # What was found last, as C has it and as Python.
        self._spans = ffi.new("rbcore_span[]", self._max)
        self._found = memoryview(ffi.buffer(self._spans))
        self._shape = ffi.new("rbcore_py_shape *")
        self._found_shape = ffi.buffer(self._shape)
        self._records: Any = None  # for read()

    def next(self, timeout: float | None = None) -> Batch:
        return self._alone(self._next, timeout)

    def read(self, limit: int | None = None) -> Batch:
        """What is there, without waiting; unlike next(0) also what is not due yet.

        limit: the most records, if that is less than batch_size. If nothing is there, the next
        record makes fileno() readable.
        """
        return self._read_at_once("rbcore_reader_read", lib.rbcore_reader_read, limit)

    def look(self, limit: int | None = None) -> Batch:
        """As read(), but leaves fileno() as it is: cheaper, for loops that do not wait for it."""
        return self._read_at_once("rbcore_reader_look", lib.rbcore_reader_look, limit)

    def commit(self, *, now: bool = False) -> None:
        """Gives back all that was handed out; BufferError, and nothing is, if a view lives.

        now: tells the kernel at once, also while the ring is busy.
        """
        self._alone(self._commit_all, now)

    # ---- Within

    def _next(self, timeout: float | None) -> Batch:
        return self._hand_out(self._fill(timeout))

    def _wait(self, timeout_ns: int) -> int:
        most, free = self._max, self._let_go()
        return lib.rbcore_py_next(
            self._open, free, self._spans, min(most, SPANS_MAX), most, timeout_ns, self._shape
        )

    def _read_at_once(self, name: str, function: Any, limit: int | None) -> Batch:
        return self._alone(self._find, name, function, limit)

    def _find(self, name: str, function: Any, limit: int | None) -> Batch:
        self._give_back()
        if self._records is None:
            self._records = ffi.new("rbcore_record[]", self._max)
        most = self._max if limit is None else min(limit, self._max)
        n = -errno.EAGAIN
        while n == -errno.EAGAIN:  # many were discarded; there may be more
            n = function(self._open, self._records, most)
        check(n, name, self._cause(n))
        spans = lib.rbcore_py_spans_of(self._records, n, self._spans)
        lib.rbcore_py_shape_of(self._spans, spans, self._shape)
        return self._hand_out(spans)

    def _hand_out(self, spans: int) -> Batch:
        if not spans:
            return Batch(self, b"", (0, 0, 0))
        found = self._found[: spans * SPAN.size].tobytes()
        batch = Batch(self, found, SHAPE.unpack(self._found_shape))
        self._held.append(batch)
        return batch

    def _let_go(self) -> bool:
        """As _give_back; but where nothing is held, as in most loops, leaves it to who calls."""
        held = self._held
        if len(held) == 1 and not held[0]._is_held():
            held.pop()._spans = None
            return True
        self._give_back()
        return False

    def _give_back(self) -> None:
        """What nobody holds any more, as far as that is first in order."""
        held = self._held
        free = 0
        while free < len(held) and not held[free]._is_held():
            free += 1
        if free:
            self._commit_first(free, 0)

    def _commit_up_to(self, batch: Batch, count: int, now: bool) -> None:
        self._alone(self._commit_batches, batch, count, now)

    def _commit_all(self, now: bool) -> None:
        if self._held:
            self._commit_batches(self._held[-1], len(self._held[-1]), now)
        elif now:
            self._commit(ffi.NULL, lib.RBCORE_COMMIT_NOW)

    def _commit_batches(self, batch: Batch, count: int, now: bool) -> None:
        if not 0 <= count <= len(batch):
            raise ValueError(f"the batch has {len(batch)} records, not {count}")
        if batch not in self._held:
            return  # given back already, or empty
        n = self._held.index(batch) + 1
        for i in range(n if count else n - 1):
            if self._held[i]._is_held():
                raise BufferError("views of records that are to be given back are still in use")
        flags = lib.RBCORE_COMMIT_NOW if now else 0
        if count == len(batch):
            self._commit_first(n, flags)
        elif count > batch._first:
            self._commit(batch._c_record(count - 1), flags)
            self._forget(n - 1)
            batch._first = count
        elif n > 1:
            self._commit_first(n - 1, flags)

    def _commit_first(self, count: int, flags: int) -> None:
        """Commits the first count batches."""
        held = self._held
        self._commit(ffi.NULL if count == len(held) else held[count - 1]._c_record(-1), flags)
        self._forget(count)

    def _commit(self, last: Any, flags: int) -> None:
        result = lib.rbcore_reader_commit(self._open, last, flags)
        if result < 0:
            raise error_of(result, "rbcore_reader_commit", self._message(result))

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._held.popleft()._spans = None

    def _close(self) -> None:
        """Batches without views end here; a view keeps its own, and the mapping, until it dies."""
        for batch in self._held:
            batch._spans = None  # first: whatever interrupts this, none is made of what is closed
            batch._is_held()
        self._held.clear()
        super()._close()
