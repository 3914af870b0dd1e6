# SPDX-License-Identifier: MIT
"""One measurement after the other: what the programs print, as figures."""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NoReturn

from readers import SKIPPED, Point, Reader

# The producer starts with this, and with it the reader: other programs do not interrupt them.
REALTIME = ("chrt", "--fifo", "50")
# A second producer of that kind would not let the reader beside it run.
RATHER = ("nice", "--adjustment=-20")
# No record but the first, which is never too small, is a sample then.
SAMPLE_NONE = 1 << 62


@dataclass(frozen=True)
class Latency:
    """The time runs from submit to delivery. It is 0 where the reader or the records tell nothing of
    it.
    """

    p50: int
    p99: int
    p999: int


@dataclass(frozen=True)
class Measurement:
    """One run of one reader: the objects of --json."""

    reader: str
    language: str
    rate: int | str
    record_size: int
    ring_size: int
    flags: str
    delivered_per_s: float
    produced_per_s: float
    lost: int
    consumer_cpu_ns_per_record: float
    producer_cpu_ns_per_record: float
    wakeups_per_s: float
    latency_ns: Latency
    run: int
    producers: int
    lost_share: float  # of what was produced
    peak_rss_bytes: int
    buffer_bytes: int  # of the ring, or of all perf buffers
    out_of_order: (
        int | None
    )  # records older than one that came before; None: not all were looked at
    disorder_ns: int | None  # how much older at most
    seconds: float
    realtime: bool
    commit: str  # the last one of what is measured
    machine: str

    @property
    def point(self) -> Point:
        return Point(
            self.rate, self.record_size, self.ring_size, self.flags, self.producers
        )


@dataclass(frozen=True)
class Setup:
    """This says how all measurements of a run are made."""

    programs: Path
    seconds: float
    runs: int
    realtime: bool
    commit: str
    machine: str
    look_at_all: bool = False  # at the time of each record, to see their order

    @property
    def realtime_prefix(self) -> tuple[str, ...]:
        return REALTIME if self.realtime else ()

    def prefix(self, point: Point) -> tuple[str, ...]:
        return RATHER if self.realtime and point.producers > 1 else self.realtime_prefix

    def sample_every(self, point: Point) -> int:
        """Reading the clock costs as much as dozens of records: so take a sample."""
        samples_per_s = 10_000
        if 0 < point.record_size < 16:
            return SAMPLE_NONE
        if self.look_at_all:
            return 1
        if isinstance(point.rate, str):
            return 1024
        return 1 << max(point.rate // samples_per_s, 1).bit_length() - 1


def fail(message: str) -> NoReturn:
    sys.exit(f"bench/run: {message}")


def skip(reason: str) -> NoReturn:
    print(f"skipped: {reason}", file=sys.stderr)
    sys.exit(SKIPPED)


def execute(command: Sequence[str], seconds: float) -> Any:
    """Returns the JSON that a program prints."""
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=seconds + 60
        )
    except subprocess.TimeoutExpired:
        fail(f"this hangs: {' '.join(command)}")
    if done.returncode == SKIPPED:
        skip(done.stderr.strip().removeprefix("skipped: "))
    if done.returncode != 0:
        fail(f"this failed: {' '.join(command)}\n{done.stderr.strip()}")
    return json.loads(done.stdout)


def check_accounts(name: str, result: dict[str, Any]) -> None:
    """Each record produced has to be delivered or lost, and both sides must agree."""
    reader = result["reader"]
    figures = (
        f"produced {result['produced']}, refused by the ring {result['refused']}, "
    )
    figures += f"delivered {reader['delivered']}, missed by the reader {reader['lost']}"
    if reader["delivered"] + reader["lost"] != result["produced"]:
        fail(f"{name}: delivered and lost records do not add up: {figures}")
    if reader["lost"] != result["refused"]:
        fail(f"{name}: the reader lost records that the ring had accepted: {figures}")
    if reader["delivered"] == 0:
        fail(f"{name}: nothing was delivered: {figures}")


def rate_options(rate: int | str) -> list[str]:
    if rate == "max":
        return ["--rate", "0"]
    if isinstance(rate, str):
        return ["--burst", rate.removeprefix("burst:")]
    return ["--rate", str(rate)]


def run_once(setup: Setup, reader: Reader, point: Point) -> dict[str, Any]:
    options = {
        "--record-size": point.record_size,
        "--ring-size": point.ring_size,
        "--flags": point.flags,
        "--producers": point.producers,
        "--seconds": setup.seconds,
        "--sample-every": setup.sample_every(point),
    }
    name, *arguments = reader.command
    command = [*setup.prefix(point), str(setup.programs / "producer")]
    command += rate_options(point.rate)
    command += [str(i) for i in itertools.chain(*options.items())]
    if reader.is_perf_buffer:
        command += ["--perf-buffer"]
    command += ["--", str(setup.programs / name)]
    command += [i.format(programs=setup.programs, **asdict(point)) for i in arguments]
    result: dict[str, Any] = execute(command, setup.seconds)
    check_accounts(f"{reader.name} at {point}", result)
    return result


def buffer_bytes(reader: Reader, point: Point) -> int:
    """Counts the buffer's data and positions."""
    page = os.sysconf("SC_PAGE_SIZE")
    if reader.is_perf_buffer:
        return (point.ring_size + page) * (os.cpu_count() or 1)
    return point.ring_size + 2 * page


def latency(point: Point, seen: dict[str, int]) -> Latency:
    return Latency(0, 0, 0) if 0 < point.record_size < 16 else Latency(**seen)


def measure(setup: Setup, reader: Reader, point: Point, run: int) -> Measurement:
    result = run_once(setup, reader, point)
    seen = result["reader"]
    saw_all = setup.sample_every(point) == 1
    delivery_s = (seen["end_ns"] - result["start_ns"]) / 1e9
    production_s = (result["end_ns"] - result["start_ns"]) / 1e9
    return Measurement(
        reader=reader.name,
        language=reader.language,
        **asdict(point),
        delivered_per_s=seen["delivered"] / delivery_s,
        produced_per_s=result["produced"] / production_s,
        lost=seen["lost"],
        consumer_cpu_ns_per_record=seen["cpu_ns"] / seen["delivered"],
        producer_cpu_ns_per_record=result["cpu_ns"] / result["produced"],
        wakeups_per_s=seen["wakeups"] / delivery_s,
        latency_ns=latency(point, seen["latency_ns"]),
        run=run,
        lost_share=seen["lost"] / result["produced"],
        peak_rss_bytes=result["peak_rss_bytes"],
        buffer_bytes=buffer_bytes(reader, point),
        out_of_order=seen.get("out_of_order") if saw_all else None,
        disorder_ns=seen.get("disorder_ns") if saw_all else None,
        seconds=setup.seconds,
        realtime=setup.realtime,
        commit=setup.commit,
        machine=setup.machine,
    )


def measure_all(
    setup: Setup, readers: Sequence[Reader], points: Sequence[Point]
) -> list[Measurement]:
    """The readers are interleaved: what disturbs the machine for a while disturbs all readers alike."""
    measurements = []
    pairs = [(p, r) for p, r in itertools.product(points, readers) if r.suits(p)]
    for run, point in itertools.product(range(setup.runs), points):
        suited = [r for p, r in pairs if p == point]
        first = run % max(len(suited), 1)
        for reader in [*suited[first:], *suited[:first]]:
            measurements.append(measure(setup, reader, point, run))
            progress(f"{len(measurements)} of {setup.runs * len(pairs)} measurements")
    progress("")
    return measurements


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
