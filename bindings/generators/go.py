# SPDX-License-Identifier: MIT
"""This writes constants, statistics and error texts of the Go package."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bindings.generators.causes import causes_of, refuse
from bindings.generators.header import Constant, Field, Header
from bindings.generators.text import quote, wrap

GO_NOTICE = "// Code generated from include/rbcore/rbcore.h by bindings/generate.py. DO NOT EDIT.\n"
# These constants are part of the package.
GO_CONSTANTS = re.compile(
    "RBCORE_(FEATURE_.*|SOURCE_MAP_ID|SOURCE_MEMORY_RING|UNKNOWN|PRODUCERS_MAX|NO_WAKEUP|FORCE_WAKEUP)"
)
GO_FLAGS = re.compile("RBCORE_RING_(?!S)")
GO_NO_STATISTICS = {"size", "cookie", "flags"}
# These are the package's types of statistics, and their comments.
GO_STATISTICS = {
    "rbcore_reader_stats": (
        "ReaderStats",
        (
            "ReaderStats has counts of what a reader did since it was opened, over all its rings, removed ones "
            "included. Records count as handed out when they are fetched, a batch at a time."
        ),
    ),
    "rbcore_ring_stats": (
        "RingStats",
        (
            "RingStats has the state of one ring of a reader, and counts since the ring was added, unless said "
            "otherwise. Records count as in ReaderStats."
        ),
    ),
}
# The package has these words for what the header's comments speak of.
GO_WORDS = {
    "RBCORE_READER_RELEASE": "WithRelease",
    "RBCORE_READER_POLL": "WithPolling",
    "RBCORE_SOURCE_LATEST": "WithLatest",
    "RBCORE_SOURCE_INSIST": "WithInsist",
    "RBCORE_SOURCE_OVERWRITE": "WithOverwrite",
    "RBCORE_SOURCE_TAP": "WithTap",
    "rbcore_reader_interrupt": "a context that is done",
    "rbcore_reader_flush": "Flush",
    "rbcore_reader_shutdown": "Close",
    "rbcore_reader_next": "WithMaxLatency",
    "rbcore_ring_stats": "RingStats",
    "rbcore_memory_ring_create": "NewMemoryRing",
    "RBCORE_MEMORY_RING_OVERWRITE": "NewOverwriteRing",
}
# Only its messages have these.
GO_MESSAGE_WORDS = {"loss_fd": "the loss map, descriptor", "event_fd": "the event descriptor"}
# These comments differ in Go, because the thing does.
GO_DOCS = {
    "RBCORE_FEATURE_KERNEL_RING": "rings of BPF programs, BPF_MAP_TYPE_RINGBUF (Linux 5.8)",
    "RBCORE_FEATURE_MEMORY_RING": "rings in memory, see NewMemoryRing",
    "RBCORE_SOURCE_MAP_ID": "SnapshotInfo.Kind of a ring of BPF programs",
    "RBCORE_SOURCE_MEMORY_RING": "SnapshotInfo.Kind of a memory ring",
    "bytes": "bytes of their samples",
    "batches": "fetches that brought records",
    "commits": "how often space was given back to producers",
    "wakeups": "waits that an event ended, and events found by a read",
    "first_ring": "the index that NewReader or Add gave it",
    "boot_id": "the boot of the ring's machine; no other ring has the same BootID, Kind and RingID",
}
# These errors mean another thing in Go.
GO_CAUSES = {
    ("rbcore_reader_open", "EINVAL"): "WithPolling needs a latency, and WithMaxLatency(0) is none",
    ("rbcore_producer_open", "ENOENT"): "/proc is not mounted",
}
# This finds names, pointers and errors of C, and an errno without its package.
GO_FOREIGN = re.compile(r"\bNULL\b|->|\*\w|(?<!\.)\bE[A-Z]{3,}\b|\brbcore_|RBCORE_|\b[a-z]+_[a-z_]+\b(?!\()")


def go_name(name: str) -> str:
    """Returns RBCORE_NO_WAKEUP or map_id as Go writes it."""
    parts = name.removeprefix("RBCORE_").lower().split("_")
    return "".join(part.upper() if part in ("id", "ns", "pid") else part.capitalize() for part in parts)


def go_text(header: Header, text: str) -> str:
    words = GO_WORDS | {
        constant.name: go_name(constant.name)
        for constant in header.constants
        if GO_CONSTANTS.fullmatch(constant.name)
    }
    text = re.sub(r"\brbcore_\w+|\bRBCORE_\w+", lambda match: words.get(match[0], match[0]), text)
    text = re.sub(r"(?<!\w)-(E[A-Z0-9]{3,})\b", r"syscall.\1", text)
    for member in (member for struct in header.structs for member in struct.fields):
        if "_" in member.name:
            text = re.sub(rf"\b{member.name}\b", go_name(member.name), text)
    if foreign := GO_FOREIGN.search(text):
        raise SystemExit(f"generate.py: {foreign[0]!r} is no word of Go: give GO_WORDS, GO_DOCS or "
                         f"GO_CAUSES another one for: {text}")
    return text


def go_doc(header: Header, name: str, doc: str) -> str:
    return go_text(header, GO_DOCS.get(name, doc))


def go_causes(header: Header, sources: str) -> Iterator[tuple[str, str, str]]:
    """Yields the texts of those functions whose errors the package words itself."""
    for function, name, cause in causes_of(header, GO_CAUSES):
        if f'"{function}"' in sources:
            text = go_text(header, cause)
            refuse(function, name, text)
            yield function, name, text


def go_flags(header: Header, struct: str) -> list[Constant]:
    """The flags that are part of a struct of statistics."""
    return [c for c in header.constants if struct == "rbcore_ring_stats" and GO_FLAGS.match(c.name)]


def go_flag_name(flag: Constant) -> str:
    return go_name(flag.name.replace("_RING_", "_"))


def go_statistics(header: Header, struct: str) -> list[Field]:
    fields = next(i for i in header.structs if i.name == struct).fields
    return [member for member in fields if member.name not in GO_NO_STATISTICS]


def go_statistics_type(header: Header, struct: str) -> Iterator[str]:
    name, doc = GO_STATISTICS[struct]
    yield ""
    yield from wrap("//", doc)
    yield f"type {name} struct {{"
    for member in go_statistics(header, struct):
        yield from wrap("\t//", go_doc(header, member.name, member.doc))
        yield f"\t{go_name(member.name)} uint64"
    for flag in go_flags(header, struct):
        yield from wrap("\t//", go_doc(header, flag.name, flag.doc))
        yield f"\t{go_flag_name(flag)} bool"
    yield "}"


def go_statistics_of(header: Header, struct: str) -> Iterator[str]:
    name, _ = GO_STATISTICS[struct]
    yield f"func {name[0].lower()}{name[1:]}Of(from *C.{struct}) {name} {{"
    yield f"\tvar stats {name}"
    for member in go_statistics(header, struct):
        yield f"\tstats.{go_name(member.name)} = uint64(from.{member.name})"
    for flag in go_flags(header, struct):
        yield f"\tstats.{go_flag_name(flag)} = from.flags&C.{flag.name} != 0"
    yield "\treturn stats"
    yield "}\n"


def go_snapshot_info(header: Header) -> list[Field]:
    return next(i for i in header.structs if i.name == "rbcore_snapshot_info").fields[1:]


def write_go(header: Header) -> str:
    lines = [f"{GO_NOTICE}\n// SPDX-License-Identifier: MIT\n\npackage ringbuf\n\nconst ("]
    for constant in header.constants:
        if GO_CONSTANTS.fullmatch(constant.name):
            name = go_name(constant.name)
            doc = go_doc(header, constant.name, constant.doc)
            if re.match(r"[A-Z][a-z]|A ", doc) and not doc.startswith("Snapshot"):
                doc = doc[0].lower() + doc[1:]
            lines += wrap("\t//", f"{name}: {doc}")
            lines += [f"\t{name} = {constant.value}"]
    lines += [")"]
    for struct in GO_STATISTICS:
        lines += go_statistics_type(header, struct)
    lines += ["", "// SnapshotInfo says which ring a snapshot is of, what it holds, and when it was taken."]
    lines += ["type SnapshotInfo struct {"]
    for member in go_snapshot_info(header):
        lines += wrap("\t//", go_doc(header, member.name, member.doc))
        array = re.search(r"\[\d+\]", member.type)
        lines += [f"\t{go_name(member.name)} {array[0] + 'byte' if array else 'uint64'}"]
    return "\n".join(lines + ["}"]) + "\n"


def write_go_cgo(header: Header, sources: str) -> str:
    lines = ["//go:build linux && cgo\n", f"{GO_NOTICE}\n// SPDX-License-Identifier: MIT\n"]
    lines += ["package ringbuf\n", '// #include "shim.h"', 'import "C"\n']
    lines += ['import (', '\t"strings"', '\t"syscall"', ")\n"]
    for struct in GO_STATISTICS:
        lines += go_statistics_of(header, struct)
    lines += ["func infoOf(from *C.rbcore_snapshot_info) SnapshotInfo {"]
    lines += ["\tvar info SnapshotInfo"]
    for member in go_snapshot_info(header):
        name = go_name(member.name)
        lines += (
            [f"\tfor i := range info.{name} {{", f"\t\tinfo.{name}[i] = byte(from.{member.name}[i])", "\t}"]
            if "[" in member.type
            else [f"\tinfo.{name} = uint64(from.{member.name})"]
        )
    lines += ["\treturn info", "}\n", "// causes has the texts of errors, by function and errno."]
    lines += ["var causes = []struct {", "\tfunction string", "\terrno    syscall.Errno"]
    lines += ["\ttext     string", "}{"]
    for function, name, cause in go_causes(header, sources):
        lines.append(f"\t{{{quote(function)}, syscall.{name}, {quote(cause)}}},")
    lines += ["}\n", "// words has the package's words for what the library's messages speak of."]
    lines += ["var words = strings.NewReplacer("]
    spoken = GO_MESSAGE_WORDS | {name: word for name, word in GO_WORDS.items() if name.isupper()}
    lines += [f"\t{quote(name)}, {quote(word)}," for name, word in spoken.items()]
    return "\n".join(lines + [")"]) + "\n"
