#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes from include/rbcore/rbcore.h what bindings can have by rule.

generate.py            writes the files below
generate.py --check    compares with what is committed, and looks whether each binding has each
                       function of the header; ends with 1 if not

bindings/python/c/rbcore.cdef           the declarations for cffi
bindings/python/src/rbcore/_rbcore.pyi  their types
bindings/python/src/rbcore/_abi.py      statistics, and what the header says of each error
bindings/go/generated.go                constants and statistics, on each platform
bindings/go/generated_cgo.go            statistics out of C's, and what the header says of each error
bindings/go/bpfheader/include/rbcore/rbcore_bpf.h  a copy of the header for BPF programs

The other declarations Go and Rust take from the header by cgo and bindgen.

A binding wraps a function if its sources name it. What it leaves out on purpose stands, with the
reason, in its not-wrapped.txt.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

try:
    from pycparser import c_ast, c_generator, c_parser
except ImportError:
    print("skipped: pycparser is missing (python3-pycparser)")
    sys.exit(77)

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "include" / "rbcore" / "rbcore.h"
BPF_HEADER = ROOT / "include" / "rbcore" / "rbcore_bpf.h"
BINDINGS = ROOT / "bindings"

# Where a binding's own sources are, and how they use a function; comments do not count.
WRAPPERS = {
    "go": (("go/*.go", "go/shim.h"), r"\b(rbcore_\w+)\("),
    "python": (("python/src/rbcore/*.py", "python/c/batch.c"), r"(?:\blib\.|[=?:] )(rbcore_\w+)"),
    "rust": (("rust/rbcore/src/**/*.rs",), r"\b(rbcore_\w+)\b"),
}
COMMENT = re.compile(r"//.*|/\*.*?\*/|^\s*#.*", re.MULTILINE)
GENERATED = {"_abi.py", "generated.go", "generated_cgo.go"}

TYPES = """typedef unsigned long size_t; typedef unsigned char uint8_t; typedef unsigned short uint16_t;
typedef unsigned int uint32_t; typedef unsigned long uint64_t; typedef int int32_t;
typedef long int64_t;"""
LONGEST = {"UINT64_MAX": 2**64 - 1}
NOTICE = "Generated from include/rbcore/rbcore.h by bindings/generate.py. Do not edit."
DO_NOT_EDIT = f"# SPDX-License-Identifier: MIT\n# {NOTICE}\n"


@dataclass
class Field:
    name: str
    type: str
    doc: str


@dataclass
class Struct:
    name: str
    doc: str
    fields: list[Field]


@dataclass
class Function:
    name: str
    doc: str
    parameters: list[tuple[str, str]]
    result: str
    declaration: str


@dataclass
class Constant:
    name: str
    value: int
    doc: str


@dataclass
class Header:
    constants: list[Constant] = field(default_factory=list)
    structs: list[Struct] = field(default_factory=list)
    functions: list[Function] = field(default_factory=list)
    handles: list[str] = field(default_factory=list)
    declarations: list[str] = field(default_factory=list)


class Comments:
    """The comments of the header, found by where they stand."""

    def __init__(self, text: str) -> None:
        self.above: dict[int, str] = {}  # by the line that follows
        self.beside: dict[int, str] = {}  # by the line of their first character
        for match in re.finditer(r"/\*(.*?)\*/", text, re.DOTALL):
            words = re.sub(r"^[ \t]*\*?[ ]?", "", match[1], flags=re.MULTILINE).strip()
            first = text.count("\n", 0, match.start()) + 1
            last = first + match[0].count("\n")
            before = text[text.rfind("\n", 0, match.start()) + 1 : match.start()]
            if before.strip():
                self.beside[first] = " ".join(words.split())
            else:
                self.above[last + 1] = words


def blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def without_preprocessor(text: str) -> str:
    """What the parser reads: C alone, each line where it was."""
    text = re.sub(r"/\*.*?\*/", blank, text, flags=re.DOTALL)
    text = re.sub(r"^#ifdef __cplusplus$.*?^#endif$", blank, text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^#(?:[^\n]*\\\n)*[^\n]*", blank, text, flags=re.MULTILINE)
    return text.replace("RBCORE_API ", "           ")


def value_of(expression: str) -> int:
    number = re.fullmatch(r"\(?(?:U?INT\d+_C\()?(-?(?:0x[0-9a-f]+|\d+))\)*", expression)
    return int(number[1], 0) if number else LONGEST[expression]


def constants_of(text: str, comments: Comments) -> list[Constant]:
    found = []
    for match in re.finditer(r"^#define (RBCORE_\w+) (?!__attribute)(\S+)", text, re.MULTILINE):
        name, expression = match[1], match[2]
        if expression == "\\" or name.endswith(("_H", "_INIT")):
            continue
        line = text.count("\n", 0, match.start()) + 1
        doc = comments.beside.get(line, comments.above.get(line, ""))
        found.append(Constant(name, value_of(expression), doc))
    return found


def struct_of(declaration: c_ast.Typedef, comments: Comments) -> Struct:
    generator = c_generator.CGenerator()
    fields = []
    for member in declaration.type.type.decls:
        line = member.coord.line
        doc = comments.beside.get(line, comments.above.get(line, ""))
        fields.append(Field(member.name, generator.visit(member.type), doc))
    line = declaration.type.type.coord.line
    return Struct(declaration.name, comments.above.get(line, ""), fields)


def function_of(declaration: c_ast.Decl, comments: Comments) -> Function:
    generator = c_generator.CGenerator()
    parameters = []
    for parameter in declaration.type.args.params:
        if parameter.name:
            kind = generator.visit(parameter.type)
            kind = re.sub(rf"\b{parameter.name}\b", "", kind).strip()
            parameters.append((parameter.name, kind))
    result = generator.visit(declaration.type.type).replace(declaration.name, "").strip()
    line = declaration.coord.line
    return Function(
        declaration.name,
        comments.above.get(line, ""),
        parameters,
        result,
        generator.visit(declaration) + ";",
    )


def parse(text: str) -> Header:
    comments = Comments(text)
    header = Header(constants=constants_of(text, comments))
    # The types come on lines of their own, which then do not count.
    types = TYPES.replace("\n", " ") + "\n#line 1\n"
    tree = c_parser.CParser().parse(types + without_preprocessor(text), "rbcore.h")
    generator = c_generator.CGenerator()
    for item in tree.ext:
        if not item.name.startswith("rbcore_"):
            continue
        header.declarations.append(generator.visit(item) + ";")
        if isinstance(item.type, c_ast.FuncDecl):
            header.functions.append(function_of(item, comments))
        elif item.type.type.decls is None:
            header.handles.append(item.name)
        else:
            header.structs.append(struct_of(item, comments))
    return header


# ---- What the comments say of errors ---------------------------------------------------------------


def errors_of(function: Function) -> dict[str, str]:
    """Errno's name to its cause, from the list in the comment: "-EINVAL, -E2BIG  cause;"."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in function.doc.splitlines():
        entry = re.match(r"  ((?:-E[A-Z0-9]+(?:, )?)+),?\s{1,}(.*)", line)
        if entry and re.search(r"and others as \w+\(2\)", entry[2]):
            names = []  # as a system call gives them: no cause of our own
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


def causes_of(header: Header) -> Iterator[tuple[str, str, str]]:
    """Function, errno's name and cause; "as another function" is looked up there."""
    errors = {function.name: errors_of(function) for function in header.functions}
    for function in header.functions:
        for name, cause in errors[function.name].items():
            if reference := re.match(r"as (rbcore_\w+)", cause):
                cause = errors[reference[1]].get(name, cause)
            yield function.name, name, cause


# ---- Python ----------------------------------------------------------------------------------------


def write_cdef(header: Header) -> str:
    lines = [f"/* SPDX-License-Identifier: MIT */\n/* {NOTICE} */"]
    lines += [f"#define {constant.name} ..." for constant in header.constants]
    return "\n".join(lines + header.declarations) + "\n"


def write_stub(header: Header) -> str:
    own = parse(HEADER.read_text() + (BINDINGS / "python/c/batch.h").read_text())
    lines = [DO_NOT_EDIT, "from typing import Any, Final", ""]
    lines += ["class Lib:"]
    lines += [f"    {constant.name}: Final[int]" for constant in header.constants]
    for function in own.functions:
        parameters = "".join(
            f", {name}_: {'int' if is_number(kind) else 'Any'}"
            for name, kind in function.parameters
        )
        result = "None" if function.result == "void" else "Any"
        result = "int" if is_number(function.result) else result
        lines.append(f"    def {function.name}(self{parameters}, /) -> {result}: ...")
    return "\n".join([*lines, "", "lib: Lib", "ffi: Any"]) + "\n"


def is_number(kind: str) -> bool:
    return re.fullmatch(r"int|unsigned int|size_t|u?int\d+_t", kind) is not None


# The library is within the package: it knows all but what the header says that it may not know.
UNKNOWN = "RBCORE_UNKNOWN"
STATISTICS = {
    "rbcore_reader_stats": "ReaderStats",
    "rbcore_ring_stats": "RingStats",
    "rbcore_snapshot_info": "SnapshotInfo",
}


def wrap(prefix: str, text: str, width: int = 96) -> list[str]:
    lines = [prefix]
    for word in text.split():
        if len(lines[-1]) + 1 + len(word) > width and lines[-1] != prefix:
            lines.append(prefix)
        lines[-1] += " " + word
    return lines


def in_python(doc: str) -> str:
    return doc.replace(UNKNOWN, "None").replace("RBCORE_RING_", "RingFlags.")


def quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def write_flags(header: Header, name: str, prefix: str, doc: str) -> list[str]:
    lines = ["", f"class {name}(IntFlag):", f'    """{doc}"""', ""]
    for constant in header.constants:
        if constant.name.startswith(prefix):
            lines += wrap("    #:", re.sub(r"^Flags of \w+: ", "", constant.doc))
            lines += [f"    {constant.name.removeprefix(prefix)} = {constant.value}"]
    return [*lines, ""]


def write_python(header: Header) -> str:
    lines = [DO_NOT_EDIT + "from __future__ import annotations", ""]
    lines += ["import errno", "from enum import IntFlag", "from typing import NamedTuple", ""]
    lines += write_flags(header, "RingFlags", "RBCORE_RING_", "Of RingStats.")
    lines += write_flags(header, "RecordFlags", "RBCORE_RECORD_", "Of a record.")
    for struct in header.structs:
        if struct.name not in STATISTICS:
            continue
        unknown = " None: not known." if any(UNKNOWN in i.doc for i in struct.fields) else ""
        lines += ["", f"class {STATISTICS[struct.name]}(NamedTuple):"]
        lines += [f'    """{struct.doc}{unknown}"""', ""]
        for member in struct.fields[1:]:
            is_always_known = UNKNOWN not in member.doc
            lines += wrap("    #:", in_python(member.doc) or "See the type.")
            kind = "RingFlags" if member.name == "flags" else "int"
            kind = "bytes" if member.type.startswith("uint8_t") else kind
            lines += [f"    {member.name}: {kind if is_always_known else 'int | None'}"]
        lines.append("")
    lines += ["", "#: What the header says of a function's errors."]
    lines += ["CAUSES: dict[tuple[str, int], str] = {"]
    for function, name, cause in causes_of(header):
        lines.append(f"    ({quote(function)}, errno.{name}): {quote(cause)},")
    return "\n".join(lines + ["}"]) + "\n"


# ---- Go ----------------------------------------------------------------------------------------------

GO_NOTICE = "// Code generated from include/rbcore/rbcore.h by bindings/generate.py. DO NOT EDIT.\n"
# What is part of the package, of the constants and of the statistics; a reader there has one ring.
GO_CONSTANTS = re.compile(
    "RBCORE_(FEATURE_.*|SOURCE_MAP_ID|SOURCE_MEMORY_RING|UNKNOWN|PRODUCERS_MAX|NO_WAKEUP|FORCE_WAKEUP)"
)
GO_FLAGS = re.compile("RBCORE_RING_(?!S)")
GO_NO_STATISTICS = {"size", "rings", "cookie", "flags"}
# Its own words for what the header's comments speak of.
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
    "rbcore_ring_stats": "Stats",
    "rbcore_memory_ring_create": "NewMemoryRing",
    "RBCORE_MEMORY_RING_OVERWRITE": "NewOverwriteRing",
}
# Of its messages alone.
GO_MESSAGE_WORDS = {"loss_fd": "the loss map, descriptor", "event_fd": "the event descriptor"}
# What is another thing in Go than in C, in full.
GO_DOCS = {
    "RBCORE_FEATURE_KERNEL_RING": "rings of BPF programs, BPF_MAP_TYPE_RINGBUF (Linux 5.8)",
    "RBCORE_FEATURE_MEMORY_RING": "rings in memory, see NewMemoryRing",
    "RBCORE_SOURCE_MAP_ID": "SnapshotInfo.Kind of a ring of BPF programs",
    "RBCORE_SOURCE_MEMORY_RING": "SnapshotInfo.Kind of a memory ring",
    "RBCORE_RING_BROKEN": "The ring's content is impossible: reads return syscall.EBADMSG.",
    "records": "records that were handed out",
    "bytes": "bytes of their samples",
    "batches": "fetches that brought records",
    "commits": "how often space was given back to producers",
    "wakeups": "waits that an event ended, and events that a read found",
    "passed_bytes": "bytes of records that were not handed out, with headers: discarded ones, abandoned, "
    "skipped, and those consumed by a snapshot",
    "lost_bytes": "bytes overwritten before they were read, with headers (overwrite mode), or freed by the "
    "ring's reader and used again (tap). StartPos, the records handed out with their headers, "
    "PassedBytes and LostBytes add up to ReadPos.",
    "boot_id": "the boot of the machine that the ring is of; with Kind and RingID it tells the ring from all "
    "others",
    "kind": "SourceMapID or SourceMemoryRing",
    "ring_id": "the map's id, or the inode of the memory ring",
    "end_pos": "of the newest: with their headers the records have EndPos - FirstPos bytes",
}
# The same of errors; None: it cannot happen, as the package does not call so.
GO_CAUSES: dict[tuple[str, str], str | None] = {
    ("rbcore_memory_ring_create", "EINVAL"): "the size is no power of two, smaller than a page or larger "
    "than 1 GiB",
    ("rbcore_memory_ring_create", "EFBIG"): "the ring is larger than RLIMIT_FSIZE allows",
    ("rbcore_memory_ring_create", "EMFILE"): "no file descriptors are left",
    ("rbcore_memory_ring_create", "ENFILE"): "no file descriptors are left",
    ("rbcore_memory_ring_create", "ENOMEM"): "no memory",
    ("rbcore_memory_ring_create", "ENOSYS"): "the kernel has no memfd_create(2)",
    ("rbcore_reader_open", "EINVAL"): "WithPolling needs a latency, and WithMaxLatency(0) is none",
    ("rbcore_reader_open", "E2BIG"): None,
    ("rbcore_reader_stats_get", "EINVAL"): None,
    ("rbcore_reader_ring_stats", "EINVAL"): None,
    ("rbcore_snapshot_read", "EINVAL"): None,
    ("rbcore_snapshot_info_get", "EINVAL"): None,
    ("rbcore_producer_open", "EINVAL"): "the ring has no descriptor",
    ("rbcore_producer_open", "E2BIG"): None,
    ("rbcore_producer_open", "EBADF"): "the ring's descriptor is not open",
    ("rbcore_producer_open", "EBADFD"): "the descriptor is neither that of a BPF map nor that of a memory ring",
    ("rbcore_producer_open", "ENOENT"): "/proc is not mounted",
    ("rbcore_producer_open", "EOPNOTSUPP"): "a 32-bit process cannot write into this kernel's user rings",
    ("rbcore_producer_reserve_wait", "EINVAL"): None,
    ("rbcore_producer_output", "EINVAL"): "a flag is unknown",
    ("rbcore_producer_output_batch", "EINVAL"): "a flag is unknown",
    ("rbcore_producer_output_batch", "EMSGSIZE"): "the first record can never fit",
    ("rbcore_producer_output_batch", "EBADMSG"): "the ring's positions are impossible, or in overwrite mode "
    "its oldest records",
}
# A name, a pointer or an error as C has them, and an errno that is not one of Go's.
GO_FOREIGN = re.compile(r"\bNULL\b|->|\*\w|(?<!\.)\bE[A-Z]{3,}\b|\brbcore_|RBCORE_|\b[a-z]+_[a-z_]+\b(?!\()")


