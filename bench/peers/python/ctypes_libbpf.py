#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""This uses libbpf by ctypes: a loop around ring_buffer__poll with a callback in Python."""

import ctypes
import errno
import os
import sys
import time
from typing import TYPE_CHECKING

from reader import Reader, skip

if TYPE_CHECKING:
    Words = ctypes._Pointer[ctypes.c_uint64]

# The record comes as a pointer to its words: of all that ctypes offers the cheapest to read.
CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_uint64), ctypes.c_size_t
)


def load() -> ctypes.CDLL:
    try:
        libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    except OSError as error:
        skip(f"libbpf: {error}")
    libbpf.ring_buffer__new.restype = ctypes.c_void_p
    libbpf.ring_buffer__new.argtypes = (
        ctypes.c_int,
        CALLBACK,
        ctypes.c_void_p,
        ctypes.c_void_p,
    )
    libbpf.ring_buffer__poll.argtypes = (ctypes.c_void_p, ctypes.c_int)
    libbpf.ring_buffer__free.restype = None
    libbpf.ring_buffer__free.argtypes = (ctypes.c_void_p,)
    return libbpf


def main() -> None:
    libbpf = load()
    reader = Reader()

    mask = reader.sample_mask
    expected = reader.expected

    def handle(_context: int, words: "Words", _size: int) -> int:
        nonlocal expected
        sequence = words[0]
        if sequence != expected:
            reader.expected = expected
            reader.gap(sequence)
            if reader.ended:
                return 0
        expected = sequence + 1
        if not sequence & mask:
            reader.latencies.append(time.monotonic_ns() - words[1])
        return 0

    callback = CALLBACK(handle)
    ring = libbpf.ring_buffer__new(reader.fd, callback, None, None)
    if not ring:
        sys.exit(f"ring_buffer__new: {os.strerror(ctypes.get_errno())}")
    wakeups = 0
    reader.ready()
    while not reader.ended:
        records = libbpf.ring_buffer__poll(ring, -1)
        if records < 0 and records != -errno.EINTR:
            sys.exit(f"ring_buffer__poll: {os.strerror(-records)}")
        wakeups += records > 0
    libbpf.ring_buffer__free(ring)
    reader.report(wakeups)


if __name__ == "__main__":
    main()
