# SPDX-License-Identifier: MIT
"""This module says where the views of a reader's batches lie, and how they leave the ring (see
batch.h).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any, Protocol

from ._errors import check
from ._owned import owned_rings, owned_windows
from ._rbcore import ffi, lib
from ._records import OURS, Keep


class Placed(Protocol):
    """Objects like this are moved, such as a batch."""

    _keep: Keep
    _spans: bytes
    _contents: bytes


class Windows:
    """There is one window for each ring. When something in them was moved, new ones take their
    place.
    """

    def __init__(self, handle: Any) -> None:
        self.rings = owned_rings(lib.rbcore_py_rings_new())
        # Views that were not moved keep the reader open, through this one.
        self.owner = Keep(handle)
        self.keep = self._fresh()
        self._spare: Any = None  # used before; some of it was moved

    def _fresh(self) -> Keep:
        return Keep(self.owner, owned_windows(lib.rbcore_py_windows_new()))

    def renew(self) -> None:
        """Makes new windows for the records that follow."""
        self.keep = self._restored() or self._fresh()

    def _restored(self) -> Keep | None:
        """Uses a window again: cheaper, because a BPF map is mapped page by page."""
        if self._spare is None:
            return None
        # This counts an attribute: how often a variable counts depends on the version of Python.
        is_free = sys.getrefcount(self._spare) <= OURS
        spare, self._spare = self._spare, None
        if not is_free:
            lib.rbcore_py_trim(spare)
            return None
        return Keep(self.owner, spare) if not lib.rbcore_py_restore(spare, self.rings) else None

    def move(self, batches: Iterable[Placed]) -> None:
        """Moves batches to private memory, at the same addresses."""
        by_windows: dict[Keep, list[bytes]] = {}
        for batch in batches:
            by_windows.setdefault(batch._keep, []).append(batch._spans + batch._contents)
        for keep, spans in by_windows.items():
            array = ffi.from_buffer("rbcore_span[]", b"".join(spans))
            result = lib.rbcore_py_move(keep.windows, array, len(array))
            check(result, "", "no memory to move what views hold out of the ring")

    def retire(self, keep: Keep) -> None:
        """Takes windows of which nothing is in the ring any more: it was moved, or given back."""
        if keep is self.keep or keep.handle is None:
            return
        keep.handle = None
        if self._spare is None:
            self._spare = keep.windows
        else:
            lib.rbcore_py_trim(keep.windows)

    def forget(self, ring: int) -> None:
        """Forgets a ring after it was removed."""
        self._spare = None
        lib.rbcore_py_forget(self.rings, ring)