def go_name(name: str) -> str:
    """RBCORE_NO_WAKEUP or map_id, as Go writes it."""
    parts = name.removeprefix("RBCORE_").lower().split("_")
    return "".join(part.upper() if part in ("id", "ns") else part.capitalize() for part in parts)


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


def go_causes(header: Header) -> Iterator[tuple[str, str, str]]:
    """Of the functions whose errors the package words itself: one sentence each, without asides."""
    sources = "\n".join(path.read_text() for path in sorted((BINDINGS / "go").glob("*.go"))
                        if path.name not in GENERATED)
    for function, name, cause in causes_of(header):
        text = re.sub(r" \([^()]*\)", "", cause).split(". ")[0].rstrip(".")
        own = GO_CAUSES.get((function, name), text)
        if f'"{function}"' in sources and own is not None:
            yield function, name, go_text(header, own)


def go_statistics(header: Header) -> Iterator[tuple[str, Field]]:
    """The structs' fields, each name once, with the variable that it is taken from."""
    seen = set(GO_NO_STATISTICS)
    structs = {struct.name: struct for struct in header.structs}
    for name, variable in (("rbcore_reader_stats", "reader"), ("rbcore_ring_stats", "ring")):
        for member in structs[name].fields:
            if member.name not in seen:
                seen.add(member.name)
                yield variable, member


