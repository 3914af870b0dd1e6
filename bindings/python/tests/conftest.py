# SPDX-License-Identifier: MIT
"""The tests run on these rings, of both kinds, with the same face."""

from __future__ import annotations

import faulthandler
import signal
import struct
from collections.abc import Callable, Iterator

import pytest
import rbcore
from bpf import KernelRing

#: A test that hangs ends, with the stacks of all threads.
WATCHDOG = 60

# A shell makes programs in its background ignore SIGINT, and Python leaves it so.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    faulthandler.dump_traceback_later(WATCHDOG, exit=True)
    yield
    faulthandler.cancel_dump_traceback_later()


class Ring:
    """This has a ring, and what writes numbers of 8 bytes into it."""

    def __init__(self, kind: str, size: int, overwrite: bool = False) -> None:
        self.kind = kind
        self.size = size
        if kind == "memory":
            self.memory = rbcore.MemoryRing(size, overwrite=overwrite)
            self.producer = rbcore.Producer(self.memory)
            self.source: rbcore.Source = self.memory
        else:
            self.kernel = KernelRing(size, overwrite)
            self.source = self.kernel

    def write(self, *numbers: int) -> None:
        for number in numbers:
            if self.kind == "kernel":
                self.kernel.write(number)
            else:
                self.producer.output(struct.pack("<Q", number))

    def discard(self) -> None:
        if self.kind == "kernel":
            self.kernel.write(0, discard=True)
        else:
            self.producer.reserve(8).discard()

    def close(self) -> None:
        if self.kind == "kernel":
            self.kernel.close()
        else:
            self.producer.close()
            self.memory.close()


def open_ring(kind: str, size: int, *, overwrite: bool = False) -> Ring:
    if overwrite and kind == "kernel" and not has_overwrite():
        pytest.skip("no BPF here, or a kernel before 6.19: no rings in overwrite mode")
    try:
        return Ring(kind, size, overwrite)
    except OSError as error:
        if kind == "kernel":
            pytest.skip(f"no BPF here: {error}")
        raise


def has_overwrite() -> bool:
    try:
        return rbcore.supports_overwrite()
    except rbcore.NotPermitted:
        return False


@pytest.fixture(params=["memory", "kernel"])
def make_ring(request: pytest.FixtureRequest) -> Iterator[Callable[[int], Ring]]:
    made: list[Ring] = []

    def make(size: int) -> Ring:
        made.append(open_ring(request.param, size))
        return made[-1]

    yield make
    for ring in made:
        ring.close()


@pytest.fixture
def ring(make_ring: Callable[[int], Ring]) -> Ring:
    return make_ring(65536)


@pytest.fixture
def reader(ring: Ring) -> Iterator[rbcore.Reader]:
    with rbcore.Reader(ring.source) as opened:
        yield opened


def numbers(batch: rbcore.Batch) -> list[int]:
    return [struct.unpack("<Q", record)[0] for record in batch]
