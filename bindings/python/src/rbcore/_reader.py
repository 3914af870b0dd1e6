# SPDX-License-Identifier: MIT
"""The reader that gives records back in order."""

from __future__ import annotations

import errno
from collections import deque
from typing import Any

from ._base import ReaderBase
from ._batch import Batch
from ._errors import check
from ._rbcore import ffi, lib


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
        self._spare: Any = None  # an array of records that no batch uses

    def next(self, timeout: float | None = None) -> Batch:
        with self._turn():
            self._give_back()
            return self._hand_out(self._fill(self._records(), timeout))

    def read(self, limit: int | None = None) -> Batch:
        """What is there, without waiting; unlike next(0) also what is not due yet.

        limit: the most records, if that is less than batch_size.
        """
        with self._turn():
            self._give_back()
            most = self._max if limit is None else min(limit, self._max)
            n = -errno.EAGAIN
            while n == -errno.EAGAIN:  # many were discarded; there may be more
                n = lib.rbcore_reader_read(self._open, self._records(), most)
            check(n, "rbcore_reader_read", self._cause(n))
            return self._hand_out(n)

    def commit(self, *, now: bool = False) -> None:
        """Gives back all that was handed out; BufferError, and nothing is, if a view lives.

        now: tells the kernel at once, also while the ring is busy.
        """
        with self._turn():
            if self._held:
                self._commit_batches(self._held[-1], len(self._held[-1]), now)
            elif now:
                flags = lib.RBCORE_COMMIT_NOW
                check(lib.rbcore_reader_commit(self._open, ffi.NULL, flags), "rbcore_reader_commit")

    # ---- Within

    def _records(self) -> Any:
        if self._spare is None:
            self._spare = ffi.new("rbcore_record[]", self._max)
        return self._spare

    def _hand_out(self, count: int) -> Batch:
        if not count:
            return Batch(self, None, 0)
        batch = Batch(self, self._spare, count)
        self._spare = None
        self._held.append(batch)
        return batch

    def _give_back(self) -> None:
        """What nobody holds any more, as far as that is first in order."""
        held = self._held
        if not held:
            return
        free = 0
        while free < len(held) and not held[free]._is_held():
            free += 1
        if free:
            self._commit_first(free, len(held[free - 1]), 0)

    def _commit_up_to(self, batch: Batch, count: int, now: bool) -> None:
        with self._turn():
            self._commit_batches(batch, count, now)

    def _commit_batches(self, batch: Batch, count: int, now: bool) -> None:
        if not 0 <= count <= len(batch):
            raise ValueError(f"the batch has {len(batch)} records, not {count}")
        if batch not in self._held:
            return  # given back already, or empty
        n = self._held.index(batch) + 1
        for i in range(n if count else n - 1):
            if self._held[i]._is_held():
                raise BufferError("views of records that are to be given back are still in use")
        if count > batch._first:
            self._commit_first(n, count, lib.RBCORE_COMMIT_NOW if now else 0)
        elif n > 1:
            before = self._held[n - 2]
            self._commit_first(n - 1, len(before), lib.RBCORE_COMMIT_NOW if now else 0)

    def _commit_first(self, batches: int, count: int, flags: int) -> None:
        """Commits the first batches, of the last of them count records."""
        held = self._held
        last = held[batches - 1]
        is_whole = count == len(last)
        record = ffi.NULL
        if not is_whole or batches < len(held):
            record = last._records + (count - 1)
        result = lib.rbcore_reader_commit(self._open, record, flags)
        check(result, "rbcore_reader_commit", self._message(result))
        last._first = count
        for _ in range(batches if is_whole else batches - 1):
            batch = held.popleft()
            self._spare = batch._records
            batch._records = None
            batch._export = None

    def _close(self) -> None:
        """Batches without views end here; a view keeps its own, and the mapping, until it dies."""
        super()._close()
        for batch in self._held:
            batch._is_held()
            batch._records = None
        self._held.clear()
