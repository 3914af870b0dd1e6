# SPDX-License-Identifier: MIT
"""This tests memory rings and their producers."""

from __future__ import annotations

import array
import errno
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import bpf
import pytest
import rbcore


@contextmanager
def open_all(
    ring: rbcore.MemoryRing, max_latency: float | None = None
) -> Iterator[tuple[rbcore.Producer, rbcore.Reader]]:
    reader = rbcore.Reader(ring, max_latency=max_latency)
    with ring, rbcore.Producer(ring) as producer, reader:
        yield producer, reader


def test_output_takes_any_buffer() -> None:
    with open_all(rbcore.MemoryRing(4096)) as (producer, reader):
        producer.output(b"one")
        producer.output(bytearray(b"two"))
        producer.output(memoryview(b"three")[1:])
        producer.output(memoryview(array.array("H", [1, 2])))
        producer.output(b"")
        assert [bytes(view) for view in reader.next(10)] == [
            b"one",
            b"two",
            b"hree",
            array.array("H", [1, 2]).tobytes(),
            b"",
        ]


def test_reserve() -> None:
    with open_all(rbcore.MemoryRing(4096)) as (producer, reader):
        with producer.reserve(3) as view:
            view[:] = b"abc"
            assert not reader.next(0)
        with pytest.raises(RuntimeError), producer.reserve(3):
            raise RuntimeError
        reservation = producer.reserve(2)
        reservation.view[:] = b"xy"
        reservation.submit(wake=True)
        with pytest.raises(ValueError, match="already"):
            reservation.discard()
        assert [bytes(view) for view in reader.next(10)] == [b"abc", b"xy"]
        assert reader.stats().discards == 1


def test_a_slice_that_lives_keeps_the_record_reserved() -> None:
    with open_all(rbcore.MemoryRing(4096)) as (producer, reader):
        reservation = producer.reserve(4)
        part = reservation.view[2:]
        with pytest.raises(BufferError):
            reservation.submit()
        part[:] = b"zz"
        assert not reader.next(0)
        part.release()
        del part
        reservation.submit()
        assert bytes(reader.next(10)[0])[2:] == b"zz"


def test_a_view_outlives_the_producer() -> None:
    with rbcore.MemoryRing(4096) as ring:
        producer = rbcore.Producer(ring)
        reservation = producer.reserve(4)
        view = reservation.view
        producer.close()
        del producer
        view[:] = b"abcd"
        del reservation, view
        with pytest.raises(rbcore.Closed):
            closed = rbcore.Producer(ring)
            closed.close()
            closed.output(b"")


def test_what_is_forgotten_is_discarded() -> None:
    with open_all(rbcore.MemoryRing(4096)) as (producer, reader):
        producer.reserve(4)
        producer.output(b"next")
        assert [bytes(view) for view in reader.next(10)] == [b"next"]


def test_full() -> None:
    with open_all(rbcore.MemoryRing(4096)) as (producer, reader):
        producer.output(bytes(4080))
        with pytest.raises(rbcore.Full) as caught:
            producer.output(b"x")
        assert caught.value.errno == errno.EAGAIN
        assert isinstance(caught.value, BlockingIOError)
        assert reader.ring_stats().lost == 1
        with pytest.raises(rbcore.Error, match="never fit") as too_large:
            producer.reserve(4081)
        assert too_large.value.errno == errno.EMSGSIZE


def test_a_batch() -> None:
    with open_all(rbcore.MemoryRing(4096)) as (producer, reader):
        records: list[rbcore.Buffer] = [b"", b"one", bytearray(b"two"), memoryview(b"three")[1:]]
        assert producer.output_batch(records) == 4
        assert producer.output_batch([]) == 0
        assert [bytes(view) for view in reader.next(10)] == [b"", b"one", b"two", b"hree"]
        reader.commit(now=True)
        assert producer.output_batch([bytes(1000)] * 5) == 4  # the rest is still the caller's
        with pytest.raises(rbcore.Full):
            producer.output_batch([bytes(1000)])
        assert reader.ring_stats().lost == 0
        assert [len(view) for batch in reader.batches(0.05) for view in batch] == [1000] * 4


def test_waiting_for_room() -> None:
    with open_all(rbcore.MemoryRing(4096)) as (producer, reader):
        producer.output(bytes(4080))
        begin = time.monotonic()
        with pytest.raises(rbcore.Full):
            producer.reserve(8, 0.05)
        assert time.monotonic() - begin >= 0.05
        assert reader.ring_stats().lost == 1
        with pytest.raises(ValueError, match="negative"):
            producer.reserve(8, -1)

        def make_room() -> None:
            reader.next(10)
            reader.commit(now=True)

        timer = threading.Timer(0.05, make_room)
        timer.start()
        with producer.reserve(8, None) as view:
            view[:] = b"in place"
        timer.join()
        assert [bytes(view) for view in reader.next(10)] == [b"in place"]


