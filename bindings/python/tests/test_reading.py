# SPDX-License-Identifier: MIT
"""Reading, committing and waiting are the same on a memory ring and on one of the kernel."""

from __future__ import annotations

import errno
import os
import select
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable

import pytest
import rbcore
from conftest import Ring, numbers


def test_single_read(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(7)
    batch = reader.next(10)
    assert numbers(batch) == [7]
    assert len(batch[0]) == 8
    assert batch[0].readonly
    assert batch.position(0) == 0
    assert batch.ring(0) == 0
    assert batch.identity(0).position == 0
    assert batch.identity(0).is_memory_ring == (ring.kind == "memory")


def test_discarded_records_are_skipped(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1)
    ring.discard()
    ring.write(2, 3)
    ring.discard()
    assert numbers(reader.next(10)) == [1, 2, 3]
    assert not reader.next(0)
    assert reader.stats().discards == 2


def test_a_batch_is_a_sequence(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(*range(10))
    batch = reader.next(10)
    assert [bytes(batch[i]) for i in range(10)] == [bytes(view) for view in batch]
    assert [bytes(view) for view in batch[2:8:2]] == [struct.pack("<Q", i) for i in (2, 4, 6)]
    assert bytes(batch[-1]) == struct.pack("<Q", 9)
    assert struct.pack("<Q", 4) in batch
    with pytest.raises(IndexError):
        batch[10]
    with pytest.raises(IndexError):
        batch[-11]


@pytest.mark.parametrize("way", ["next", "read"])
def test_records_of_many_sizes(way: str) -> None:
    """Runs of one size, singles, discards between, and the end of the ring: each record is itself."""
    with rbcore.MemoryRing(65536) as memory, rbcore.Reader(memory) as reader:
        producer = rbcore.Producer(memory)
        position = 0
        for turn in range(40):
            contents = []
            positions = []
            for i in range(100):
                size = 24 if i % 10 < 5 else (turn * 31 + i * 7) % 97
                content = bytes([(turn + i) % 251]) * size
                if i % 17 == 3:
                    producer.reserve(size).discard()
                else:
                    producer.output(content)
                    contents.append(content)
                    positions.append(position)
                position += size + 15 & ~7
            batch = reader.next(10) if way == "next" else reader.read()
            assert [bytes(view) for view in batch] == contents
            assert [bytes(batch[i]) for i in range(len(batch))] == contents
            assert [batch.position(i) for i in range(len(batch))] == positions
            batch.commit(turn + 1)
            committed = reader.ring_stats().user_pos
            # The discarded ones that follow go with it.
            assert positions[turn] < committed <= positions[turn + 1]
            assert bytes(batch[turn + 1]) == contents[turn + 1]
            batch.commit()
            assert reader.ring_stats().user_pos == position


def test_commit_frees_space(make_ring: Callable[[int], Ring]) -> None:
    ring = make_ring(4096)
    room = 4096 // 16 // 4  # what one call takes
    with rbcore.Reader(ring.source) as reader:
        for turn in range(5):  # passes the end of the ring
            ring.write(*range(turn, turn + room))
            assert numbers(reader.next(10)) == list(range(turn, turn + room))
            assert reader.ring_stats().user_pos == turn * room * 16
            reader.commit(now=True)
            assert reader.ring_stats().user_pos == (turn + 1) * room * 16
            reader.commit()  # nothing to commit: nothing happens
        assert reader.stats().records == 5 * room


def test_commit_within_a_batch(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(*range(10))
    batch = reader.next(10)
    batch.commit(3)
    assert reader.ring_stats().user_pos == 3 * 16
    with pytest.raises(ValueError, match="given back"):
        batch[2]
    with pytest.raises(ValueError, match="given back"):
        iter(batch)
    assert bytes(batch[3]) == struct.pack("<Q", 3)
    with pytest.raises(ValueError, match="has 10 records"):
        batch.commit(11)
    batch.commit(3)
    assert reader.ring_stats().user_pos == 3 * 16
    batch.commit(now=True)
    assert reader.ring_stats().consumer_pos == 10 * 16
    batch.commit()  # given back already


def test_what_was_not_committed_is_for_the_next_reader(ring: Ring) -> None:
    ring.write(*range(10))
    with rbcore.Reader(ring.source) as reader:
        reader.next(10).commit(4)
    with rbcore.Reader(ring.source) as reader:
        assert numbers(reader.next(10)) == [4, 5, 6, 7, 8, 9]


def test_iteration_gives_back(ring: Ring, reader: rbcore.Reader) -> None:
    seen = []
    ring.write(1, 2)
    for batch in reader:
        for record in batch:
            seen.append(struct.unpack("<Q", record)[0])
        if seen[-1] == 6:
            reader.flush()
        elif seen[-1] % 2 == 0:
            ring.write(seen[-1] + 1, seen[-1] + 2)
    assert seen == [1, 2, 3, 4, 5, 6]
    stats = reader.ring_stats()
    assert stats.user_pos == stats.producer_pos


def test_iteration_until_nothing_comes(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(*range(5))
    seen: list[int] = []
    for batch in reader.batches(timeout=0.01):
        seen += numbers(batch)
    assert seen == [0, 1, 2, 3, 4]


def test_a_deadline(ring: Ring, reader: rbcore.Reader) -> None:
    begin = time.monotonic()
    batch = reader.next(0.05)
    assert time.monotonic() - begin >= 0.05
    assert not batch
    assert list(batch) == []
    assert not reader.next(0)
    with pytest.raises(ValueError, match="negative"):
        reader.next(-1)


def test_read_does_not_wait(ring: Ring, reader: rbcore.Reader) -> None:
    assert not reader.read()
    ring.write(1, 2)
    assert numbers(reader.read(1)) == [1]
    assert numbers(reader.look()) == [2]
    assert not reader.look()


def test_flush(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1)
    reader.flush()
    assert numbers(reader.next(10)) == [1]
    with pytest.raises(rbcore.Flushed) as caught:
        reader.next(10)
    assert caught.value.errno == errno.ENODATA
    assert not reader.next(0)


def test_interrupt(ring: Ring, reader: rbcore.Reader) -> None:
    reader.interrupt()
    reader.interrupt()
    with pytest.raises(rbcore.Interrupted) as caught:
        reader.next()
    assert caught.value.errno == errno.ECANCELED
    ring.write(1)
    assert numbers(reader.next(10)) == [1]


def test_shutdown(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1)
    batch = reader.next(10)
    reader.shutdown()
    with pytest.raises(rbcore.Closed):
        reader.next()
    batch.commit()
    assert list(reader) == []


@pytest.mark.parametrize("end", ["close", "shutdown", "interrupt", "flush"])
def test_ends_while_blocked(ring: Ring, end: str) -> None:
    with rbcore.Reader(ring.source) as reader:
        outcome: list[BaseException] = []
        waiting = threading.Event()

        def wait() -> None:
            waiting.set()
            try:
                reader.next()
            except rbcore.Error as error:
                outcome.append(error)

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        waiting.wait()
        time.sleep(0.05)  # most likely it blocks by now; if not, the outcome is the same
        getattr(reader, end)()
        thread.join()
        kinds = {"interrupt": rbcore.Interrupted, "flush": rbcore.Flushed}
        assert type(outcome[0]) is kinds.get(end, rbcore.Closed)


def test_one_thread_at_a_time(ring: Ring) -> None:
    with rbcore.Reader(ring.source) as reader:
        thread = threading.Thread(target=lambda: list(reader), daemon=True)
        thread.start()
        while not reader._uses:
            time.sleep(0.001)
        with pytest.raises(RuntimeError, match="in use"):
            reader.next(0)
        reader.shutdown()
        thread.join()


def test_a_closed_reader(ring: Ring) -> None:
    reader = rbcore.Reader(ring.source)
    reader.close()
    reader.close()
    for use in (reader.next, reader.commit, reader.stats, reader.fileno, reader.flush):
        with pytest.raises(rbcore.Closed):
            use()


def test_a_kept_exception_does_not_keep_the_ring(ring: Ring) -> None:
    reader = rbcore.Reader(ring.source)
    reader.interrupt()
    with pytest.raises(rbcore.Interrupted) as caught:
        reader.next()
    reader.close()
    rbcore.Reader(ring.source).close()
    assert caught.value.__traceback__


def test_two_readers_are_refused(ring: Ring, reader: rbcore.Reader) -> None:
    with pytest.raises(rbcore.Busy) as caught:
        rbcore.Reader(ring.source)
    assert caught.value.errno == errno.EBUSY
    assert "another" in str(caught.value)
    with rbcore.Reader(ring.source, insist=True) as second:
        assert second.ring_stats().flags == rbcore.RingFlags.UNGUARDED


def test_latest(ring: Ring) -> None:
    ring.write(1, 2)
    with rbcore.Reader(ring.source, latest=True, cookie=99) as reader:
        ring.write(3)
        assert numbers(reader.next(10)) == [3]
        assert reader.ring_stats().skipped == 2
        assert reader.ring_stats().cookie == 99


def test_many_records(make_ring: Callable[[int], Ring]) -> None:
    count = 20_000
    ring = make_ring(1 << 20)  # room for all: the program of the tests does not count losses
    with rbcore.Reader(ring.source) as reader:

        def write() -> None:
            ring.write(*range(count))
            reader.flush()

        thread = threading.Thread(target=write, daemon=True)
        thread.start()
        seen: list[int] = []
        for batch in reader:
            seen += numbers(batch)
        thread.join()
        assert seen == list(range(count))


def test_several_rings(make_ring: Callable[[int], Ring]) -> None:
    rings = [make_ring(4096), make_ring(8192), make_ring(4096)]
    with rbcore.Reader(*(ring.source for ring in rings)) as reader:
        for i, ring in enumerate(rings):
            ring.write(*range(i * 10, i * 10 + 5))
        seen: dict[int, list[int]] = {0: [], 1: [], 2: []}
        for batch in reader.batches(0.05):
            for i, number in enumerate(numbers(batch)):
                seen[batch.ring(i)].append(number)
        assert seen == {i: list(range(i * 10, i * 10 + 5)) for i in range(3)}
        reader.remove(1)
        assert reader.stats().rings == 2
        with pytest.raises(rbcore.Error) as caught:
            reader.remove(1)
        assert caught.value.errno == errno.EINVAL


def test_fileno(ring: Ring, reader: rbcore.Reader) -> None:
    assert not reader.next(0)
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    ring.write(5)
    assert poll.poll(10_000)
    assert numbers(reader.next(0)) == [5]


def test_ctrl_c_during_an_endless_wait(ring: Ring, reader: rbcore.Reader) -> None:
    # The signal goes to the process, as a terminal does it; raise_signal would address the timer's
    # thread.
    timer = threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        reader.next()
    timer.join()
    ring.write(1)
    assert numbers(reader.next(10)) == [1]


def test_close_in_a_signal_handler(ring: Ring) -> None:
    reader = rbcore.Reader(ring.source)
    before = signal.signal(signal.SIGUSR1, lambda *_: reader.close())
    timer = threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGUSR1])
    timer.start()
    try:
        with pytest.raises(rbcore.Closed):
            reader.next()
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, before)
    with rbcore.Reader(ring.source) as second:  # the first one is gone
        assert not second.next(0)


def test_a_stop_and_continue_end_no_wait(ring: Ring, reader: rbcore.Reader) -> None:
    script = "sleep 0.05; kill -STOP $0; sleep 0.05; kill -CONT $0"
    before = signal.signal(signal.SIGCONT, lambda *_: None)  # a handler that returns: the same
    try:
        with subprocess.Popen(["sh", "-c", script, str(os.getpid())]):
            timer = threading.Timer(0.3, ring.write, [1])
            timer.start()
            assert numbers(reader.next(10)) == [1]
            timer.join()
    finally:
        signal.signal(signal.SIGCONT, before)


def test_other_threads_run_during_a_wait(ring: Ring, reader: rbcore.Reader) -> None:
    timer = threading.Timer(0.05, ring.write, [3])  # needs the GIL
    timer.start()
    assert numbers(reader.next()) == [3]
    timer.join()


def test_after_fork(ring: Ring, reader: rbcore.Reader) -> None:
    ring.write(1)
    child = os.fork()
    if child == 0:
        try:
            reader.next(0)
        except rbcore.Error as error:
            os._exit(0 if error.errno == errno.ECHILD else 2)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert numbers(reader.next(10)) == [1]
