#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Puts all of capi/ into one C source, for bindings that build without an installed librbcore.

amalgamate.py            writes rbcore_amalgamation.c and rbcore.h, with its parts in it, into
                         bindings/go, and links to them into the other bindings
                         and the header and the symbol map, as programs of this version know them,
                         into tests/abi/older-VERSION.h and .map
amalgamate.py --check    compares with what is committed; ends with 1 if something differs

The files themselves are in bindings/go because the go command takes nothing from outside of a
module and follows no links. Cargo and setuptools put files into their packages where there are
links.

The one source differs from the library in two points. All its functions have hidden visibility:
they belong to the module they are linked into, and cannot be mistaken for those of a librbcore.so
in the same process. And names that more than one file of capi/ has for itself get the file's name
behind them. Comments are left out: capi/ has them. Tabs indent it, because they are smaller.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # the modules have the names that mypy gives them

from bindings.generators.one_header import one_text

CAPI = ROOT / "capi"
HEADER = ROOT / "include" / "rbcore" / "rbcore.h"

BINDINGS = ROOT / "bindings"
FILES = BINDINGS / "go"
LINKS = (BINDINGS / "python" / "c", BINDINGS / "rust" / "rbcore-sys" / "c")

# cgo compiles each C file of a package. The constraint leaves this one out where there is no cgo, or
# where librbcore comes from pkg-config. For every other compiler the line is a comment.
CONSTRAINT = "//go:build linux && cgo && !rbcore_pkgconfig\n\n"

INTRODUCTION = """\
/* SPDX-License-Identifier: MIT */
/* Generated from capi/ by bindings/amalgamate.py. Do not edit. */
/* clang-format off */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64
#endif
"""

INCLUDE = re.compile(r"^#include ([<\"])(.+)[>\"]$")
# This is what a file defines for itself, at the start of a line, as clang-format leaves it.
MACRO = re.compile(r"^#define (\w+)")
OWN_NAMES = (
    re.compile(r"^static (?:[^=;(]*?[ *])?(\w+)(?:\(|\[| =|;)"),
    re.compile(r"^static [^(]*\(\*?\w[^()]*\) (\w+)(?:;| =)"),
    re.compile(r"^} (\w+)(?:\[\])?(?:;| =)"),
    re.compile(r"^(?:typedef )?(?:struct|enum) (\w+) \{"),
)
# Comments on lines of their own, and behind code.
COMMENTS = (
    re.compile(r"^[ \t]*/\*(?:(?!\*/).)*\*/\n", re.MULTILINE | re.DOTALL),
    re.compile(r"[ \t]+/\*(?:(?!\*/).)*\*/$", re.MULTILINE | re.DOTALL),
)
KEPT = ROOT / "tests" / "abi"
KEPT_NOTICE = """\
/* SPDX-License-Identifier: MIT */
/* Generated from include/rbcore by bindings/amalgamate.py, until the next version. Do not edit. */
/* clang-format off */
"""
COPY = "/* Generated from include/rbcore by bindings/amalgamate.py. Do not edit. */\n"
# The first lines of the one file say it for all.
LICENSE = "/* SPDX-License-Identifier: MIT */\n"


def sources() -> list[Path]:
    """The library's sources, in the order of the build."""
    listed = re.search(r"set\(sources\s+([^)]*)\)", (CAPI / "CMakeLists.txt").read_text())
    if not listed:
        sys.exit("amalgamate: capi/CMakeLists.txt lists no sources")
    names = listed[1].split()
    if sorted(names) != sorted(path.name for path in CAPI.glob("*.c")):
        sys.exit("amalgamate: capi/CMakeLists.txt does not list exactly the sources of capi/")
    return [CAPI / name for name in names]


def own_names(text: str) -> set[str]:
    found = set()
    for line in text.splitlines():
        for pattern in OWN_NAMES:
            if match := pattern.match(line):
                found.add(match[1])
    return found - {"__attribute__"}


def own_macros(text: str) -> list[str]:
    return sorted({match[1] for line in text.splitlines() if (match := MACRO.match(line))})


def tidied(text: str) -> str:
    """Returns the text without comments, and with one blank line at most between others."""
    for comment in COMMENTS:
        text = comment.sub("", text)
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n") + "\n"