def go_snapshot_info(header: Header) -> list[Field]:
    return next(i for i in header.structs if i.name == "rbcore_snapshot_info").fields[1:]


def write_go(header: Header) -> str:
    lines = [f"{GO_NOTICE}\n// SPDX-License-Identifier: MIT\n\npackage ringbuf\n\nconst ("]
    for constant in header.constants:
        if GO_CONSTANTS.fullmatch(constant.name):
            name = go_name(constant.name)
            doc = go_doc(header, constant.name, constant.doc)
            doc = doc[:1].lower() + doc[1:] if doc[1:2].islower() and not doc.startswith("Snapshot") else doc
            lines += wrap("\t//", f"{name}: {doc}")
            lines += [f"\t{name} = {constant.value}"]
    lines += [")", "", "// Stats says what a reader did and how its ring stands. Records count as handed"]
    lines += ["// out when they were fetched, a batch at a time."]
    lines += ["type Stats struct {"]
    for _, member in go_statistics(header):
        lines += wrap("\t//", go_doc(header, member.name, member.doc))
        lines += [f"\t{go_name(member.name)} uint64"]
    for constant in header.constants:
        if GO_FLAGS.match(constant.name):
            lines += wrap("\t//", go_doc(header, constant.name, constant.doc))
            lines += [f"\t{go_name(constant.name.replace('_RING_', '_'))} bool"]
    lines += ["}", "", "// SnapshotInfo says of what ring a snapshot is, what it holds, and when it was taken."]
    lines += ["type SnapshotInfo struct {"]
    for member in go_snapshot_info(header):
        lines += wrap("\t//", go_doc(header, member.name, member.doc))
        array = re.search(r"\[\d+\]", member.type)
        lines += [f"\t{go_name(member.name)} {array[0] + 'byte' if array else 'uint64'}"]
    return "\n".join(lines + ["}"]) + "\n"


