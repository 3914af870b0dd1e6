# SPDX-License-Identifier: MIT
"""Copies of what a ring holds, from the ring and from files."""

from __future__ import annotations

import errno
import functools
import gzip
import io
import os
import struct
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rbcore
from conftest import Ring, numbers

numpy = pytest.importorskip("numpy")


def numbers_in(snapshot: rbcore.Snapshot) -> list[int]:
    return [struct.unpack("<Q", record)[0] for record in snapshot]


def test_it_leaves_the_reader_alone(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1, 2)
    ring.discard()
    ring.write(3)
    batch = reader.next(10)
    held = batch[0]
    ring.write(4)
    snapshot = reader.snapshot()
    assert numbers_in(snapshot) == [1, 2, 3, 4]
    assert [snapshot.position(i) for i in range(4)] == [0, 16, 48, 64]
    assert snapshot[-1].readonly
    assert numbers(reader.next(10)) == [4]
    assert numbers_in(reader.snapshot()) == [1, 2, 3, 4]  # nothing was given back
    assert bytes(held) == struct.pack("<Q", 1)
    del held, batch
    reader.commit(now=True)
    assert numbers_in(reader.snapshot()) == []
    assert numbers_in(snapshot) == [1, 2, 3, 4]


def test_it_tells_of_what_it_is(ring: Ring, reader: rbcore.Reader) -> None:
    begin = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    ring.write(1, 2)
    snapshot = reader.snapshot()
    info = snapshot.info
    assert begin <= info.boottime_ns <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    assert (info.ring_size, info.first_pos, info.end_pos, info.missed) == (65536, 0, 32, 0)
    batch = reader.next(10)
    assert [snapshot.identity(i) for i in range(2)] == [batch.identity(i) for i in range(2)]
    with pytest.raises(rbcore.Error) as caught:
        reader.snapshot(1)
    assert caught.value.errno == errno.EINVAL


def test_consume(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1, 2)
    batch = reader.next(10)
    held = batch[0]
    with pytest.raises(rbcore.Busy):
        reader.snapshot(consume=True)
    del held, batch
    ring.write(3)
    assert numbers_in(reader.snapshot(consume=True)) == [3]  # the batch went back before
    assert not reader.next(0)
    ring.write(4)
    assert numbers(reader.next(10)) == [4]


def test_arrays(make_ring: Callable[[int], Ring]) -> None:
    ring = make_ring(4096)
    with rbcore.Reader(ring.source) as reader:
        ring.write(*range(200))
        for _ in reader.batches(0.05):
            reader.commit(now=True)
        ring.write(*range(250))  # passes the end of the ring
        snapshot = reader.snapshot()
    (array,) = snapshot.arrays([("low", "<u4"), ("high", "<u4")])
    del snapshot
    assert array["low"].tolist() == list(range(250))
    assert not array.flags.writeable


