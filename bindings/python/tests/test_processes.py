# SPDX-License-Identifier: MIT
"""This tests what README.md says of fork, spawn and pickle."""

from __future__ import annotations

import multiprocessing
import os
import pickle
from multiprocessing.reduction import DupFd
from typing import Any

import pytest
import rbcore
from conftest import Ring, numbers


def produce(memory: Any, event: Any) -> None:
    with rbcore.MemoryRing.from_fds(memory.detach(), event.detach()) as ring:
        rbcore.Producer(ring).output(b"spawned.")


def test_spawn() -> None:
    with rbcore.MemoryRing(4096) as ring, rbcore.Reader(ring) as reader:
        context = multiprocessing.get_context("spawn")
        process = context.Process(
            target=produce, args=(DupFd(ring.memory_fd), DupFd(ring.event_fd))
        )
        process.start()
        assert [bytes(record) for record in reader.next(60)] == [b"spawned."]
        process.join()


def test_nothing_is_pickled(ring: Ring) -> None:
    ring.write(1)
    with rbcore.LeaseReader(ring.source) as reader:
        leases = reader.next(10)
        for each in (reader, leases[0], leases[0].view):
            with pytest.raises(TypeError, match="pickle"):
                pickle.dumps(each)


def test_a_child_may_open_what_the_parent_has_closed(ring: Ring) -> None:
    rbcore.Reader(ring.source).close()
    ring.write(5)
    child = os.fork()
    if child == 0:
        with rbcore.Reader(ring.source) as reader:
            os._exit(0 if numbers(reader.next(10)) == [5] else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