def test_ctrl_c_while_waiting_for_room() -> None:
    with open_all(rbcore.MemoryRing(4096)) as (producer, reader):
        producer.output(bytes(4080))
        timer = threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT])
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            producer.reserve(8, None)
        timer.join()
        assert reader.ring_stats().lost == 0


@pytest.fixture
def user_ring() -> Iterator[bpf.UserRing]:
    try:
        ring = bpf.UserRing(4096)
    except OSError as error:
        pytest.skip(f"no user ring here: {error}")
    yield ring
    ring.close()


def answers(reader: rbcore.Reader) -> list[int]:
    found = [int.from_bytes(view[:8], sys.byteorder) for view in reader.next(0)]
    reader.commit()
    return found


def number(n: int) -> bytes:
    return n.to_bytes(8, sys.byteorder)


def test_a_user_ring(user_ring: bpf.UserRing) -> None:
    with rbcore.Producer(user_ring) as producer, rbcore.Reader(user_ring.answers) as reader:
        with pytest.raises(rbcore.Busy):
            rbcore.Producer(user_ring)
        first = producer.reserve(8)
        producer.output(number(2))
        producer.reserve(100).discard()
        assert user_ring.drain() == 0
        first.view[:] = number(1)
        first.submit()
        assert user_ring.drain() == 2
        assert answers(reader) == [1, 2]
        producer.reserve(0).submit()
        producer.output(b"")
        producer.reserve(0).discard()
        assert producer.output_batch([b"", number(3), b""]) == 3
        assert user_ring.drain() == 5
        assert answers(reader) == [0, 0, 0, 3, 0]
    with rbcore.Producer(user_ring, insist=True), pytest.raises(rbcore.Error) as caught:
        rbcore.Reader(user_ring)
    assert caught.value.errno == errno.EMEDIUMTYPE


def test_batches_into_a_user_ring(user_ring: bpf.UserRing) -> None:
    with rbcore.Producer(user_ring) as producer, rbcore.Reader(user_ring.answers) as reader:
        sent = seen = 0
        while sent < 5000:
            records = [number(sent + i) + bytes((sent + i) % 50) for i in range(40)]
            try:
                sent += producer.output_batch(records)
            except rbcore.Full:
                expected = sent - seen
                assert user_ring.drain() == expected > 40
                while seen < sent:
                    for got in answers(reader):
                        assert got == seen
                        seen += 1
        assert seen > 4800


def test_waiting_for_a_drain(user_ring: bpf.UserRing) -> None:
    with rbcore.Producer(user_ring) as producer:
        assert producer.output_batch([bytes(1000)] * 5) == 4
        with pytest.raises(rbcore.Full):
            producer.reserve(1000, 0.01)
        timer = threading.Timer(0.05, user_ring.drain)
        timer.start()
        with producer.reserve(1000, None) as view:
            view[:8] = number(7)
        timer.join()
        assert user_ring.drain() == 1


def test_wakeups() -> None:
    with open_all(rbcore.MemoryRing(65536), max_latency=0) as (producer, reader):
        assert not reader.next(0)
        producer.output(b"quiet", wake=False)
        assert not select.select([reader], [], [], 0)[0]
        producer.output(b"loud", wake=True)
        assert select.select([reader], [], [], 10)[0]
        assert [bytes(view) for view in reader.next(0)] == [b"quiet", b"loud"]


def test_between_processes() -> None:
    with rbcore.MemoryRing(65536) as ring, rbcore.Reader(ring) as reader:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                other = rbcore.MemoryRing.from_fds(os.dup(ring.memory_fd), os.dup(ring.event_fd))
                rbcore.Producer(other).output(b"from the child")
                code = 0
            finally:
                os._exit(code)
        assert [bytes(view) for view in reader.next(10)] == [b"from the child"]
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("size", [0, 1000, 2048, 3 * 4096, 1 << 31])
def test_impossible_sizes(size: int) -> None:
    with pytest.raises(rbcore.Error, match="power of two") as caught:
        rbcore.MemoryRing(size)
    assert caught.value.errno == errno.EINVAL


def test_closing_twice() -> None:
    ring = rbcore.MemoryRing(4096)
    fds = (ring.memory_fd, ring.event_fd)
    ring.close()
    ring.close()
    for fd in fds:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
