# SPDX-License-Identifier: MIT
"""Tasks of an event loop that wait for one reader."""

from __future__ import annotations

import asyncio
from typing import Any

from ._rbcore import lib


class Tasks:
    """Those of one loop, which knows one callback for a descriptor: whatever happens, all look.

    They keep the reader open as long as the loop has its descriptor: one that is closed before is
    silently forgotten by epoll, and its number may soon be another file's.
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
        """Whether they still do; if not, these are done with."""
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
        """In the thread of the loop."""
        if self._handle is not None:
            self._loop.remove_reader(self._fd)
            self._handle = None
        for ready in self._ready:
            if not ready.done():
                ready.set_result(None)

    def wake_soon(self) -> None:
        """In any thread."""
        try:
            self._loop.call_soon_threadsafe(self.wake)
        except RuntimeError:
            self._handle = None  # the loop is closed, and its tasks with it


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Of this thread."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