def narrowed(text: str) -> str:
    """Returns the text with a tab for four blanks at the start of a line, and one before a \\."""
    text = re.sub(r"^ +", lambda blanks: "\t" * (len(blanks[0]) // 4), text, flags=re.MULTILINE)
    return re.sub(r" +\\$", r" \\", text, flags=re.MULTILINE)


class Amalgamation:
    def __init__(self) -> None:
        self.system: set[str] = set()
        self.headers: dict[Path, str] = {}

    def without_includes(self, path: Path) -> str:
        """Returns the text of a file. What it includes is noted, headers of capi/ in the order of
        need.
        """
        lines = []
        depth = -1 if path.suffix == ".h" else 0  # the guard of a header is not a condition
        for line in path.read_text().replace(LICENSE, "", 1).splitlines():
            if line.startswith("#if"):
                depth += 1
            elif line.startswith("#endif"):
                depth -= 1
            include = INCLUDE.match(line)
            if include and include[1] == '"':
                self.add_header(CAPI / include[2])
            elif include and include[2] == "rbcore/rbcore.h":
                pass  # stands before all others
            elif include and depth == 0:
                self.system.add(include[2])
            else:
                lines.append(line)
        return tidied("\n".join(lines))

    def add_header(self, path: Path) -> None:
        if path not in self.headers:
            text = self.without_includes(path)  # first what this one needs
            self.headers[path] = text

    def write(self) -> str:
        files = {path: self.without_includes(path) for path in sources()}
        owners: dict[str, list[Path]] = {}
        for path, text in files.items():
            for name in own_names(text):
                owners.setdefault(name, []).append(path)

        public = tidied(one_text())
        hidden = public.replace('visibility("default")', 'visibility("hidden")')
        if hidden == public:
            sys.exit("amalgamate: the visibility of RBCORE_API was not found")
        parts = [INTRODUCTION, section(HEADER) + hidden]
        parts.append("".join(f"#include <{name}>\n" for name in sorted(self.system)))
        parts.append("#pragma GCC visibility push(hidden)\n")
        parts += [section(path) + text for path, text in self.headers.items()]
        for path, text in files.items():
            renamed = sorted(name for name in own_names(text) if len(owners[name]) > 1)
            before = [f"#define {name} {name}_in_{path.stem}\n" for name in renamed]
            after = [f"#undef {name}\n" for name in sorted(renamed + own_macros(text))]
            parts.append(section(path) + "".join(before) + text + "".join(after))
        parts.append("#pragma GCC visibility pop\n")
        return narrowed("\n".join(parts))


def section(path: Path) -> str:
    return f"/* ==== {path.relative_to(ROOT)} ==== */\n"


def is_file_of(path: Path, text: str) -> bool:
    return path.is_file() and not path.is_symlink() and path.read_text() == text


def is_link_to(path: Path, target: str) -> bool:
    return path.is_symlink() and os.readlink(path) == target


def clear(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)


def keep_version(check: bool) -> int:
    """Keeps what a program of this version is built with. What older ones had stays as it is."""
    version = re.search(r"RBCORE_VERSION UINT32_C\(0x(..)(..)..\)", one_text())
    if not version:
        sys.exit("amalgamate: the header has no version")
    name = f"older-{int(version[1], 16)}.{int(version[2], 16)}"
    texts = {
        KEPT / f"{name}.h": KEPT_NOTICE + tidied(one_text()),
        KEPT / f"{name}.map": re.sub(r"^#.*\n", "", (CAPI / "rbcore.map").read_text(), flags=re.MULTILINE),
    }
    stale = 0
    for file, text in texts.items():
        if check and not is_file_of(file, text):
            print(f"{file.relative_to(ROOT)} is not what bindings/amalgamate.py makes of this version")
            stale = 1
        elif not check:
            file.write_text(text)
    return stale


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with what is committed")
    check = parser.parse_args().check

    stale = keep_version(check)
    texts = {
        "rbcore_amalgamation.c": CONSTRAINT + Amalgamation().write(),
        "rbcore.h": one_text().replace(LICENSE, LICENSE + COPY, 1),
    }
    for name, text in texts.items():
        file = FILES / name
        if check and not is_file_of(file, text):
            print(f"{file.relative_to(ROOT)} is not what bindings/amalgamate.py makes of capi/")
            stale = 1
        elif not check:
            clear(file)
            file.write_text(text)
        for link in (folder / name for folder in LINKS):
            target = os.path.relpath(file, link.parent)
            if check and not is_link_to(link, target):
                print(f"{link.relative_to(ROOT)} is not a link to {target}")
                stale = 1
            elif not check:
                clear(link)
                link.symlink_to(target)
    return stale


if __name__ == "__main__":
    sys.exit(main())
