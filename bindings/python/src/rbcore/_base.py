# SPDX-License-Identifier: MIT
"""Readers of both kinds share this: opening, waiting, ending, statistics."""

from __future__ import annotations

import asyncio
import errno
import sys
import time
from collections.abc import Callable, Iterator
from enum import Enum
from threading import get_ident
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._abi import ReaderStats, RingFlags, RingStats
from ._errors import Closed, Flushed, Interrupted, check, error_of
from ._owned import owned_reader
from ._rbcore import ffi, lib
from ._snapshot import Snapshot, take
from ._source import HasFileno, Source, fill_source, known
from ._tasks import Tasks, running_loop
from ._wait import LONGEST_WAIT, SECOND

if TYPE_CHECKING:
    from typing_extensions import Self  # noqa: UP035 -- typing has it from 3.11 on

T = TypeVar("T")
R = TypeVar("R")

#: The thread that closes looks this often whether the one that reads has gone, in seconds.
CLOSING_LOOK = 0.0005


class End(Enum):
    """These are the ends that the use of a reader can have."""

    LEFT = 1  # its with statement, without an exception
    CLOSED = 2
    FAILED = 3  # an exception ends the with statement, or is handled by what calls close()


ENDS = (Flushed, Interrupted, Closed)


class ReaderBase(Generic[T]):
    """Reads one or more rings. See Reader and LeaseReader for what it hands out.

    sources are map file descriptors, objects with a fileno(), paths where a map is pinned, MapIDs
    or MemoryRings. More can be added. max_latency is how many seconds a record of a busy ring waits
    at most for others, so that they are delivered together (the ring is then paced): by default
    0.001, which suits a program that collects. One that has to answer sooner asks for less; with 0
    every record wakes an idle reader. poll makes the reader look by a timer alone, for BPF programs
    that never wake it. batch_size is how many records come at once at most: by default 4096 in a
    batch, or 512 leases. A batch takes at most a quarter of each ring, but always one record. The
    other options are those of add(), for all sources.

    One thread at a time may read. Any thread may call interrupt(), flush(), shutdown(), close(),
    stats(), rings() and fileno(). Times are in seconds.
    """

    _flags = 0
    _usual_max = 4096

    def __init__(
        self,
        *sources: Source,
        max_latency: float | None = None,
        poll: bool = False,
        batch_size: int | None = None,
        latest: bool = False,
        insist: bool = False,
        overwrite: bool = False,
        tap: bool = False,
        cookie: int = 0,
        loss_map: int | HasFileno | None = None,
    ) -> None:
        self._max = self._usual_max if batch_size is None else batch_size
        if self._max < 1:
            raise ValueError("batch_size must be at least 1")
        options = ffi.new("rbcore_reader_options *")
        size = ffi.sizeof("rbcore_reader_options")
        check(lib.rbcore_reader_options_init(options, size), "rbcore_reader_options_init")
        options.flags = self._flags | (lib.RBCORE_READER_POLL if poll else 0)
        if max_latency is not None:
            options.max_latency_ns = round(max_latency * SECOND)
        out = ffi.new("rbcore_reader **")
        check(lib.rbcore_reader_open(out, options), "rbcore_reader_open")
        self._open: Any = owned_reader(out[0])
        self._uses: dict[int, list[int]] = {}  # the one use that runs: [its thread]; see _alone()
        self._closing = False
        self._entered = False  # a with statement
        self._end = End.CLOSED
        self._tasks: dict[asyncio.AbstractEventLoop, Tasks] = {}  # that wait, by their loop
        self._prepare()
        try:
            for source in sources:
                self.add(
                    source,
                    latest=latest,
                    insist=insist,
                    overwrite=overwrite,
                    tap=tap,
                    cookie=cookie,
                    loss_map=loss_map,
                )
        except BaseException:
            self.close()
            raise

    # ---- Rings

    def add(
        self,
        source: Source,
        *,
        latest: bool = False,
        insist: bool = False,
        overwrite: bool = False,
        tap: bool = False,
        cookie: int = 0,
        loss_map: int | HasFileno | None = None,
    ) -> int:
        """Adds a ring and returns its index. Reading goes on where the last reader stopped.

        latest skips what is complete now. insist opens the ring although another reader has it: use
        it only if that reader is known to be dead or hung. cookie comes back in ring_stats().
        loss_map is the map in which the BPF program counts losses (rbcore_bpf.h).

        overwrite is for a ring in overwrite mode. tap reads a ring beside its reader and changes
        nothing. With either, producers do not wait for this reader: records are copied before they
        are handed out, and ring_stats().lost_bytes counts those that could not be copied in time.
        """
        c, keep = fill_source(
            source,
            latest=latest,
            insist=insist,
            overwrite=overwrite,
            tap=tap,
            cookie=cookie,
            loss_map=loss_map,
        )
        result: int = self._alone(self._add, c)
        del keep
        return result

    def rings(self) -> Iterator[int]:
        """Iterates over the indexes of the reader's rings. Those that were removed are passed over."""
        self._handle()
        return self._indexes()

    def remove(self, ring: int) -> None:
        """Removes a ring. What was not read stays in it. Raises Busy if records of it are held."""
        self._alone(self._remove, ring)

    def snapshot(
        self, ring: int = 0, *, consume: bool = False, reuse: Snapshot | None = None
    ) -> Snapshot:
        """Copies all complete records that a ring holds at one moment, while producers go on.

        The reader's position stays, and later reads return the same records as without the
        snapshot. With consume the reader goes on behind the snapshot. reuse is a snapshot that is
        not needed any more, for its memory: BufferError if a view of it lives.
        """
        return self._alone(self._snapshot, ring, consume, reuse)

    # ---- Reading

    def next(self, timeout: float | None = None) -> T:
        """Waits until records are due, at most timeout seconds (None: without end).

        The result is empty if the time is up. Raises Flushed, Interrupted and Closed. Before it
        waits, it gives back what was handed out and is not held any more.
        """
        raise NotImplementedError

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        """Ends when the reader was flushed, interrupted, shut down or closed."""
        try:
            return self.next()
        except ENDS:
            raise StopIteration from None

    def batches(self, timeout: float) -> Iterator[T]:
        """Iterates until nothing came for timeout seconds, or the reader ends."""
        try:
            while batch := self.next(timeout):
                yield batch
                del batch  # or this generator would hold it
        except ENDS:
            pass

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        """Does what __next__() does, without blocking the event loop."""
        await asyncio.sleep(0)  # other tasks run, even if records never end
        try:
            while True:
                batch = self.next(0)
                if batch:
                    return batch
                await self._readable()
        except ENDS:
            raise StopAsyncIteration from None

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        tasks = self._tasks.get(loop)
        if tasks is None or not tasks.wait:
            tasks = self._tasks[loop] = Tasks(loop, self._handle())
        try:
            await tasks.readable()
        finally:
            if not tasks.wait and self._tasks.get(loop) is tasks:
                del self._tasks[loop]

    def fileno(self) -> int:
        """Returns a descriptor for select, poll and event loops. When it is readable, call next(0)
        until it is empty.
        """
        return lib.rbcore_reader_fd(self._handle())

    # ---- Ending

    def interrupt(self) -> None:
        """Makes the next() that runs, or else the next one, raise Interrupted, once."""
        check(lib.rbcore_reader_interrupt(self._handle()), "rbcore_reader_interrupt")

    def flush(self) -> None:
        """Delivers what is there even if no wakeup came for it; then next() raises Flushed, once."""
        check(lib.rbcore_reader_flush(self._handle()), "rbcore_reader_flush")

    def shutdown(self) -> None:
        """Ends reading: next() raises Closed. Records can still be given back."""
        check(lib.rbcore_reader_shutdown(self._handle()), "rbcore_reader_shutdown")

    def close(self) -> None:
        """Closes the reader, also while another thread waits in next(), which then raises Closed."""
        self._close_after(End.CLOSED if sys.exc_info()[0] is None else End.FAILED)

    def _close_after(self, end: End) -> None:
        handle = self._open
        if handle is None:
            return
        try:
            result = lib.rbcore_reader_shutdown(handle)
        finally:
            del handle
        if end is End.CLOSED and result == 0 and self._entered and self._is_in_use():
            return  # the loop goes on, and the with statement closes
        if not self._closing:
            self._end = end
        self._closing = True
        if result == -errno.ECHILD:  # after fork(): its threads and loops are the parent's
            self._close()
            return
        self._wake_tasks()
        self._finish()

    def _finish(self) -> None:
        """Closes when no thread reads any more. If this call, from a signal handler or a
        destructor, has interrupted a use of the reader in its own thread, it does not wait: that
        use closes the reader when it ends."""
        use = [get_ident()]
        uses = self._uses
        try:
            while (holder := uses.setdefault(0, use)) is not use:
                if holder[0] == use[0]:
                    return
                time.sleep(CLOSING_LOOK)
            self._close()
        finally:
            if 0 in uses and uses[0] is use:
                del uses[0]

    def _wake_tasks(self) -> None:
        """The descriptor must leave the event loops before it is closed, or nothing wakes them."""
        here = running_loop()
        for loop, tasks in list(self._tasks.items()):
            if loop is here:
                tasks.wake()
            else:
                tasks.wake_soon()

    def _close(self) -> None:
        self._open = None

    def __enter__(self) -> Self:
        self._entered = True
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._entered = False
        self._close_after(End.LEFT if kind is None else End.FAILED)

    # ---- Statistics

    def stats(self) -> ReaderStats:
        """Returns the statistics of the reader, over all its rings."""
        out = ffi.new("rbcore_reader_stats *")
        lib.rbcore_reader_stats_init(out, ffi.sizeof("rbcore_reader_stats"))
        check(lib.rbcore_reader_stats_get(self._handle(), out), "rbcore_reader_stats_get")
        return ReaderStats(*(known(getattr(out, name)) for name in ReaderStats._fields))

    def ring_stats(self, ring: int = 0) -> RingStats:
        """Returns the statistics of one ring."""
        out = ffi.new("rbcore_ring_stats *")
        lib.rbcore_ring_stats_init(out, ffi.sizeof("rbcore_ring_stats"))
        check(lib.rbcore_reader_ring_stats(self._handle(), ring, out), "rbcore_reader_ring_stats")
        stats = RingStats(*(known(getattr(out, name)) for name in RingStats._fields))
        return stats._replace(flags=RingFlags(stats.flags))

    # ---- Within

    def _indexes(self) -> Iterator[int]:
        index = self._index_after(-1)
        while index >= 0:
            yield index
            index = self._index_after(index)

    def _index_after(self, ring: int) -> int:
        """Returns the next index, or a negative number. Only the call holds the reader: a loop that
        was left, or the frames of an exception, would keep its rings taken."""
        handle = self._open
        try:
            index: int = -1 if handle is None else lib.rbcore_reader_ring_after(handle, ring)
        finally:
            del handle
        return index

    def _prepare(self) -> None:
        """Makes what a reader needs before it has rings."""

    def _is_in_use(self) -> bool:
        """Tells whether something is handed out, or about to be, that would end with the reader."""
        return False

    def _handle(self) -> Any:
        handle = self._open
        if handle is None:
            raise error_of(-errno.ESHUTDOWN, "", "the reader is closed")
        return handle

    def _message(self, result: int) -> str:
        if result >= 0:
            return ""
        return str(ffi.string(lib.rbcore_reader_message(self._open)).decode(errors="replace"))

    def _alone(self, work: Callable[..., R], *args: Any) -> R:
        """Does what only one thread at a time may do.

        The work takes the handle from self._open, and keeps it in no variable: an exception would
        keep the frame, and so the ring would stay taken after close().

        A signal handler may run between any two steps of this, and may raise, read or close. So one
        call of C begins the use and says which thread it is in, and no handler can run while it is
        ended. A lock would not do: its own thread might wait for it.
        """
        use = [get_ident()]
        uses = self._uses
        try:
            if uses.setdefault(0, use) is not use:
                if self._closing:
                    raise error_of(-errno.ESHUTDOWN, "", "the reader is closed")
                raise RuntimeError("the reader is in use, by another thread or the caller")
            if self._open is None:
                self._handle()
            result = work(*args)
            return result  # not at once: what a handler raises behind the call is raised in here
        except BaseException as error:
            clear_frames(error.__traceback__)
            raise
        finally:
            if 0 in uses and uses[0] is use:
                del uses[0]
            if self._closing and self._open is not None:
                self._finish()  # it was called meanwhile, in a handler or another thread

    def _add(self, source: Any) -> int:
        result = lib.rbcore_reader_add(self._open, source)
        return check(result, "rbcore_reader_add", self._message(result))

    def _remove(self, ring: int) -> None:
        self._give_back()
        result = lib.rbcore_reader_remove(self._open, ring)
        check(result, "rbcore_reader_remove", self._message(result))

    def _snapshot(self, ring: int, consume: bool, reuse: Snapshot | None) -> Snapshot:
        self._give_back()
        result, handle = take(self._open, ring, consume, reuse)
        check(result, "rbcore_reader_snapshot")
        return Snapshot(handle)

    def _give_back(self) -> None:
        """Gives back what is not held any more, before anything else is handed out."""

    def _wait(self, timeout_ns: int) -> int:
        """Reads into an array of the reader's. Returns what rbcore_reader_next returns."""
        raise NotImplementedError

    def _fill(self, timeout: float | None) -> int:
        """Waits, at most a second at a time; 0 when the time is up."""
        left = LONGEST_WAIT
        deadline = None
        if timeout is not None:
            if timeout < 0:
                raise ValueError("timeout must not be negative")
            left = round(timeout * SECOND)
            deadline = time.monotonic_ns() + left
        while True:
            n = self._wait(min(left, LONGEST_WAIT))
            if n > 0:
                return n
            if n and n != -errno.EINTR and n != -errno.EAGAIN:
                raise error_of(n, "rbcore_reader_next", self._cause(n))
            if self._closing:
                raise error_of(-errno.ESHUTDOWN, "", "the reader is closed")
            if deadline is not None and n != -errno.EAGAIN:  # many were discarded, others wait
                left = deadline - time.monotonic_ns()
                if left <= 0 and n == 0:
                    return 0
                # Once more if the time is up: a wait that was interrupted armed no wakeup.
                left = max(left, 0)

    def _cause(self, result: int) -> str:
        """The message belongs to the error only where the content is at fault."""
        return self._message(result) if result == -errno.EBADMSG else ""


def clear_frames(traceback: TracebackType | None) -> None:
    """Clears the frames of an exception that are this package's."""
    while traceback is not None:
        frame = traceback.tb_frame
        if frame.f_globals.get("__package__") == __package__:
            try:
                frame.clear()
            except RuntimeError:
                pass  # it runs
        traceback = traceback.tb_next
