# SPDX-License-Identifier: MIT
"""The benchmark's readers in Python have this in common: arguments, accounts, report.

The work on each record, equal for all readers, stands in each of them, because a call is
dear: one word of it, and of a sample the second, too.
"""

import json
import os
import sys
import time
from typing import NoReturn

SKIPPED = 77
RECORD_END = 1 << 63  # set in the sequence of the last record
RECORD_SECOND = 1 << 62  # set in the sequences of the second producer


def skip(reason: str) -> NoReturn:
    """The library is not on this machine."""
    print(f"skipped: {reason}", file=sys.stderr)
    sys.exit(SKIPPED)


def die(reason: str) -> NoReturn:
    """It ends at once: an exception within a callback of ctypes would only be printed."""
    print(f"reader: {reason}", file=sys.stderr, flush=True)
    os._exit(1)


class Reader:
    """Keeps the accounts of one measurement."""

    def __init__(self) -> None:
        """Takes the arguments that the producer gives."""
        if len(sys.argv) != 3:
            die("call it by the producer: MAP_FD SAMPLE_EVERY")
        self.fd = int(sys.argv[1])
        sample_every = int(sys.argv[2])
        if sample_every <= 0 or sample_every & (sample_every - 1):
            die("SAMPLE_EVERY has to be a power of two")
        self.sample_mask = sample_every - 1
        self.ended = False
        self.delivered = 0  # known at the end
        self.lost = 0
        self.expected = 0  # the next sequence
        self.other = RECORD_SECOND  # of the producer that the last record is not from
        self.end_ns = 0
        self.cpu_ns = 0
        self.latencies: list[int] = []

    def ready(self) -> None:
        """Tells the producer to begin; the CPU time counts from here."""
        print("ready", flush=True)
        self.cpu_ns = time.process_time_ns()

    def gap(self, sequence: int) -> None:
        """Notes a record after lost ones, of another producer, or of the end."""
        if sequence & RECORD_END:
            # Two streams, of which the second's sequences have its bit.
            self.delivered = self.expected + self.other - RECORD_SECOND - self.lost
            self.lost = (sequence & ~RECORD_END) - self.delivered
            self.ended = True
            self.end_ns = time.monotonic_ns()
            self.cpu_ns = time.process_time_ns() - self.cpu_ns
            return
        if (sequence ^ self.expected) & RECORD_SECOND:
            self.expected, self.other = self.other, self.expected
        if sequence < self.expected:
            die("a record came twice or out of order")
        self.lost += sequence - self.expected

    def report(self, wakeups: int) -> None:
        """Prints the result."""
        self.latencies.sort()
        latency = {"p50": 0.5, "p99": 0.99, "p999": 0.999}
        print(
            json.dumps(
                {
                    "delivered": self.delivered,
                    "lost": self.lost,
                    "end_ns": self.end_ns,
                    "cpu_ns": self.cpu_ns,
                    "wakeups": wakeups,
                    "latency_ns": {k: self.percentile(v) for k, v in latency.items()},
                }
            ),
            flush=True,
        )

    def percentile(self, fraction: float) -> int:
        count = len(self.latencies)
        return self.latencies[int(fraction * count)] if count else 0
