# SPDX-License-Identifier: MIT
"""The readers that are compared, and which of them can run where."""

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

SKIPPED = 77


@dataclass(frozen=True)
class Point:
    """These are the same for all readers that are compared."""

    rate: int | str  # records per second, "max", or "burst:N", N records each 5 ms
    record_size: int
    ring_size: int
    flags: str
    producers: int = 1


@dataclass(frozen=True)
class Reader:
    """This is a program that reads the ring. README.md says what it gets and what it prints."""

    name: str
    language: str
    # The first is a path from the build's folder of the benchmark, which is {programs} in others.
    command: tuple[str, ...]
    needs_wakeups: bool = True
    is_limit: bool = False  # no reader: parses nothing
    is_perf_buffer: bool = False  # of the perf buffer, not the ring

    @property
    def is_optional(self) -> bool:
        """Needs more than the benchmark itself: may be missing on a machine."""
        return self.command[0].startswith(("peers/", "rbcore/"))

    def suits(self, point: Point) -> bool:
        if self.is_limit and (point.record_size in (0, 16) or point.producers > 1):
            return False  # they count by positions alone
        if self.is_perf_buffer and (point.record_size < 16 or point.flags != "default"):
            return False
        return point.flags != "no-wakeup" or not self.needs_wakeups


LATENCY = ("--max-latency-us", "500")
DROPIN = ("../bindings/libbpf/rbcore-run", "--quiet")
PERF_BUFFER = ("read_perf_buffer", "{ring_size}")

READERS = (
    Reader("rbcore", "C", ("read_rbcore",)),
    Reader("rbcore-500us", "C", ("read_rbcore", "--fd", *LATENCY)),
    Reader("rbcore-next-500us", "C", ("read_rbcore", *LATENCY)),
    Reader("rbcore-spans", "C", ("read_rbcore", "--spans", "--fd", *LATENCY)),
    Reader("rbcore-armed", "C", ("read_rbcore", "--max-latency-us", "0")),
    Reader("rbcore-50us", "C", ("read_rbcore", "--max-latency-us", "50")),
    Reader("rbcore-100us", "C", ("read_rbcore", "--max-latency-us", "100")),
    Reader("rbcore-200us", "C", ("read_rbcore", "--max-latency-us", "200")),
    Reader("rbcore-polling", "C", ("read_rbcore", "--poll", *LATENCY), False),
    Reader("libbpf-poll", "C", ("read_libbpf",)),
    Reader("dropin", "C", (*DROPIN, "{programs}/read_libbpf")),
    Reader("dropin-500us", "C", (*DROPIN, "-l", "500us", "{programs}/read_libbpf")),
    Reader("dropin-100us", "C", (*DROPIN, "-l", "100us", "{programs}/read_libbpf")),
    Reader("libbpf-consume", "C", ("read_libbpf_consume",), False),
    Reader("perf-buffer", "C", (*PERF_BUFFER, "1"), is_perf_buffer=True),
    Reader("perf-buffer-128", "C", (*PERF_BUFFER, "128"), is_perf_buffer=True),
    Reader("limit-null", "C", ("limit", "null", "{record_size}"), False, True),
    Reader("limit-linear", "C", ("limit", "linear", "{record_size}"), False, True),
    Reader("limit-look", "C", ("limit", "look", "{record_size}"), False, True),
    Reader("cilium", "Go", ("peers/cilium", "readinto")),
    Reader("cilium-paced", "Go", ("peers/cilium", "paced")),
    Reader("go-batch", "Go", ("rbcore/rbcore-go", "batch")),
    Reader("go-batch-500us", "Go", ("rbcore/rbcore-go", "batch", "500")),
    Reader("go-spans", "Go", ("rbcore/rbcore-go", "spans")),
    Reader("go-spans-500us", "Go", ("rbcore/rbcore-go", "spans", "500")),
    Reader("go-zerocopy", "Go", ("rbcore/rbcore-go", "zerocopy")),
    Reader("go-records", "Go", ("rbcore/rbcore-go", "records")),
    Reader("go-readinto", "Go", ("rbcore/rbcore-go", "readinto")),
    Reader("aya", "Rust", ("peers/aya",)),
    Reader("libbpf-rs", "Rust", ("peers/libbpf-rs",)),
    Reader("rust-batch", "Rust", ("rbcore/rust-batch",)),
    Reader("rust-batch-500us", "Rust", ("rbcore/rust-batch", "500")),
    Reader("rust-lease", "Rust", ("rbcore/rust-lease",)),
    Reader("python-views", "Python", ("rbcore/python-reader", "views")),
    Reader("python-views-500us", "Python", ("rbcore/python-reader", "views", *LATENCY)),
    Reader("python-unpack", "Python", ("rbcore/python-reader", "unpack")),
    Reader("python-unpack-500us", "Python", ("rbcore/python-reader", "unpack", *LATENCY)),
    Reader("python-numpy", "Python", ("rbcore/python-reader", "numpy")),
    Reader("python-numpy-500us", "Python", ("rbcore/python-reader", "numpy", *LATENCY)),
    Reader("ctypes-libbpf", "Python", ("peers/ctypes_libbpf.py",)),
    Reader("bcc", "Python", ("peers/bcc_ringbuf.py",)),
)


def available(programs: Path, readers: Iterable[Reader]) -> list[Reader]:
    """Those that this machine can run; says why others are left out."""
    found = []
    for reader in readers:
        reason = why_not(programs, reader)
        if reason:
            print(f"skipped: {reader.name}: {reason}", file=sys.stderr)
        else:
            found.append(reader)
    return found


def why_not(programs: Path, reader: Reader) -> str:
    """Each reader fails without arguments; only one that cannot run here says so."""
    program = programs / reader.command[0]
    if not program.exists():
        return "it was not built"
    if not reader.is_optional:
        return ""
    asked = subprocess.run([program], check=False, capture_output=True, text=True)
    if asked.returncode != SKIPPED:
        return ""
    return asked.stderr.strip().removeprefix("skipped: ")


def named(name: str) -> Reader:
    return next(i for i in READERS if i.name == name)
