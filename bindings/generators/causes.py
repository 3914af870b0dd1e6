# SPDX-License-Identifier: MIT
"""This writes the texts of errors: what the comments of the header say of them, as one sentence.

The rule: asides in parentheses are left out, and the text ends with its first sentence, or before the
first semicolon. "There is" comes before "no memory". Where that is too long, speaks of what only C has, or reads badly out of its place,
TEXTS has the text, or the language has one of its own. What breaks the rule is refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from bindings.generators.header import Function, Header

LONGEST = 100
# This finds names, pointers and errors of C.
OF_C = re.compile(r"\bNULL\b|->|\*\w|\brbcore_|RBCORE_|(?<!\w)-E[A-Z]")

NO_RING = "the reader has no ring of this index"
NO_PERMISSION = "the descriptor does not allow reading and writing, or the process lacks a capability"
FILTERED = "a filter of system calls (seccomp) refuses one that a reader needs"
NOTHING_TO_WAIT_WITH = "the ring is full, and there is no memory or file descriptor to wait with"
NOT_YET = "only discarded or unfinished records were found so far: call again"
IMPOSSIBLE = "the ring's positions are impossible, or in overwrite mode its oldest records"
NO_MEMORY = "there is no memory"
TOO_MANY_OPEN = "the process has too many open file descriptors"
TOO_MANY_IN_ALL = "the system has too many open files"
EPOLL_LIMIT = "the user has reached the limit of epoll registrations"

# The texts stand by function and errno. With None no binding can cause the error.
TEXTS: dict[tuple[str, str], str | None] = {
    ("rbcore_supports", "EPERM"): "the process may not ask the kernel: it needs CAP_BPF",
    ("rbcore_memory_ring_create", "EINVAL"): "the size must be a power of two, from a page to 1 GiB",
    ("rbcore_memory_ring_create", "EMFILE"): TOO_MANY_OPEN,
    ("rbcore_memory_ring_create", "ENFILE"): TOO_MANY_IN_ALL,
    ("rbcore_memory_ring_create", "ENOMEM"): NO_MEMORY,
    ("rbcore_memory_ring_create", "ENOSYS"): "the kernel has no memfd_create(2)",
    ("rbcore_memory_ring_create", "EFBIG"): "the ring is larger than RLIMIT_FSIZE allows",
    ("rbcore_source_init", "EINVAL"): None,
    ("rbcore_reader_open", "E2BIG"): None,
    ("rbcore_reader_open", "ENOMEM"): NO_MEMORY,
    ("rbcore_reader_open", "EMFILE"): TOO_MANY_OPEN,
    ("rbcore_reader_open", "ENFILE"): TOO_MANY_IN_ALL,
    ("rbcore_reader_open", "ENOSPC"): EPOLL_LIMIT,
    ("rbcore_reader_open", "EPERM"): FILTERED,
    ("rbcore_reader_open", "ENOSYS"): FILTERED,
    ("rbcore_reader_read", "EAGAIN"): NOT_YET,
    ("rbcore_reader_read", "ENODATA"): "all that was there at the flush has been delivered",
    ("rbcore_reader_read", "ECANCELED"): "the reader was interrupted",
    ("rbcore_reader_read", "ESHUTDOWN"): "the reader was shut down",
    ("rbcore_reader_read", "EBADMSG"): "the content of a ring is impossible",
    ("rbcore_reader_read", "ENOBUFS"): "too many batches of several rings are not committed: commit first",
    ("rbcore_reader_read", "EINVAL"): "at least one record must be asked for",
    ("rbcore_reader_next", "EAGAIN"): NOT_YET,
    ("rbcore_reader_next", "EINVAL"): None,
    ("rbcore_reader_stats_get", "EINVAL"): None,
    ("rbcore_reader_ring_stats", "EINVAL"): NO_RING,
    ("rbcore_source_ring_stats", "EINVAL"): "the ring has no file descriptor",
    ("rbcore_source_ring_stats", "E2BIG"): None,
    ("rbcore_source_ring_stats", "ENOENT"): "there is no map of this path or id",
    ("rbcore_source_ring_stats", "EBADF"): "a file descriptor is not open",
    ("rbcore_source_ring_stats", "EBADFD"): "a descriptor is of neither a BPF map nor a memory ring",
    ("rbcore_source_ring_stats", "EMEDIUMTYPE"): "the map is no ring buffer, or the loss map counts no losses",
    ("rbcore_source_ring_stats", "EOPNOTSUPP"): "a 32-bit process cannot read this kernel's rings",
    ("rbcore_source_ring_stats", "EACCES"): NO_PERMISSION,
    ("rbcore_source_ring_stats", "EPERM"): NO_PERMISSION,
    ("rbcore_source_ring_stats", "ENOMEM"): NO_MEMORY,
    ("rbcore_source_ring_stats", "EMFILE"): TOO_MANY_OPEN,
    ("rbcore_source_ring_stats", "ENFILE"): TOO_MANY_IN_ALL,
    ("rbcore_source_ring_stats", "ENOSYS"): "the kernel has no bpf(2)",
    ("rbcore_reader_identity", "EINVAL"): NO_RING,
    ("rbcore_reader_snapshot", "EINVAL"): NO_RING,
    ("rbcore_reader_snapshot", "EBUSY"): "records of the ring are handed out and not given back",
    ("rbcore_snapshot_read", "EBADMSG"): "the next record is impossible: a hostile producer wrote it",
    ("rbcore_snapshot_read", "EINVAL"): None,
    ("rbcore_snapshot_info_get", "EINVAL"): None,
    ("rbcore_snapshot_save", "ENOMEM"): "there is no memory to wait for the file",
    ("rbcore_snapshot_load", "EBADMSG"): "the file is not a snapshot, or it is cut off or damaged",
    ("rbcore_snapshot_load", "E2BIG"): "the file was written by a newer version",
    ("rbcore_snapshot_load", "EOPNOTSUPP"): "the file is from a machine of the other byte order",
    ("rbcore_producer_open", "EINVAL"): "the ring has no file descriptor",
    ("rbcore_producer_open", "E2BIG"): None,
    ("rbcore_producer_open", "EBADF"): "the ring's file descriptor is not open",
    ("rbcore_producer_open", "EBADFD"): "the descriptor is of neither a BPF map nor a memory ring",
    ("rbcore_producer_open", "ENOMEM"): NO_MEMORY,
    ("rbcore_producer_open", "EMFILE"): TOO_MANY_OPEN,
    ("rbcore_producer_open", "ENFILE"): TOO_MANY_IN_ALL,
    ("rbcore_producer_open", "ENOENT"): "there is no map of this path or id, or /proc is not mounted",
    ("rbcore_producer_open", "EOPNOTSUPP"): "a 32-bit process cannot write into this kernel's user rings",
    ("rbcore_producer_open", "EACCES"): NO_PERMISSION,
    ("rbcore_producer_open", "EPERM"): NO_PERMISSION,
    ("rbcore_producer_open", "EUSERS"): "the memory ring has as many producers as it can have",
    ("rbcore_producer_reserve", "EAGAIN"): "the ring is full",
    ("rbcore_producer_reserve", "EMSGSIZE"): "the record can never fit into the ring",
    ("rbcore_producer_reserve_wait", "EAGAIN"): "the ring was still full when the time was up",
    ("rbcore_producer_reserve_wait", "EINTR"): "a signal was caught during the wait",
    ("rbcore_producer_reserve_wait", "EINVAL"): None,
    ("rbcore_producer_reserve_wait", "ENOMEM"): NOTHING_TO_WAIT_WITH,
    ("rbcore_producer_reserve_wait", "EMFILE"): NOTHING_TO_WAIT_WITH,
    ("rbcore_producer_reserve_wait", "ENFILE"): NOTHING_TO_WAIT_WITH,
    ("rbcore_producer_reserve_wait", "ENOSPC"): f"the ring is full, and {EPOLL_LIMIT}",
    ("rbcore_producer_submit", "EINVAL"): "the record is not reserved by this producer, or a flag is unknown",
    ("rbcore_producer_output", "EINVAL"): "a flag is unknown",
    ("rbcore_producer_output_batch", "EAGAIN"): "no record was written: the ring is full",
    ("rbcore_producer_output_batch", "EMSGSIZE"): "the first record can never fit into the ring",
    ("rbcore_producer_output_batch", "EBADMSG"): IMPOSSIBLE,
    ("rbcore_producer_output_batch", "EINVAL"): "a flag is unknown",
}


def errors_of(function: Function) -> dict[str, str]:
    """Maps errno's name to its cause, from the list in the comment: "-EINVAL, -E2BIG  cause;"."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in function.doc.splitlines():
        entry = re.match(r"  ((?:-E[A-Z0-9]+(?:, )?)+),?\s{1,}(.*)", line)
        if entry and re.search(r"and others as \w+\(2\)", entry[2]):
            names = []  # a system call gives these: there is no cause of our own
        elif entry:
            names = re.findall(r"-(E[A-Z0-9]+)", entry[1])
            for name in names:
                found[name] = entry[2]
        elif names and re.match(r"\s{3,}\S", line):
            for name in names:
                found[name] += " " + line.strip()
        else:
            names = []
    return {name: cause.rstrip(";. ") for name, cause in found.items() if cause}


def first_clause(cause: str) -> str:
    text = re.split(r"[.;] ", re.sub(r" ?\((?:[^()]|\(\d\))*\)(?!\w)", "", cause + " "))[0].strip(" .;")
    return re.sub("^no ", "there is no ", text)


def causes_of(header: Header, own: dict[tuple[str, str], str]) -> Iterator[tuple[str, str, str]]:
    """Yields function, errno's name and text; `own` has texts of the language."""
    errors = {function.name: errors_of(function) for function in header.functions}
    for function in header.functions:
        for name, cause in errors[function.name].items():
            key = (function.name, name)
            # "as another function" is looked up there.
            if key not in TEXTS and (reference := re.match(r"as (rbcore_\w+)", cause)):
                key = (reference[1], name)
                cause = errors[reference[1]].get(name, cause)
            text = own.get(key) or TEXTS.get(key, first_clause(cause))
            if text is not None:
                yield function.name, name, text


def refuse(function: str, name: str, text: str) -> None:
    """Ends the program if the text is not fit to be shown."""
    if len(text) > LONGEST or OF_C.search(text):
        raise SystemExit(
            f"generate.py: {function}, {name}: too long, or C's own: give TEXTS another text than: {text}"
        )
