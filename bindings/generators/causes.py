# SPDX-License-Identifier: MIT
"""What the comments of the header say of errors."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bindings.generators.header import Function, Header


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
