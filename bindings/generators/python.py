# SPDX-License-Identifier: MIT
"""This writes the declarations for cffi, and the module _abi."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from bindings.generators.causes import causes_of, refuse
from bindings.generators.header import Function, Header
from bindings.generators.text import NOTICE, quote, wrap

DO_NOT_EDIT = f"# SPDX-License-Identifier: MIT\n# {NOTICE}\n"


# These errors mean another thing in Python.
PYTHON_CAUSES = {
    ("rbcore_reader_open", "EINVAL"): "max_latency must not be negative, nor 0 with poll",
}


def write_cdef(header: Header) -> str:
    lines = [f"/* SPDX-License-Identifier: MIT */\n/* {NOTICE} */"]
    lines += [f"#define {constant.name} ..." for constant in header.constants]
    return "\n".join(lines + header.declarations) + "\n"


def write_stub(header: Header, functions: list[Function]) -> str:
    """The functions are the header's and the binding's own."""
    lines = [DO_NOT_EDIT, "from typing import Any, Final", ""]
    lines += ["class Lib:"]
    lines += [f"    {constant.name}: Final[int]" for constant in header.constants]
    for function in functions:
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
# The package has these words for what the header's comments speak of.
PYTHON_WORDS = {
    UNKNOWN: "None",
    "RBCORE_SOURCE_LATEST": "latest",
    "RBCORE_SOURCE_INSIST": "insist",
    "RBCORE_SNAPSHOT_CONSUME": "Reader.snapshot() with consume",
    "RBCORE_RING_BROKEN": "RingFlags.BROKEN",
    "rbcore_reader_next": "max_latency of Reader",
    "rbcore_ring_stats": "RingStats",
    "-EBADMSG": "reads raise Corrupt",
}
# These comments differ in Python, because the thing does.
PYTHON_DOCS = {
    "boot_id": "The boot of the ring's machine. No other ring has the same boot_id, kind and ring_id.",
    "first_ring": "The index that Reader.add() returned for its source.",
    "kind": "The kind of the ring: 3 is a BPF map, 4 a memory ring.",
}
# This finds names, pointers and errors of C.
PYTHON_FOREIGN = re.compile(r"\bNULL\b|->|\*\w|\bE[A-Z]{3,}\b|\brbcore_|RBCORE_")
STATISTICS = {
    "rbcore_reader_stats": "ReaderStats",
    "rbcore_ring_stats": "RingStats",
    "rbcore_snapshot_info": "SnapshotInfo",
}


def in_python(name: str, doc: str) -> str:
    """Returns a comment of the header as a sentence in the words of the package."""
    words = re.compile(r"-E[A-Z]+\b|\brbcore_\w+|\bRBCORE_\w+")
    text = words.sub(lambda match: PYTHON_WORDS.get(match[0], match[0]), PYTHON_DOCS.get(name, doc))
    if not text or (foreign := PYTHON_FOREIGN.search(text)):
        word = repr(foreign[0]) if text and foreign else "no comment"
        raise SystemExit(f"generate.py: {name}: {word}: give PYTHON_WORDS or PYTHON_DOCS another one")
    return text[0].upper() + text[1:].removesuffix(".") + "."


def docstring(text: str) -> list[str]:
    lines = textwrap.wrap(f'"""{text}"""', 96)
    if len(lines) > 1:
        lines[-1:] = [lines[-1].removesuffix('"""'), '"""']
    return [*(f"    {line}" for line in lines), ""]


def write_flags(header: Header, name: str, prefix: str, doc: str) -> list[str]:
    lines = ["", f"class {name}(IntFlag):", f'    """{doc}"""', ""]
    for constant in header.constants:
        if constant.name.startswith(prefix):
            lines += wrap("    #:", in_python(constant.name, constant.doc))
            lines += [f"    {constant.name.removeprefix(prefix)} = {constant.value}"]
    return [*lines, ""]


def python_causes(header: Header, sources: str) -> Iterator[tuple[str, str, str]]:
    """Yields the texts of those functions whose errors the reader's message does not word."""
    for function, name, text in causes_of(header, PYTHON_CAUSES):
        if re.search(rf'"{function}"(?!, self\._message)', sources):
            refuse(function, name, text)
            yield function, name, text


def write_python(header: Header, sources: str) -> str:
    lines = [DO_NOT_EDIT + "from __future__ import annotations", ""]
    lines += ["import errno", "from enum import IntFlag", "from typing import NamedTuple", ""]
    lines += write_flags(header, "RingFlags", "RBCORE_RING_", "The flags of RingStats.")
    lines += write_flags(header, "RecordFlags", "RBCORE_RECORD_", "The flags of a record.")
    for struct in header.structs:
        if struct.name not in STATISTICS:
            continue
        unknown = " None means not known." if any(UNKNOWN in i.doc for i in struct.fields) else ""
        lines += ["", f"class {STATISTICS[struct.name]}(NamedTuple):"]
        lines += docstring(struct.doc + unknown)
        for member in struct.fields[1:]:
            is_always_known = UNKNOWN not in member.doc
            lines += wrap("    #:", in_python(member.name, member.doc))
            kind = "RingFlags" if member.name == "flags" else "int"
            kind = "bytes" if member.type.startswith("uint8_t") else kind
            lines += [f"    {member.name}: {kind if is_always_known else 'int | None'}"]
        lines.append("")
    lines += ["", "#: The texts of errors, by function and errno."]
    lines += ["CAUSES: dict[tuple[str, int], str] = {"]
    for function, name, cause in python_causes(header, sources):
        lines.append(f"    ({quote(function)}, errno.{name}): {quote(cause)},")
    return "\n".join(lines + ["}"]) + "\n"
