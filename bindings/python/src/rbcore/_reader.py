# SPDX-License-Identifier: MIT
"""The reader that gives records back in order."""

from __future__ import annotations

import errno
import sys
import time
import warnings
import weakref
from collections import deque
from typing import Any

from ._base import End, ReaderBase
from ._batch import Batch
from ._errors import Error, check, error_of
from ._rbcore import ffi, lib
from ._records import SHAPE, SPAN
from ._windows import Windows

# A batch has at most so many runs of records of one size. If each record has another size, so many
# records are enough for a batch.
SPANS_MAX = 1024

# Views may stay in the ring for so long when nothing else is in it, in nanoseconds. Until then the
# library looks again and again by itself, so that this costs only some looks.
GRACE = 1_000_000


class Reader(ReaderBase[Batch]):
    __doc__ = f"""Hands out Batches, and gives them back in order.

    with Reader(source) as reader:
        for batch in reader:
            for record in batch:
                ...

    Each next(), read() and look(), and so each step of the loop, gives back the batches that were
    handed out before. Views of them stay valid and unchanged, and the ring does not wait for them:
    when views hold more than a quarter of it, or when nothing has come for a millisecond, their
    records are copied to memory of their own, at the same addresses. (If there is no memory for
    that, the call raises Error with ENOMEM, and nothing is lost.) commit() gives back explicitly.

    {ReaderBase.__doc__}"""

    def _prepare(self) -> None:
        self._held: deque[Batch] = deque()  # handed out, and not given back as a whole
        self._held_bytes = 0
        self._windows: Any = Windows(self._open)  # None: closed
        self._smallest = 0  # of the rings, its size
        self._waits_since: int | None = None  # for what is held, to be let go
        self._moved_bytes = 0
        # This is what still lives of it: exporter, bytes, ring, position. None: it has been warned
        # of.
        self._moved: deque[tuple[Any, int, int, int]] | None = deque()
        self._max_spans = min(self._max, SPANS_MAX)
        # This was found last, as C has it and as Python has it.
        self._spans = ffi.new("rbcore_span[]", self._max)
        self._found = memoryview(ffi.buffer(self._spans))
        self._shape = ffi.new("rbcore_py_shape *")
        self._found_shape = ffi.buffer(self._shape)
        self._records: Any = None  # for read()

    def next(self, timeout: float | None = None) -> Batch:
        return self._alone(self._next, timeout)

    def read(self, limit: int | None = None) -> Batch:
        """Reads what is there, without waiting. Unlike next(0) it also reads what is not due yet.

        limit is how many records to read at most, if that is less than batch_size. If nothing is
        there, the next record makes fileno() readable.
        """
        return self._read_at_once(lib.rbcore_reader_read, limit)

    def look(self, limit: int | None = None) -> Batch:
        """Reads like read(), but leaves fileno() as it is. That is cheaper, for loops that do not
        wait for it.
        """
        return self._read_at_once(lib.rbcore_reader_look, limit)

    def commit(self, *, now: bool = False) -> None:
        """Gives back all that was handed out. If a view lives in the ring, raises BufferError instead.

        With now the kernel is told at once, also while the ring is paced.
        """
        self._alone(self._commit_all, now)

    def close(self) -> None:
        """Closes the reader, also while another thread waits in next(), which then raises Closed.

        The ring is free at once, because views that still live are moved out of it. Batches before
        the last one are given back. Of the last one, close() gives back what loops have gone
        through, except for the record that they are at. The rest stays in the ring for the next
        reader. A with statement that ends without an exception also gives back the record that the
        loop is at. With an exception it does not, and if the loop is through, the whole batch stays
        in the ring: what was done with its records may be lost with the exception. close() in an
        except or finally clause does the same.

        Within a with statement, while a batch is handed out or a call runs, close() only shuts the
        reader down. So signal handlers and other threads may call it: the loop goes on with its
        batch, and the with statement closes.
        """
        super().close()

    @property
    def held_bytes(self) -> int:
        """Bytes of the rings, headers included, that were handed out and not given back."""
        return self._held_bytes if self._held else 0

    @property
    def evacuated_bytes(self) -> int:
        """Bytes of records, headers included, that were moved out of the rings since the reader was
        opened, because views held them. If more of them live than fit into the smallest ring, the
        many views look like a mistake, and a ResourceWarning says so once."""
        return self._moved_bytes

    # ---- Within

    def _add(self, source: Any) -> int:
        result = lib.rbcore_py_add(self._windows.rings, self._open, source)
        index = check(result, "rbcore_reader_add", self._message(result))
        self._smallest = lib.rbcore_py_smallest(self._windows.rings)
        return index

    def _remove(self, ring: int) -> None:
        self._give_back()
        self._windows.renew()  # before: its index may soon be another ring's
        super()._remove(ring)
        self._windows.forget(ring)
        self._smallest = lib.rbcore_py_smallest(self._windows.rings)

    def _is_in_use(self) -> bool:
        return bool(self._held or self._uses)

    def _next(self, timeout: float | None) -> Batch:
        return self._hand_out(self._fill(timeout))

    def _wait(self, timeout_ns: int) -> int:
        free = self._let_go()
        if self._held:
            return self._wait_beside_views(timeout_ns)
        return self._wait_in_c(free, timeout_ns)

    def _wait_in_c(self, free: bool, timeout_ns: int) -> int:
        windows = self._windows
        return lib.rbcore_py_next(
            self._open, free, self._spans, self._max_spans, self._max, timeout_ns, self._shape,
            windows.keep.windows, windows.rings
        )  # fmt: skip

    def _wait_beside_views(self, timeout_ns: int) -> int:
        if not self._is_short_of_space():
            grace = self._grace_left()
            n = self._wait_in_c(False, min(timeout_ns, grace))
            if n or timeout_ns < grace:
                return n
        self._move()
        return self._wait_in_c(False, timeout_ns)

    def _read_at_once(self, function: Any, limit: int | None) -> Batch:
        return self._alone(self._find, function, limit)

    def _find(self, function: Any, limit: int | None) -> Batch:
        self._give_back()
        if self._is_short_of_space():
            self._move()
        if self._records is None:
            self._records = ffi.new("rbcore_record[]", self._max)
        most = self._max if limit is None else min(limit, self._max)
        n = self._look(function, most)
        if n == 0 and self._held and self._grace_left() == 0:
            self._move()
            n = self._look(function, most)
        check(n, "rbcore_reader_read", self._cause(n))
        windows = self._windows
        spans = lib.rbcore_py_spans_of(self._records, n, self._spans)
        lib.rbcore_py_place(windows.keep.windows, windows.rings, self._spans, spans)
        lib.rbcore_py_shape_of(self._spans, spans, self._shape)
        return self._hand_out(spans)

    def _look(self, function: Any, most: int) -> int:
        n: int = -errno.EAGAIN
        while n == -errno.EAGAIN:  # many were discarded; there may be more
            n = function(self._open, self._records, most)
        return n

    def _hand_out(self, spans: int) -> Batch:
        keep = self._windows.keep
        if not spans:
            return Batch(self, keep, b"", (0, 0, 0, 0))
        found = self._found[: spans * SPAN.size].tobytes()
        batch = Batch(self, keep, found, SHAPE.unpack(self._found_shape))
        # It may be too much after a signal handler has raised, as long as something is held.
        self._held_bytes = batch._bytes + (self._held_bytes if self._held else 0)
        self._held.append(batch)
        self._waits_since = None
        return batch

    # ---- Giving back

    def _let_go(self) -> bool:
        """Does what _give_back() does, but lets the next call of C commit if nothing is held (most
        loops).
        """
        held = self._held
        if len(held) == 1 and not held[0]._is_held():
            self._forget(1)
            return True
        self._give_back()
        return False

    def _give_back(self) -> None:
        """Gives back what is not held any more, up to the first batch that is."""
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
            return  # given back already, moved, or empty
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
            given = batch._bytes_before(count) - batch._bytes_before(batch._first)
            batch._first = count
            batch._bytes -= given
            self._held_bytes -= given
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
            batch = self._held.popleft()
            batch._is_back = True
            self._held_bytes -= batch._bytes

    def _describe(self, first: Any, last: Any, header: Any, content: Any) -> None:
        self._alone(self._describe_records, first, last, header, content)

    def _describe_records(self, first: Any, last: Any, header: Any, content: Any) -> None:
        result = lib.rbcore_reader_snapshot_header(self._open, first, last, header, content)
        check(result, "rbcore_reader_snapshot_header", self._message(result))

    # ---- What views hold

    def _is_short_of_space(self) -> bool:
        return 4 * self.held_bytes > self._smallest

    def _grace_left(self) -> int:
        now = time.monotonic_ns()
        if self._waits_since is None:
            self._waits_since = now
        return max(0, self._waits_since + GRACE - now)

    def _move(self) -> None:
        """Moves out of the ring what views hold, and gives all back.

        A signal handler may raise in between. The next call then does it all again.
        """
        held = self._held
        old = {batch._keep for batch in held}
        self._windows.renew()
        views = self._held_batches()
        self._windows.move(views)
        self._commit(ffi.NULL, 0)
        for batch in views:
            self._moved_bytes += batch._bytes
            self._note_moved(batch)
        held.clear()
        for keep in old:
            self._windows.retire(keep)
        self._warn()

    def _held_batches(self) -> list[Batch]:
        """Returns the batches with views. The others are marked, so that no more views are made of
        them.
        """
        views: list[Batch] = []
        for batch in self._held:
            before, batch._is_back = batch._is_back, True
            if batch._is_held():
                batch._is_back = before
                views.append(batch)
        return views

    def _note_moved(self, batch: Batch) -> None:
        if self._moved is not None:
            _, position, _, ring, _ = batch._locate(0)
            export = weakref.ref(batch._export)
            self._moved.append((export, batch._bytes, ring, position))

    def _warn(self) -> None:
        if self._moved is None:
            return
        self._moved = deque(moved for moved in self._moved if moved[0]() is not None)
        if sum(size for _, size, _, _ in self._moved) > self._smallest:
            _, _, ring, position = self._moved[0]
            self._moved = None
            warnings.warn(
                f"views hold more records than the ring has room for, the oldest of them at "
                f"{position} of ring {ring}: drop views that are not needed any more, or copy them",
                ResourceWarning,
                stacklevel=depth(),
            )

    def _close(self) -> None:
        if self._held:
            try:
                self._leave()
                self._windows.owner.handle = None
            except Error:
                pass  # no memory: views keep the ring taken, and nothing is given back
        elif self._windows is not None:
            self._windows.owner.handle = None
        for batch in self._held:
            batch._is_back = True  # first: whatever interrupts this, none is made of what is closed
            batch._is_held()
        self._held.clear()
        self._windows = None
        super()._close()

    def _leave(self) -> None:
        last = self._held[-1]
        count = max(passed(last, self._end), last._first)
        self._windows.move([batch for batch in self._held if batch._is_held()])
        c_last = ffi.NULL
        if count < len(last):
            before = self._held[-2] if len(self._held) > 1 else None
            if count > last._first:
                c_last = last._c_record(count - 1)
            elif before is not None:
                c_last = before._c_record(-1)
            else:
                return
        # It may have been done already, before a signal handler raised.
        lib.rbcore_reader_commit(self._open, c_last, 0)


def passed(batch: Batch, end: End) -> int:
    """Returns how many records of the last batch are given back when the reader is closed.

    If there were several loops, the one that got farthest counts. But an exception belongs to the
    last of them, or to the outermost if one is within another.
    """
    loops = batch._loops
    if loops is None:
        return 0
    if end is End.FAILED:
        return 0 if loops[0].is_through else loops[0].done()
    last = loops[-1].handed_out() if end is End.LEFT else 0
    return max(batch._passed, last, *(loop.done() for loop in loops))


def depth() -> int:
    """Returns how far up the first caller outside of this package is, for a warning."""
    frame = sys._getframe(1)
    count = 1
    while frame.f_back is not None and frame.f_globals.get("__package__") == __package__:
        frame = frame.f_back
        count += 1
    return count