def test_of_several_sizes_and_many_runs() -> None:
    with rbcore.MemoryRing(1 << 20) as memory, rbcore.Reader(memory) as reader:
        producer = rbcore.Producer(memory)
        contents = [bytes([i % 251]) * (i // 2 % 100) for i in range(5000)]
        assert producer.output_batch(contents) == len(contents)
        snapshot = reader.snapshot()
        assert [bytes(view) for view in snapshot] == contents
        assert bytes(snapshot[4321]) == contents[4321]


def loaded(header: bytes, content: memoryview) -> list[tuple[int, bytes]]:
    """Returns what is in a file that was written so: positions and records."""
    snapshot = rbcore.Snapshot.load(io.BytesIO(header + content))
    return [(snapshot.position(i), bytes(snapshot[i])) for i in range(len(snapshot))]


def test_records_that_are_held(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1, 2)
    ring.discard()
    ring.write(3)
    batch = reader.next(10)
    held = [(batch.position(i), bytes(batch[i])) for i in range(3)]
    for first in range(3):
        for last in range(first, 3):
            header, content = batch.snapshot_header(first, last)
            assert content.readonly
            assert bytes(content[8:16]) == held[first][1]
            assert loaded(header, content) == held[first : last + 1]
    header, content = batch.snapshot_header()
    assert loaded(header, content) == held
    file = io.BytesIO()
    file.writelines(batch.snapshot_header())
    assert file.getvalue()[128:] == content.tobytes()
    with pytest.raises(rbcore.Error, match="are held from") as caught:
        batch.snapshot_header(2, 1)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(IndexError):
        batch.snapshot_header(0, 3)
    with pytest.raises(BufferError):
        batch.commit()  # the content is a view
    del content
    batch.commit(1)
    with pytest.raises(ValueError, match="given back"):
        batch.snapshot_header()
    assert loaded(*batch.snapshot_header(1)) == held[1:]
    batch.commit()
    with pytest.raises(ValueError, match="given back"):
        batch.snapshot_header(1)


def test_records_that_are_moved_stay_a_file(make_ring: Callable[[int], Ring]) -> None:
    ring = make_ring(65536)
    with rbcore.Reader(ring.source) as reader:
        for _ in range(3):  # the second time across the end of the ring
            ring.write(*range(100))
            for _ in range(700):  # pages with nothing else
                ring.discard()
            ring.write(*range(100, 200))
            batch = reader.read()
            assert len(batch) == 200
            held = [bytes(view) for view in batch]
            header, content = batch.snapshot_header()
            del batch
            evacuated = reader.evacuated_bytes
            assert not reader.next(0.01)  # what views hold is moved out of the ring
            assert reader.evacuated_bytes > evacuated
            for _ in range(45):
                ring.write(*range(1000, 1150))
                while reader.read():
                    pass
            assert [data for _, data in loaded(header, content)] == held


def test_reuse(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1)
    first = reader.snapshot()
    view = first[0]
    with pytest.raises(BufferError):
        reader.snapshot(reuse=first)
    del view
    ring.write(2)
    second = reader.snapshot(reuse=first)
    assert numbers_in(second) == [1, 2]
    uses: list[Callable[[], object]] = [
        lambda: first[0],
        lambda: first.info,
        lambda: first.save(1),
        lambda: reader.snapshot(reuse=first),
    ]
    for use in uses:
        with pytest.raises(ValueError, match="given back"):
            use()
    with pytest.raises(rbcore.Error):
        reader.snapshot(7, reuse=second)
    with pytest.raises(ValueError, match="given back"):  # it is lost with the error
        _ = second.info


def test_files(ring: Ring, reader: rbcore.Reader, tmp_path: Path) -> None:
    ring.write(1, 2, 3)
    snapshot = reader.snapshot()
    path = tmp_path / "snapshot"
    for target in (path, str(path)):
        snapshot.save(target)
        assert numbers_in(rbcore.Snapshot.load(target)) == [1, 2, 3]
    with open(path, "wb") as file:  # after what is there, and several in a row
        file.write(b"before")
        snapshot.save(file)
        snapshot.save(file.fileno())
    with open(path, "rb", buffering=0) as file:
        assert file.read(6) == b"before"
        for _ in range(2):
            loaded = rbcore.Snapshot.load(file)
            assert numbers_in(loaded) == [1, 2, 3]
            assert loaded.info == snapshot.info
            assert loaded.identity(2) == snapshot.identity(2)
        with pytest.raises(EOFError) as ended:
            rbcore.Snapshot.load(file)
        assert isinstance(ended.value, rbcore.Error)
    with pytest.raises(FileNotFoundError):
        rbcore.Snapshot.load(tmp_path / "nothing")
    with pytest.raises(OSError, match="full|space"):
        snapshot.save("/dev/full")


OPEN: dict[str, Callable[..., Any]] = {
    "gzip": gzip.open,
    "buffered": open,
    "unbuffered": functools.partial(open, buffering=0),
}


@pytest.mark.parametrize("kind", OPEN)
def test_any_file_object(ring: Ring, reader: rbcore.Reader, tmp_path: Path, kind: str) -> None:
    """A file has several in a row, with something before."""
    ring.write(*range(3000))
    snapshot = reader.snapshot()
    with OPEN[kind](tmp_path / "file", "wb") as file:
        file.write(b"before")
        snapshot.save(file)
        snapshot.save(file)
        file.write(b"x" * 100)
    with OPEN[kind](tmp_path / "file", "rb") as file:
        assert file.read(6) == b"before"  # and more into its buffer, where it has one
        for _ in range(2):
            assert numbers_in(rbcore.Snapshot.load(file)) == list(range(3000))
        with pytest.raises(rbcore.Corrupt):
            rbcore.Snapshot.load(file)


def test_temporary_files(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1, 2)
    for kind in (tempfile.TemporaryFile, tempfile.NamedTemporaryFile):
        with kind() as file:
            file.write(b"before")
            reader.snapshot().save(file)
            file.seek(6)
            assert numbers_in(rbcore.Snapshot.load(file)) == [1, 2]


def test_files_in_memory(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1, 2)
    file = io.BytesIO()
    reader.snapshot().save(file)
    file.seek(0)
    assert numbers_in(rbcore.Snapshot.load(file)) == [1, 2]
    with pytest.raises(EOFError):
        rbcore.Snapshot.load(file)
    with pytest.raises(TypeError):
        reader.snapshot().save(io.StringIO())
    with pytest.raises(rbcore.Corrupt):
        rbcore.Snapshot.load(io.BytesIO(b"something else".ljust(4096)))


class Raw(io.RawIOBase):
    """Takes some bytes at a time, and none when it is full."""

    def __init__(self, room: int) -> None:
        self.content = b""
        self.room = room

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int | None:
        part = bytes(data)[: min(7, self.room - len(self.content))]
        self.content += part
        return len(part) or None


def test_a_raw_file(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1, 2)
    snapshot, whole = reader.snapshot(), io.BytesIO()
    snapshot.save(whole)
    raw = Raw(1 << 20)
    snapshot.save(raw)
    assert raw.content == whole.getvalue()
    with pytest.raises(BlockingIOError):
        snapshot.save(Raw(20))


def test_a_damaged_file(ring: Ring, reader: rbcore.Reader, tmp_path: Path) -> None:
    ring.write(*range(100))
    path = tmp_path / "snapshot"
    reader.snapshot().save(path)
    whole = path.read_bytes()
    for damaged in (
        whole[:-1],
        whole[:20],
        b"something else".ljust(4096),
        whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:],
    ):
        path.write_bytes(damaged)
        with pytest.raises(rbcore.Corrupt):
            rbcore.Snapshot.load(path)


def test_nothing_leaks(ring: Ring, reader: rbcore.Reader, tmp_path: Path) -> None:
    ring.write(1, 2)
    fds = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        snapshot = reader.snapshot()
        view = snapshot[1][2:]
        snapshot.save(tmp_path / "snapshot")
        assert len(rbcore.Snapshot.load(tmp_path / "snapshot")) == 2
        del snapshot
        assert len(view) == 6
    assert len(os.listdir("/proc/self/fd")) == fds
