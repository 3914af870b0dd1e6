# SPDX-License-Identifier: MIT
"""This tests what a reader can be opened for, and the errors of what it cannot."""

from __future__ import annotations

import errno
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import bpf
import pytest
import rbcore
from conftest import Ring, numbers, open_ring


@pytest.fixture
def kernel() -> Iterator[Ring]:
    ring = open_ring("kernel", 4096)
    yield ring
    ring.close()


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    mount = tmp_path / "bpf"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "bpf", "bpf", mount], capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"no bpffs here: {done.stderr.strip()}")
    yield mount
    subprocess.run(["umount", mount], check=True)


def test_a_map_by_fd_object_and_id(kernel: Ring) -> None:
    fd = kernel.kernel.fd
    sources: list[rbcore.Source] = [fd, kernel.kernel, rbcore.MapID(kernel.kernel.map_id())]
    for i, source in enumerate(sources):
        with rbcore.Reader(source) as reader:
            kernel.write(i)
            batch = reader.next(10)
            assert numbers(batch) == [i]
            batch.commit()
            assert reader.ring_stats().map_id == kernel.kernel.map_id()


def test_a_pinned_map(kernel: Ring, bpffs: Path) -> None:
    path = bpffs / f"ring-{uuid.uuid4()}"
    kernel.kernel.pin(str(path))
    sources: list[rbcore.Source] = [str(path), path]
    for i, source in enumerate(sources):
        with rbcore.Reader(source) as reader:
            kernel.write(i)
            batch = reader.next(10)
            assert numbers(batch) == [i]
            batch.commit()
    with pytest.raises(rbcore.NotFound):
        rbcore.Reader(bpffs / "nothing")


def test_another_kind_of_map() -> None:
    try:
        fd = bpf.create_map(bpf.MAP_TYPE_ARRAY, 4, 4, 1)
    except OSError as error:
        pytest.skip(f"no BPF here: {error}")
    with pytest.raises(rbcore.Error, match="not BPF_MAP_TYPE_RINGBUF") as caught:
        rbcore.Reader(fd)
    assert caught.value.errno == errno.EMEDIUMTYPE
    os.close(fd)


def test_what_is_no_ring() -> None:
    with pytest.raises(rbcore.Error) as caught:
        rbcore.Reader(-1)
    assert caught.value.errno == errno.EINVAL
    with pytest.raises(FileNotFoundError):
        rbcore.Reader("/nowhere/at/all")
    with open("/dev/null") as file, pytest.raises(rbcore.Error) as caught:
        rbcore.Reader(file)
    assert caught.value.errno == errno.EBADFD
    with pytest.raises((AttributeError, TypeError)):
        rbcore.Reader(1.5)  # type: ignore[arg-type]


def test_a_look_without_a_reader() -> None:
    with rbcore.MemoryRing(65536) as ring:
        rbcore.Producer(ring).output(b"12345678")
        empty = rbcore.SourceStats(None, 65536, 16, 0, 16, 0, 0)
        assert rbcore.ring_stats(ring) == empty
        with rbcore.Reader(ring) as reader:
            assert rbcore.ring_stats(ring) == empty._replace(reader_pid=os.getpid())
            assert reader.ring_stats().reader_pid == os.getpid()
            assert len(reader.next(10)) == 1
            reader.commit()
        looked = rbcore.ring_stats(ring)
        assert looked == empty._replace(consumer_pos=16, bytes_waiting=0)
        with pytest.raises(rbcore.Error) as caught:
            rbcore.ring_stats(ring, loss_map=ring.memory_fd)
        assert caught.value.errno == errno.EBADFD
    with pytest.raises(FileNotFoundError):
        rbcore.ring_stats("/nowhere/at/all")


def test_a_corrupt_ring() -> None:
    with rbcore.MemoryRing(4096) as ring, rbcore.Reader(ring) as reader:
        page = os.sysconf("SC_PAGESIZE")
        os.pwrite(ring.memory_fd, b"\xff" * 7, page)  # the producer's position
        with pytest.raises(rbcore.Corrupt) as caught:
            reader.next(10)
        assert caught.value.errno == errno.EBADMSG
        assert reader.ring_stats().flags == rbcore.RingFlags.BROKEN


def test_options() -> None:
    with rbcore.MemoryRing(65536) as ring:
        with rbcore.Reader(ring, max_latency=0.001, poll=True, batch_size=3) as reader:
            producer = rbcore.Producer(ring)
            for i in range(7):
                producer.output(bytes([i]), wake=False)
            assert [len(batch) for batch in reader.batches(0.05)] == [3, 3, 1]
        for wrong in ({"max_latency": -1.0}, {"max_latency": 0.0, "poll": True}):
            with pytest.raises(rbcore.Error) as caught:
                rbcore.Reader(ring, **wrong)  # type: ignore[arg-type]
            assert caught.value.errno == errno.EINVAL
        with pytest.raises(ValueError, match="batch_size"):
            rbcore.Reader(ring, batch_size=0)


