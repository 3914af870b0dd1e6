#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""This uses rbcore in Python: read_rbcore.py views|unpack|numpy [--max-latency-us N] and the producer's
arguments.

views looks at each record through a memoryview of its own, unpack at a tuple of each, numpy at a batch
at once.
"""

import sys
import time
from pathlib import Path
from struct import Struct
from typing import Any

# The accounts are those of the peers, in a folder beside this one in the build.
sys.path.append(str(Path(__file__).resolve().parents[1] / "peers"))
from reader import Reader, skip

try:
    import numpy
    import rbcore
except ImportError as error:
    skip(f"rbcore for Python, or numpy: {error}")

WORD = Struct("Q")
# These are enough to make numpy's price for a call small, and as many as an interval brings at most.
BATCH = 8192
# The producer asks for no samples after this: records may have no time.
NO_SAMPLES = 1 << 61


def read_views(reader: Reader, source: rbcore.Reader) -> None:
    first_word = WORD.unpack_from
    mask = reader.sample_mask
    expected = reader.expected
    for batch in source:
        for record in batch:
            (sequence,) = first_word(record)
            if sequence != expected:
                reader.expected = expected
                reader.gap(sequence)
                if reader.ended:
                    return
            expected = sequence + 1
            if not sequence & mask:
                reader.latencies.append(time.monotonic_ns() - first_word(record, 8)[0])


def read_unpack(reader: Reader, source: rbcore.Reader) -> None:
    has_times = reader.sample_mask < NO_SAMPLES
    mask = reader.sample_mask
    expected = reader.expected
    for batch in source:
        rows = batch.unpack("QQ") if has_times else ((s, 0) for (s,) in batch.unpack("Q"))
        for sequence, when in rows:
            if sequence != expected:
                reader.expected = expected
                reader.gap(sequence)
                if reader.ended:
                    return
            expected = sequence + 1
            if when and not sequence & mask:
                reader.latencies.append(time.monotonic_ns() - when)


def look_at(reader: Reader, records: numpy.ndarray[Any, Any], ramp: Any) -> None:
    """Counts a run of records. It looks at them one by one only where some are lost, or at the end."""
    sequences = records["sequence"]
    count = len(sequences)
    first = reader.expected
    if numpy.count_nonzero(sequences == ramp[:count] + first) == count:
        reader.expected = first + count
        sampled = -first & reader.sample_mask
        if sampled < count and reader.sample_mask < NO_SAMPLES:
            times = records["time"][sampled :: reader.sample_mask + 1].tolist()
            now = time.monotonic_ns()
            reader.latencies += [now - when for when in times]
        return
    for sequence in sequences.tolist():
        if sequence != reader.expected:
            reader.gap(sequence)
            if reader.ended:
                return
        reader.expected = sequence + 1


def read_numpy(reader: Reader, source: rbcore.Reader) -> None:
    words = ["sequence", "time"] if reader.sample_mask < NO_SAMPLES else ["sequence"]
    kind = numpy.dtype([(word, "u8") for word in words])
    ramp = numpy.arange(BATCH, dtype="u8")
    for batch in source:
        for records in batch.arrays(kind):
            look_at(reader, records, ramp)
        if reader.ended:
            return


WAYS = {"views": read_views, "unpack": read_unpack, "numpy": read_numpy}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in WAYS:
        sys.exit(
            "usage: read_rbcore.py views|unpack|numpy [--max-latency-us N] MAP_FD SAMPLE_EVERY"
        )
    read = WAYS[sys.argv.pop(1)]
    latency = None
    if sys.argv[1:2] == ["--max-latency-us"]:
        latency = float(sys.argv[2]) / 1e6
        del sys.argv[1:3]
    reader = Reader()
    with rbcore.Reader(reader.fd, batch_size=BATCH, max_latency=latency) as source:
        reader.ready()
        read(reader, source)
        reader.report(source.stats().batches or 0)


if __name__ == "__main__":
    main()
