# SPDX-License-Identifier: MIT
"""Reproduces tests/vectors through the public API (its README has the format)."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path
from typing import Any

import pytest
import rbcore

IMAGES = sorted(Path(__file__).parents[3].glob("tests/vectors/images/*.vector"))
PAGE = os.sysconf("SC_PAGESIZE")


def hash_of(data: memoryview) -> str:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


class Steps:
    """Carries a vector out, line by line: each word is a method."""

    def __init__(self) -> None:
        self.ring_: rbcore.MemoryRing | None = None
        self.reader: rbcore.Reader | None = None
        self.batch: rbcore.Batch | None = None
        self.seen = 0
        self.held: list[Any] = []  # views, so that no read gives back by itself

    @property
    def memory(self) -> int:
        assert self.ring_ is not None
        return self.ring_.memory_fd

    def ring(self, size: str, overwrite: bool = False) -> None:
        if int(size) < PAGE:
            pytest.skip(f"pages of {PAGE} bytes")
        self.ring_ = rbcore.MemoryRing(int(size), overwrite=overwrite)

    def ring_overwrite(self, size: str) -> None:
        self.ring(size, overwrite=True)

    def consumer_pos(self, n: str) -> None:
        os.pwrite(self.memory, struct.pack("<Q", int(n)), 0)

    def producer_pos(self, n: str) -> None:
        os.pwrite(self.memory, struct.pack("<Q", int(n)), PAGE)

    def pending_pos(self, n: str) -> None:
        os.pwrite(self.memory, struct.pack("<Q", int(n)), PAGE + 8)

    def overwrite_pos(self, n: str) -> None:
        os.pwrite(self.memory, struct.pack("<Q", int(n)), PAGE + 16)

    def data(self, offset: str, content: str) -> None:
        os.pwrite(self.memory, bytes.fromhex(content), 2 * PAGE + int(offset))

    def fill(self, offset: str, count: str, content: str) -> None:
        os.pwrite(self.memory, bytes.fromhex(content) * int(count), 2 * PAGE + int(offset))

    def add(self, result: str, **options: bool) -> None:
        assert self.ring_ is not None
        self.reader = rbcore.Reader()
        if result == "0":
            assert self.reader.add(self.ring_, **options) == 0
        else:
            with pytest.raises(rbcore.Error) as caught:
                self.reader.add(self.ring_, **options)
            assert caught.value.errno == getattr(errno, result)

    def add_latest(self, result: str) -> None:
        self.add(result, latest=True)

    def add_overwrite(self, result: str) -> None:
        self.add(result, overwrite=True)

    def read(self, limit: str, result: str) -> None:
        assert self.reader is not None
        self.all_were_seen()
        if result == "EAGAIN":
            return  # read() calls again by itself: what the next line expects
        if not result.isdigit():
            self.batch = None
            with pytest.raises(rbcore.Error) as caught:
                self.reader.read(int(limit))
            assert errno.errorcode[caught.value.errno or 0] == result
            return
        self.batch = self.reader.read(int(limit))
        self.seen = 0
        assert len(self.batch) == int(result)
        if self.batch:
            self.held.append(self.batch._root())

    def record(self, position: str, size: str, content: str) -> None:
        assert self.batch is not None
        i = self.seen
        view = self.batch[i]
        assert (self.batch.position(i), len(view), hash_of(view)) == (
            int(position),
            int(size),
            content,
        )
        self.seen += 1

    def commit(self, index: str) -> None:
        assert self.batch is not None
        self.all_were_seen()
        self.held.clear()
        self.batch.commit(int(index) + 1)
        if int(index) + 1 < len(self.batch):
            self.held.append(self.batch._root())

    def commit_all(self) -> None:
        assert self.reader is not None
        self.held.clear()
        self.reader.commit()

    def consumer(self, n: str) -> None:
        assert struct.unpack("<Q", os.pread(self.memory, 8, 0))[0] == int(n)

    def stats(self, records: str, size: str, discards: str) -> None:
        assert self.reader is not None
        stats = self.reader.ring_stats()
        expected = (int(records), int(size), int(discards))
        assert (stats.records, stats.bytes, stats.discards) == expected

    def lost(self, size: str) -> None:
        assert self.reader is not None
        assert self.reader.ring_stats().lost_bytes == int(size)

    def close(self) -> None:
        self.held.clear()
        if self.reader is not None:
            self.reader.close()
        self.reader = None

    def all_were_seen(self) -> None:
        assert self.batch is None or self.seen == len(self.batch)


def test_they_are_there() -> None:
    assert len(IMAGES) >= 60


@pytest.mark.parametrize("image", IMAGES, ids=lambda path: path.stem)
def test_vector(image: Path) -> None:
    steps = Steps()
    for line in image.read_text().splitlines():
        if line and not line.startswith("#"):
            word, *operands = line.split(" ")
            getattr(steps, word)(*operands)
    steps.close()
    if steps.ring_ is not None:
        steps.ring_.close()