def test_statistics() -> None:
    with rbcore.MemoryRing(4096) as ring, rbcore.Reader(ring) as reader:
        rbcore.Producer(ring).output(b"12345")
        reader.next(10)
        stats = reader.stats()
        assert (stats.records, stats.bytes, stats.batches, stats.rings) == (1, 5, 1, 1)
        one = reader.ring_stats(0)
        assert (one.map_id, one.ring_size, one.read_pos, one.user_pos) == (None, 4096, 16, 0)
        with pytest.raises(rbcore.Error):
            reader.ring_stats(1)


def test_the_library() -> None:
    assert rbcore.version() >= (0, 1, 0)
    assert rbcore.supports_memory_rings()
    assert issubclass(rbcore.Error, OSError)


@pytest.fixture(params=["memory", "kernel"])
def overwriting(request: pytest.FixtureRequest) -> Iterator[Ring]:
    ring = open_ring(request.param, 4096, overwrite=True)
    yield ring
    ring.close()


def test_overwrite_mode(overwriting: Ring) -> None:
    ring = overwriting
    with pytest.raises(rbcore.Error, match="overwrite mode") as refused:
        rbcore.Reader(ring.source)
    assert refused.value.errno == errno.EOPNOTSUPP
    with rbcore.Reader(ring.source, overwrite=True) as reader:
        ring.write(*range(10))
        batch = reader.next(10)
        assert numbers(batch) == list(range(10))
        assert batch.flags(0) == batch.flags(9) == rbcore.RecordFlags.COPIED
        held = batch[0]
        ring.write(*range(10, 1000))  # producers do not wait for the view
        assert bytes(held) == bytes(8)
        del held
        seen = [number for batch in reader.batches(0.05) for number in numbers(batch)]
        assert seen == list(range(1000 - len(seen), 1000))
        stats = reader.ring_stats()
        assert stats.lost_bytes == (1000 - 10 - len(seen)) * 16 > 0
        assert stats.read_pos == stats.producer_pos == 1000 * 16
        ring.write(*range(1000, 2000))
        batch = reader.next(10)
        lost = rbcore.RecordFlags.COPIED | rbcore.RecordFlags.LOST_BEFORE
        assert [batch.flags(i) for i in range(2)] == [lost, rbcore.RecordFlags.COPIED]
        assert numpy_of(batch) == numbers(batch)
        held_numbers = numbers_of_snapshot(reader.snapshot())
        assert held_numbers == list(range(2000 - len(held_numbers), 2000))
        assert len(held_numbers) > 200


def numpy_of(batch: rbcore.Batch) -> list[int]:
    pytest.importorskip("numpy")
    return [int(number) for array in batch.arrays("<u8") for number in array]


def numbers_of_snapshot(snapshot: rbcore.Snapshot) -> list[int]:
    return [int.from_bytes(record, "little") for record in snapshot]


def test_overwrite_mode_of_what_is_not_in_it() -> None:
    with rbcore.MemoryRing(4096) as ring, pytest.raises(rbcore.Error) as caught:
        rbcore.Reader(ring, overwrite=True)
    assert caught.value.errno == errno.EMEDIUMTYPE
    assert not rbcore.supports_overwrite() or os.uname().release >= "6.19"


def test_a_tap(make_ring: Callable[[int], Ring]) -> None:
    ring = make_ring(4096)
    with rbcore.Reader(ring.source) as reader, rbcore.Reader(ring.source, tap=True) as tap:
        ring.write(1, 2, 3)
        assert numbers(tap.next(10)) == [1, 2, 3]
        assert numbers(reader.next(10)) == [1, 2, 3]
        tap.commit(now=True)
        assert reader.ring_stats().consumer_pos == 0  # nothing that the tap does moves it
        reader.commit(now=True)
        for turn in range(20):  # what the reader frees before the tap looks is lost to it
            ring.write(*range(60 * turn, 60 * turn + 60))
            reader.next(10)
            reader.commit(now=True)
        seen = [number for batch in tap.batches(0.05) for number in numbers(batch)]
        stats = tap.ring_stats()
        assert seen == list(range(1200 - len(seen), 1200))
        assert 3 * 16 + len(seen) * 16 + stats.lost_bytes == stats.read_pos == 1203 * 16
        assert stats.lost_bytes > 0
