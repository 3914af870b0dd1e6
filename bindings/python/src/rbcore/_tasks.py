# SPDX-License-Identifier: MIT
"""Tasks of an event loop that wait for one reader."""

from __future__ import annotations

import asyncio
from typing import Any

from ._rbcore import lib


class Tasks:
    """These are the tasks of one loop. A loop has one callback for a descriptor, so all tasks look
    when it is called.

    They keep the reader open as long as the loop has its descriptor. epoll silently forgets a
    descriptor that is closed before, and its number may soon be another file's.
    """

    __slots__ = ("_fd", "_handle", "_loop", "_ready")

    def __init__(self, loop: asyncio.AbstractEventLoop, handle: Any) -> None:
        self._loop = loop
        self._handle = handle
        self._fd: int = lib.rbcore_reader_fd(handle)
        self._ready: list[asyncio.Future[None]] = []
        loop.add_reader(self._fd, self.wake)

    @property
    def wait(self) -> bool:
        """Tells whether they still wait. If not, this object is not used any more."""
        return self._handle is not None

    async def readable(self) -> None:
        ready: asyncio.Future[None] = self._loop.create_future()
        self._ready.append(ready)
        try:
            await ready
        finally:
            self._ready.remove(ready)
            if not self._ready:
                self.wake()

    def wake(self) -> None:
        """Wakes all tasks. Called in the thread of the loop."""
        if self._handle is not None:
            self._loop.remove_reader(self._fd)
            self._handle = None
        for ready in self._ready:
            if not ready.done():
                ready.set_result(None)

    def wake_soon(self) -> None:
        """Wakes all tasks. Called in any thread."""
        try:
            self._loop.call_soon_threadsafe(self.wake)
        except RuntimeError:
            self._handle = None  # the loop is closed, and its tasks with it


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Returns the loop that runs in this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
