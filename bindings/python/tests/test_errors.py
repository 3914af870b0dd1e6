# SPDX-License-Identifier: MIT
"""Errors are read aloud: each is one sentence that says what went wrong and with what."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import rbcore
from rbcore._abi import CAUSES


def is_sentence(text: str) -> bool:
    """Short, without a second sentence, names of C, or anything that is said twice."""
    clauses = text.lower().split(": ")
    return (
        0 < len(text) <= 100
        and text == text.strip()
        and not text.endswith(".")
        and not any(part in text for part in (". ", ";", "\n", "rbcore_", "RBCORE_", "->"))
        and len(set(clauses)) == len(clauses)
    )


def test_texts() -> None:
    for key, text in CAUSES.items():
        assert is_sentence(text), (key, text)


def bad_snapshot() -> None:
    read, write = os.pipe()
    try:
        os.write(write, bytes(4096))
        rbcore.Snapshot.load(read)
    finally:
        os.close(read)
        os.close(write)


def second_reader() -> None:
    with rbcore.MemoryRing(4096) as ring, rbcore.Reader(ring), rbcore.Reader(ring):
        pass


def no_room() -> None:
    with rbcore.MemoryRing(4096) as ring, rbcore.Reader(ring) as reader:
        reader.read(0)


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda: rbcore.MemoryRing(1000), "the size must be a power of two, from a page to 1 GiB"),
        (lambda: rbcore.Reader("/nope"), "/nope: No such file or directory"),
        (lambda: rbcore.Reader(9999), "fd 9999: Bad file descriptor"),
        (lambda: rbcore.Producer("/nope"), "there is no map of this path or id"),
        (lambda: rbcore.Reader(max_latency=-1), "max_latency must not be negative"),
        (lambda: rbcore.Reader().ring_stats(3), "the reader has no ring of this index"),
        (lambda: rbcore.Reader().remove(3), "no ring has the index 3"),
        (second_reader, "another reader has the ring"),
        (bad_snapshot, "the file is not a snapshot"),
        (no_room, "at least one record must be asked for"),
    ],
)
def test_errors(call: Callable[[], object], wanted: str) -> None:
    with pytest.raises(rbcore.Error) as caught:
        call()
    text = str(caught.value.strerror)
    assert text.startswith(wanted)
    assert is_sentence(text)


@pytest.mark.parametrize("call", [rbcore.Reader, rbcore.Producer, rbcore.ring_stats])
def test_a_path_with_a_nul_byte(call: Callable[[str], object]) -> None:
    with pytest.raises(ValueError, match="NUL"):
        call("/sys/fs/bpf/events\0x")