def write_go_cgo(header: Header) -> str:
    lines = ["//go:build linux && cgo\n", f"{GO_NOTICE}\n// SPDX-License-Identifier: MIT\n"]
    lines += ["package ringbuf\n", '// #include "shim.h"', 'import "C"\n']
    lines += ['import (', '\t"strings"', '\t"syscall"', ")\n"]
    lines += ["func statsOf(reader *C.rbcore_reader_stats, ring *C.rbcore_ring_stats) Stats {"]
    lines += ["\tvar stats Stats"]
    for variable, member in go_statistics(header):
        lines.append(f"\tstats.{go_name(member.name)} = uint64({variable}.{member.name})")
    for constant in header.constants:
        if GO_FLAGS.match(constant.name):
            name = go_name(constant.name.replace("_RING_", "_"))
            lines.append(f"\tstats.{name} = ring.flags&C.{constant.name} != 0")
    lines += ["\treturn stats", "}\n", "func infoOf(from *C.rbcore_snapshot_info) SnapshotInfo {"]
    lines += ["\tvar info SnapshotInfo"]
    for member in go_snapshot_info(header):
        name = go_name(member.name)
        lines += (
            [f"\tfor i := range info.{name} {{", f"\t\tinfo.{name}[i] = byte(from.{member.name}[i])", "\t}"]
            if "[" in member.type
            else [f"\tinfo.{name} = uint64(from.{member.name})"]
        )
    lines += ["\treturn info", "}\n", "// What the header says of a function's errors."]
    lines += ["var causes = []struct {", "\tfunction string", "\terrno    syscall.Errno"]
    lines += ["\ttext     string", "}{"]
    for function, name, cause in go_causes(header):
        lines.append(f"\t{{{quote(function)}, syscall.{name}, {quote(cause)}}},")
    lines += ["}\n", "// The package's words for what the library's messages speak of."]
    lines += ["var words = strings.NewReplacer("]
    spoken = GO_MESSAGE_WORDS | {name: word for name, word in GO_WORDS.items() if name.isupper()}
    lines += [f"\t{quote(name)}, {quote(word)}," for name, word in spoken.items()]
    return "\n".join(lines + [")"]) + "\n"


