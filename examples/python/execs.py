# SPDX-License-Identifier: MIT
"""What the examples share: the records of execs.bpf.c, and how a program ends."""

from __future__ import annotations

import contextlib
import ctypes
import signal
from typing import Any

import rbcore


class Exec(ctypes.Structure):
    """A program that was started."""

    time_ns: int
    pid: int
    uid: int
    name: bytes
    file: bytes
    _fields_ = (
        ("time_ns", ctypes.c_uint64),
        ("pid", ctypes.c_uint32),
        ("uid", ctypes.c_uint32),
        ("name", ctypes.c_char * 16),
        ("file", ctypes.c_char * 64),
    )

    def __str__(self) -> str:
        seconds = self.time_ns / 1e9
        return f"{seconds:14.6f} {self.name.decode(errors='replace')}[{self.pid}] " + (
            self.file.decode(errors="replace")
        )


def end_on_signals(reader: rbcore.Reader | rbcore.LeaseReader) -> None:
    """Ctrl-C and SIGTERM end the loop over the reader, after all that is there by then."""

    def end(_number: int, _frame: Any) -> None:
        with contextlib.suppress(rbcore.Closed):  # a second one, while the program ends
            reader.flush()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


def summary(reader: rbcore.Reader | rbcore.LeaseReader) -> str:
    stats = reader.ring_stats()
    return f"{stats.records} execs, {stats.lost} lost"
