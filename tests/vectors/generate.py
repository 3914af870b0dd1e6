#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes images/*.vector and snapshots/*.vector: rings and snapshots, and what a reader must make
of them (README.md).

generate.py            writes them
generate.py --check    compares with what is committed; ends with 1 if something differs
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import hostile
import mixed
import overwriting
import records
import resume
import snapshots
import turns
import wrap

HERE = Path(__file__).resolve().parent


def images() -> dict[str, str]:
    """The text of each vector of a ring, by its name."""
    texts: dict[str, str] = {}
    for part in (records, wrap, resume, hostile, mixed, overwriting, turns):
        for name, made in part.vectors():
            if name in texts:
                raise ValueError(f"two vectors are named {name}")
            texts[name] = made.text()
    return texts


FOLDERS = {"images": images(), "snapshots": dict(snapshots.vectors())}


def write() -> int:
    for folder, expected in FOLDERS.items():
        (HERE / folder).mkdir(exist_ok=True)
        for old in (HERE / folder).glob("*.vector"):
            old.unlink()
        for name, text in expected.items():
            (HERE / folder / f"{name}.vector").write_text(text)
    return 0


def check() -> int:
    differences = 0
    for folder, expected in FOLDERS.items():
        committed = {path.stem: path.read_text() for path in (HERE / folder).glob("*.vector")}
        for name in sorted(committed | expected):
            if committed.get(name) != expected.get(name):
                print(f"{folder}/{name} is not what generate.py writes", file=sys.stderr)
                differences += 1
    return 1 if differences else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Writes the vectors.")
    parser.add_argument("--check", action="store_true", help="compare with what is committed")
    return check() if parser.parse_args().check else write()


if __name__ == "__main__":
    sys.exit(main())