# ---- Completeness ------------------------------------------------------------------------------------


def forgotten(header: Header) -> list[str]:
    problems = []
    for language, (patterns, use) in WRAPPERS.items():
        sources = [
            path
            for pattern in patterns
            for path in sorted(BINDINGS.glob(pattern))
            if path.name not in GENERATED and not path.name.endswith("_test.go")
        ]
        if not sources:
            continue  # not there yet
        text = "\n".join(path.read_text() for path in sources)
        wrapped = set(re.findall(use, COMMENT.sub("", text)))
        left_out = BINDINGS / language / "not-wrapped.txt"
        reasons = {}
        for line in left_out.read_text().splitlines() if left_out.exists() else []:
            if line and not line.startswith("#"):
                name, _, reason = line.partition(" ")
                reasons[name] = reason.strip()
        names = {function.name for function in header.functions}
        problems += [
            f"{language}: {name} is not wrapped"
            for name in sorted(names - wrapped)
            if not reasons.get(name)
        ]
        problems += [
            f"{language}: not-wrapped.txt names {name}, which is wrapped or does not exist"
            for name in sorted(reasons)
            if name in wrapped or name not in names
        ]
    return problems


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with what is committed")
    check = parser.parse_args().check

    header = parse(HEADER.read_text())
    results = {
        "python/c/rbcore.cdef": write_cdef(header),
        "python/src/rbcore/_rbcore.pyi": write_stub(header),
        "python/src/rbcore/_abi.py": write_python(header),
        "go/generated.go": write_go(header),
        "go/generated_cgo.go": write_go_cgo(header),
        "go/bpfheader/include/rbcore/rbcore_bpf.h": BPF_HEADER.read_text(),
    }
    failed = 0
    for name, text in results.items():
        path = BINDINGS / name
        if check:
            if not path.exists() or path.read_text() != text:
                print(f"bindings/{name} is not what bindings/generate.py makes")
                failed = 1
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    if check:
        for problem in forgotten(header):
            print(problem)
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
