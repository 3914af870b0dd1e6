# SPDX-License-Identifier: MIT
"""Records that are given back one by one, in any order, by any thread."""

from __future__ import annotations

import os
import queue
import random
import struct
import threading
from collections.abc import Callable, Iterator

import pytest
import rbcore
from conftest import Ring


@pytest.fixture
def reader(ring: Ring) -> Iterator[rbcore.LeaseReader]:
    with rbcore.LeaseReader(ring.source) as opened:
        yield opened


def user_pos(reader: rbcore.LeaseReader) -> int:
    position = reader.ring_stats().user_pos
    assert position is not None
    return position


def test_any_order(ring: Ring, reader: rbcore.LeaseReader) -> None:
    ring.write(*range(5))
    leases = reader.next(10)
    assert [struct.unpack("<Q", lease.view)[0] for lease in leases] == list(range(5))
    assert [lease.position for lease in leases] == [16 * i for i in range(5)]
    assert [lease.ring for lease in leases] == [0] * 5
    assert leases[2].identity().position == 32
    assert len(leases[0]) == 8
    leases[1].release()
    leases[1].release()  # once is enough
    assert user_pos(reader) == 0
    leases[0].release()
    assert user_pos(reader) == 2 * 16
    del leases[3:]  # a lease that is gone is given back
    assert user_pos(reader) == 2 * 16
    with leases[2] as view:
        assert view.readonly
        assert user_pos(reader) == 2 * 16
    assert user_pos(reader) == 5 * 16
    with pytest.raises(ValueError, match="given back"):
        _ = leases[2].view


def test_a_live_view(ring: Ring, reader: rbcore.LeaseReader) -> None:
    ring.write(6)
    (lease,) = reader.next(10)
    part = lease.view[:4]
    with pytest.raises(BufferError):
        lease.release()
    assert bytes(lease.view) == struct.pack("<Q", 6)
    del lease
    assert user_pos(reader) == 0
    assert bytes(part) == struct.pack("<I", 6)
    del part
    assert user_pos(reader) == 16


def test_a_slice_outlives_the_with_statement(ring: Ring, reader: rbcore.LeaseReader) -> None:
    ring.write(6)
    with reader.next(10)[0] as view:
        part = view[:4]
    assert user_pos(reader) == 0
    assert bytes(part) == struct.pack("<I", 6)
    del part
    assert user_pos(reader) == 16


def test_a_lease_outlives_the_reader(ring: Ring) -> None:
    ring.write(6)
    reader = rbcore.LeaseReader(ring.source)
    (lease,) = reader.next(10)
    reader.close()
    del reader
    assert bytes(lease.view) == struct.pack("<Q", 6)
    with pytest.raises(rbcore.Busy, match="still held by records that were not released"):
        rbcore.LeaseReader(ring.source)
    assert lease.identity().position == 0
    lease.release()
    del lease
    with rbcore.LeaseReader(ring.source) as second:
        assert second.next(0) == []


def test_each_ring_of_a_closed_reader_is_held_by_its_records(
    make_ring: Callable[[int], Ring],
) -> None:
    rings = [make_ring(4096) for _ in range(4)]
    reader = rbcore.LeaseReader(*(ring.source for ring in rings))
    reader.remove(1)
    rings[2].write(7)
    (lease,) = reader.next(10)
    reader.close()
    reader.close()
    for ring in rings:
        if ring is rings[2]:
            with pytest.raises(rbcore.Busy, match="still held by records"):
                rbcore.Reader(ring.source)
        else:
            rbcore.Reader(ring.source).close()
    assert bytes(lease.view) == struct.pack("<Q", 7)
    lease.release()
    rbcore.Reader(rings[2].source).close()


def test_a_reader_closed_in_a_child_is_still_the_parents(
    ring: Ring, reader: rbcore.LeaseReader
) -> None:
    ring.write(1)
    (lease,) = reader.next(10)
    child = os.fork()
    if child == 0:
        try:
            reader.close()
            lease.release()
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    ring.write(2)
    (second,) = reader.next(10)
    assert (bytes(lease.view), bytes(second.view)) == (struct.pack("<Q", 1), struct.pack("<Q", 2))
    with pytest.raises(rbcore.Busy):
        rbcore.Reader(ring.source)


def test_an_array_over_a_view(ring: Ring, reader: rbcore.LeaseReader) -> None:
    """numpy refers to what the view is of, and exports no buffer."""
    numpy = pytest.importorskip("numpy")
    ring.write(1, 2)
    first, second = reader.next(10)
    arrays = [numpy.ndarray((1,), "u8", first.view)]
    with pytest.raises(BufferError):
        first.release()
    with second as view:
        arrays.append(numpy.ndarray((1,), "u8", view))
    del first, second
    assert user_pos(reader) == 0
    assert [int(array[0]) for array in arrays] == [1, 2]
    arrays.clear()
    assert user_pos(reader) == 2 * 16


@pytest.mark.parametrize("how", ["release", "with", "with a kept view"])
def test_a_lease_that_was_released_keeps_nothing(ring: Ring, how: str) -> None:
    """It does not matter which objects live: leases, their views, the list that they came in."""
    ring.write(1, 2, 3)
    with rbcore.LeaseReader(ring.source) as reader:
        leases = reader.next(10)
        views = []
        for lease in leases:
            if how == "release":
                lease.release()
            else:
                with lease as view:
                    if how == "with a kept view":
                        views.append(view)
    with rbcore.Reader(ring.source) as second:
        assert not second.next(0)
    for lease in leases:
        with pytest.raises(ValueError, match="given back"):
            lease.identity()
    for view in views:
        with pytest.raises(ValueError, match="released"):
            view[0]


@pytest.mark.parametrize("how", ["release", "with"])
def test_a_worker_gives_back_while_the_reader_waits(
    ring: Ring, reader: rbcore.LeaseReader, how: str
) -> None:
    """The record goes back at once, although the thread that made the lease does not run."""
    ring.write(6)
    leases = reader.next(10)
    found: list[int] = []

    def work() -> None:
        lease = leases.pop()
        if how == "release":
            assert len(lease.view) == 8
            lease.release()
        else:
            with lease as view:
                assert len(view) == 8
        found.append(user_pos(reader))
        reader.interrupt()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    with pytest.raises(rbcore.Interrupted):
        reader.next(20)
    thread.join()
    assert found == [16]


def test_workers(ring: Ring, reader: rbcore.LeaseReader) -> None:
    # Bounded: the ring has room for 4096 records, more than the queue and the workers hold.
    todo: queue.Queue[rbcore.Lease | None] = queue.Queue(500)
    sums = []

    def work() -> None:
        held = []
        total = 0
        while (lease := todo.get()) is not None:
            total += struct.unpack("<Q", lease.view)[0]
            held.append(lease)
            if len(held) > 20:
                held.pop(random.randrange(20)).release()
            del lease
        sums.append(total)

    workers = [threading.Thread(target=work, daemon=True) for _ in range(3)]
    for worker in workers:
        worker.start()
    count = 0
    for number in range(0, 5000, 50):
        ring.write(*range(number, number + 50))
        for lease in reader.next(10):
            todo.put(lease)
            count += 1
        del lease
    while count < 5000:
        for lease in reader.next(10):
            todo.put(lease)
            count += 1
        del lease
    for _ in workers:
        todo.put(None)
    for worker in workers:
        worker.join()
    assert sum(sums) == sum(range(5000))
    assert user_pos(reader) == 5000 * 16
