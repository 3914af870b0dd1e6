# SPDX-License-Identifier: MIT
"""The mutations: what they change, found by function and words."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


class Malformed(Exception):
    """A mutation that cannot be made: the source is not what it was, or its description wrong."""


@dataclass(frozen=True)
class Edit:
    place: str  # a function, macro or table
    before: str
    after: str


@dataclass(frozen=True)
class Change:
    """What is changed in one file."""

    file: str
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Mutation:
    name: str
    file: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]
    stretch: Change | None  # makes the moment longer in which it matters
    machine: str  # the only kind on which it matters, or ""
    meets: bool  # two threads have to run into each other: it may take some attempts
    alone: bool  # nothing else is to run meanwhile
    equivalent: str  # why no test can notice, or ""


# ---- Reading -------------------------------------------------------------------------


def edits_of(table: dict[str, Any], where: str) -> tuple[Edit, ...]:
    edits = []
    for one in [table, *table.get("also", [])]:
        try:
            edits.append(Edit(one["in"], one["before"], one["after"]))
        except KeyError as error:
            raise Malformed(f"{where}: no {error}") from error
    return tuple(edits)


KNOWN = {
    "name", "in", "before", "after", "also", "tests", "stretch", "machine", "meets", "alone",
    "equivalent",
}  # fmt: skip


def load(path: Path) -> list[Mutation]:
    content = tomllib.loads(path.read_text())
    stretches = {
        s["name"]: Change(s.get("file", content["file"]), edits_of(s, f"{path.name}: {s['name']}"))
        for s in content.get("stretch", [])
    }
    mutations = []
    for table in content.get("mutation", []):
        where = f"{path.name}: {table.get('name', 'a mutation without a name')}"
        unknown = set(table) - KNOWN
        if unknown or not table.get("name") or not table.get("tests"):
            raise Malformed(f"{where}: no name, no tests, or unknown: {unknown}")
        stretch = table.get("stretch")
        if stretch is not None and stretch not in stretches:
            raise Malformed(f"{where}: no stretch {stretch}")
        meets = table.get("meets", False)
        mutations.append(
            Mutation(
                name=table["name"],
                file=content["file"],
                edits=edits_of(table, where),
                tests=tuple(table["tests"]),
                stretch=None if stretch is None else stretches[stretch],
                machine=table.get("machine", ""),
                meets=meets,
                alone=table.get("alone", meets),
                equivalent=" ".join(table.get("equivalent", "").split()),
            )
        )
    return mutations


def load_all() -> list[Mutation]:
    mutations = [m for path in sorted(HERE.glob("*.toml")) for m in load(path)]
    names = [m.name for m in mutations]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise Malformed(f"two mutations are named {', '.join(sorted(twice))}")
    return mutations


# ---- Changing the source -------------------------------------------------------------


def end_of_parentheses(text: str, start: int) -> int:
    depth = 0
    for i in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[i], 0)
        if depth == 0:
            return i + 1
    return len(text)


def find_places(text: str, name: str) -> list[tuple[int, int]]:
    """Where functions, macros and tables of this name are defined (several under #if)."""
    places = []
    word = re.escape(name)
    for match in re.finditer(rf"^#define {word}\b(?:.*\\\n)*.*", text, re.MULTILINE):
        places.append(match.span())
    for match in re.finditer(rf"^(?![#\s/*])[^;={{}}]*?\b{word}(?=\()", text, re.MULTILINE):
        after = end_of_parentheses(text, match.end())
        if text[after:].lstrip().startswith("{"):
            places.append((match.start(), text.index("\n}", after) + 2))
    # Tables, types and static data: from the line that has the name to the closing brace.
    table = rf"^(?:\}} )?(?:[\w*(), ]+ )?\*?{word}(?:\[\w*\])*( = )?{{?.*$"
    for match in re.finditer(table, text, re.MULTILINE):
        opened = match.group(0).endswith("{")
        if opened or match.group(1):
            end = text.index("\n}", match.start()) + 2 if opened else match.end()
            places.append((match.start(), end))
    return places


def pattern_of(words: str) -> str:
    """However the lines are broken and indented."""
    return r"\s+".join(re.escape(word) for word in words.split())


def apply_one(text: str, edit: Edit, where: str) -> str:
    places = find_places(text, edit.place)
    if not places:
        raise Malformed(f"{where} defines no {edit.place}")
    pattern = pattern_of(edit.before)
    found = {
        match.span()
        for start, end in places
        for match in re.compile(pattern).finditer(text, start, end)
    }
    if len(found) != 1:
        raise Malformed(f"{where}: {edit.place} has {len(found)} times: {edit.before.strip()}")
    start, end = found.pop()
    return text[:start] + edit.after.strip() + text[end:]


def apply(path: Path, edits: tuple[Edit, ...]) -> str:
    text = path.read_text()
    for edit in edits:
        text = apply_one(text, edit, path.name)
    return text
