# SPDX-License-Identifier: MIT
"""The writers of all languages use these."""

NOTICE = "Generated from include/rbcore/rbcore.h by bindings/generate.py. Do not edit."


def wrap(prefix: str, text: str, width: int = 96) -> list[str]:
    lines = [prefix]
    for word in text.split():
        if len(lines[-1]) + 1 + len(word) > width and lines[-1] != prefix:
            lines.append(prefix)
        lines[-1] += " " + word
    return lines


def quote(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
