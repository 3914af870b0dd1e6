# SPDX-License-Identifier: MIT
"""Reproduces tests/vectors through the public API (its README has the format)."""

from __future__ import annotations

import errno
import io
import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rbcore

VECTORS = Path(__file__).parents[3] / "tests" / "vectors"
IMAGES = sorted(VECTORS.glob("images/*.vector"))
SNAPSHOTS = sorted(VECTORS.glob("snapshots/*.vector"))
PAGE = os.sysconf("SC_PAGESIZE")


def hash_of(data: memoryview) -> str:
    value = 0xCBF29CE484222325
    for byte in data:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{value:016x}"


def never_moves() -> None:
    """What is held stays in the ring: the vectors tell when it is given back."""


class Steps:
    """Carries a vector out, line by line: each word is a method."""

    def __init__(self) -> None:
        self.ring_: rbcore.MemoryRing | None = None
        self.reader: rbcore.Reader | None = None
        self.batch: rbcore.Batch | None = None
        self.seen = 0
        self.held: list[Any] = []  # views, so that no read gives back by itself
        self.content: int | None = None  # a file's descriptor
        self.loaded = (0, 0)  # from where to where in it the last snapshot was
        self.shot: rbcore.Snapshot | None = None
        self.compared = 0  # of its records

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

    def series(self, offset: str, count: str, first: str, step: str) -> None:
        content = bytes((int(first) + i * int(step)) % 256 for i in range(int(count)))
        os.pwrite(self.memory, content, 2 * PAGE + int(offset))

    def add(self, result: str, **options: bool) -> None:
        assert self.ring_ is not None
        self.reader = rbcore.Reader()
        self.reader._move = never_moves  # type: ignore[method-assign]
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
            assert caught.value.errno == getattr(errno, result)
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

    def look(self, consumer: str, producer: str, waiting: str) -> None:
        assert self.ring_ is not None
        stats = rbcore.ring_stats(self.ring_)
        expected = (int(consumer), int(producer), int(waiting))
        assert (stats.consumer_pos, stats.producer_pos, stats.bytes_waiting) == expected

    def snapshot(self, result: str) -> None:
        assert self.reader is not None
        self.take(self.reader.snapshot, result)

    def describe(self, first: str, last: str, result: str) -> None:
        batch = self.batch
        assert batch is not None

        def written_and_loaded() -> rbcore.Snapshot:
            file = io.BytesIO(b"".join(batch.snapshot_header(int(first), int(last))))
            return rbcore.Snapshot.load(file)

        self.take(written_and_loaded, result)

    def file(self, content: str) -> None:
        self.content = os.memfd_create("vector")
        os.write(self.content, bytes.fromhex(content))
        os.lseek(self.content, 0, os.SEEK_SET)

    def load(self, result: str) -> None:
        if self.content is None:
            self.file("")
        fd = self.content
        assert fd is not None
        begin = os.lseek(fd, 0, os.SEEK_CUR)
        self.take(lambda: rbcore.Snapshot.load(fd), result)
        self.loaded = (begin, os.lseek(fd, 0, os.SEEK_CUR))

    def take(self, call: Callable[[], rbcore.Snapshot], result: str) -> None:
        self.compared = 0
        if result == "0":
            self.shot = call()
            return
        with pytest.raises(rbcore.Error) as caught:
            call()
        assert caught.value.errno == getattr(errno, result)
        assert isinstance(caught.value, EOFError) == (result == "ENODATA")

    def extent(self, *expected: str) -> None:
        assert self.shot is not None
        info = self.shot.info
        found = (info.first_pos, info.end_pos, info.producer_pos, info.missed)
        assert found == tuple(map(int, expected))

    def taken(self, boot_id: str, *expected: str) -> None:
        assert self.shot is not None
        info = self.shot.info
        assert info.boot_id.hex() == boot_id
        found = (info.kind, info.ring_id, info.ring_size, info.realtime_ns, info.boottime_ns)
        assert found == tuple(map(int, expected))

    def kept(self, position: str, size: str, content: str) -> None:
        assert self.shot is not None
        i = self.compared
        view = self.shot[i]
        found = (self.shot.position(i), len(view), hash_of(view))
        assert found == (int(position), int(size), content)
        self.compared += 1

    def kept_end(self, result: str) -> None:
        assert self.shot is not None
        assert self.compared == len(self.shot)
        if result == "0":
            assert len(list(self.shot)) == self.compared
            return
        several = [iter(self.shot), self.shot.arrays("S0")]
        for iterator in several:
            with pytest.raises(rbcore.Corrupt) as caught:
                for _ in iterator:
                    pass
            assert caught.value.errno == getattr(errno, result)

    def save(self) -> None:
        assert self.shot is not None
        assert self.content is not None
        begin, end = self.loaded
        fd = os.memfd_create("saved")
        self.shot.save(fd)
        assert os.pread(fd, 1 << 20, 0) == os.pread(self.content, end - begin, begin)
        os.close(fd)

    def close(self) -> None:
        if self.content is not None:
            os.close(self.content)
        self.content = None
        self.held.clear()
        if self.reader is not None:
            self.reader.close()
        self.reader = None

    def all_were_seen(self) -> None:
        assert self.batch is None or self.seen == len(self.batch)


def test_they_are_there() -> None:
    assert len(IMAGES) >= 60
    assert len(SNAPSHOTS) >= 60


@pytest.mark.parametrize("image", IMAGES + SNAPSHOTS, ids=lambda path: path.stem)
def test_vector(image: Path) -> None:
    steps = Steps()
    for line in image.read_text().splitlines():
        if line and not line.startswith("#"):
            word, *operands = line.split(" ")
            getattr(steps, word)(*operands)
    steps.close()
    if steps.ring_ is not None:
        steps.ring_.close()
