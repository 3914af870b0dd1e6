#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""This uses BCC as its documentation shows it: open_ring_buffer, event, and a loop of ring_buffer_poll.

BCC reads the rings of programs that its own compiler has made. Ours is not, so what its
constructors would take from the compiler (the map's descriptor, the layout of a record) is
set here; all that runs for each record and each wait is BCC's.
"""

import ctypes
import time

from reader import Reader, skip

try:
    from bcc import BPF
    from bcc.table import RingBuf
except (ImportError, OSError) as reason:
    skip(f"BCC: {reason}")


class Record(ctypes.Structure):
    """Every record begins with this, as BCC would derive it from the program's struct."""

    _fields_ = (("sequence", ctypes.c_uint64), ("time", ctypes.c_uint64))


def main() -> None:
    reader = Reader()
    bpf = BPF.__new__(BPF)
    bpf._ringbuf_manager = None
    ring = RingBuf.__new__(RingBuf)
    ring.bpf = bpf
    ring.map_fd = reader.fd
    ring._cbs = {}
    ring._event_class = Record

    mask = reader.sample_mask
    expected = reader.expected

    def handle(_context: int, data: int, _size: int) -> int:
        nonlocal expected
        record = ring.event(data)
        sequence = record.sequence
        if sequence != expected:
            reader.expected = expected
            reader.gap(sequence)
            if reader.ended:
                return 0
        expected = sequence + 1
        if not sequence & mask:
            reader.latencies.append(time.monotonic_ns() - record.time)
        return 0

    ring.open_ring_buffer(handle)
    wakeups = 0
    reader.ready()
    while not reader.ended:
        before = expected
        bpf.ring_buffer_poll()
        wakeups += expected != before
    reader.report(wakeups)


if __name__ == "__main__":
    main()
