#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes from include/rbcore what bindings can have by rule.

generate.py            writes the files below
generate.py --check    compares with what is committed, and looks whether each binding has each
                       function of the header; ends with 1 if not

bindings/python/c/rbcore.cdef           the declarations for cffi
bindings/python/src/rbcore/_rbcore.pyi  their types
bindings/python/src/rbcore/_abi.py      statistics, and the texts of errors
bindings/go/generated.go                constants and statistics, on each platform
bindings/go/generated_cgo.go            statistics out of C's, and the texts of errors
bindings/rust/rbcore/src/causes.rs      the texts of errors
bindings/go/bpfheader/include/rbcore/rbcore_bpf.h  a copy of the header for BPF programs

The other declarations Go and Rust take from the header by cgo and bindgen.

A binding wraps a function if its sources name it. What it leaves out on purpose stands, with the
reason, in its not-wrapped.txt.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the modules have the names that mypy gives them

from bindings.generators.go import write_go, write_go_cgo
from bindings.generators.header import Header, parse
from bindings.generators.one_header import one_text
from bindings.generators.python import write_cdef, write_python, write_stub
from bindings.generators.rust import write_rust

BPF_HEADER = ROOT / "include" / "rbcore" / "rbcore_bpf.h"
BINDINGS = ROOT / "bindings"

# This tells where a binding's own sources are, and how they use a function. Comments do not count.
WRAPPERS = {
    "go": (("go/*.go", "go/shim.h"), r"\b(rbcore_\w+)\("),
    "python": (("python/src/rbcore/*.py", "python/c/batch.c"), r"(?:\blib\.|[=?:] )(rbcore_\w+)"),
    "rust": (("rust/rbcore/src/**/*.rs",), r"\b(rbcore_\w+)\b"),
}
COMMENT = re.compile(r"//.*|/\*.*?\*/|^\s*#.*", re.MULTILINE)
GENERATED = {"_abi.py", "generated.go", "generated_cgo.go", "causes.rs"}


def sources_of(language: str) -> str:
    """Returns the sources of a binding that are neither generated nor tests."""
    patterns, _ = WRAPPERS[language]
    paths = [path for pattern in patterns for path in sorted(BINDINGS.glob(pattern))]
    own = [p for p in paths if p.name not in GENERATED and not p.name.endswith("_test.go")]
    return "\n".join(path.read_text() for path in own)


def forgotten(header: Header) -> list[str]:
    problems = []
    for language, (_, use) in WRAPPERS.items():
        wrapped = set(re.findall(use, COMMENT.sub("", sources_of(language))))
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

    header = parse(one_text())
    with_own = parse(one_text() + (BINDINGS / "python/c/batch.h").read_text())
    results = {
        "python/c/rbcore.cdef": write_cdef(header),
        "python/src/rbcore/_rbcore.pyi": write_stub(header, with_own.functions),
        "python/src/rbcore/_abi.py": write_python(header, sources_of("python")),
        "go/generated.go": write_go(header),
        "go/generated_cgo.go": write_go_cgo(header, sources_of("go")),
        "rust/rbcore/src/causes.rs": write_rust(header, sources_of("rust")),
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
