# SPDX-License-Identifier: MIT
"""Exceptions: each is an OSError with the errno of the C library's result."""

from __future__ import annotations

import errno
import os

from ._abi import CAUSES
from ._rbcore import ffi, lib


class Error(OSError):
    """The library reported an error; errno tells which."""


class Busy(Error):
    """Another reader has the ring (EBUSY)."""


class Closed(Error):
    """The reader was closed or shut down (ESHUTDOWN)."""


class Corrupt(Error):
    """The content of the ring is impossible (EBADMSG)."""


class EndOfFile(Error, EOFError):
    """The file has no further snapshot (ENODATA)."""


class Flushed(Error):
    """All that was there at flush() has been delivered (ENODATA)."""


class Full(Error, BlockingIOError):
    """The ring has no room for the record, which is lost and counted (EAGAIN)."""


class Interrupted(Error):
    """interrupt() was called (ECANCELED)."""


class NotFound(Error, FileNotFoundError):
    """The path or id names no map (ENOENT)."""


class NotPermitted(Error, PermissionError):
    """The process lacks a capability, or the descriptor a permission (EPERM, EACCES)."""


CLASSES = {
    errno.EACCES: NotPermitted,
    errno.EAGAIN: Full,
    errno.EBADMSG: Corrupt,
    errno.EBUSY: Busy,
    errno.ECANCELED: Interrupted,
    errno.ENODATA: Flushed,
    errno.ENOENT: NotFound,
    errno.EPERM: NotPermitted,
    errno.ESHUTDOWN: Closed,
}


# In these functions an errno has another meaning.
SPECIAL: dict[tuple[str, int], type[Error]] = {
    ("rbcore_snapshot_load", errno.ENODATA): EndOfFile,
}
# Their errors are also those of write(2) and read(2).
OF_FILES = ("rbcore_snapshot_load", "rbcore_snapshot_save")


def error_of(result: int, function: str, message: str = "") -> Error:
    """Returns the exception for a negative result. The message is the handle's, if it has one."""
    if function in OF_FILES:
        meaning = os.strerror(-result)
    else:
        meaning = ffi.string(lib.rbcore_strerror(result)).decode()
    text = message or CAUSES.get((function, -result), "") or meaning
    kind = SPECIAL.get((function, -result), CLASSES.get(-result, Error))
    return kind(-result, text)


def check(result: int, function: str, message: str = "") -> int:
    if result < 0:
        raise error_of(result, function, message)
    return result
