# SPDX-License-Identifier: MIT
"""Measurements and figures in files: CSV, a line for each run, as in bench/results; or JSON.

What is the same in all lines of a CSV file stands once, as JSON behind a #, on its first line. The
runs of a reader at a point follow each other, and an empty cell has what the one above it has.
"""

import csv
import itertools
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, get_type_hints

from measure import Latency, Measurement
from programs import Figures
from readers import Point

# More digits mean nothing. With fewer some ratios of the tables would round to another third digit.
DIGITS = 7

NOTHING = "none"
LATENCY = "latency_ns"
# The kernel tells the memory of a process in KiB.
MEMORY, MEMORY_IN_FILE = "peak_rss_bytes", "peak_rss_kib"
READER_AND_POINT = ("reader", *(field.name for field in fields(Point)))
TYPES = get_type_hints(Measurement)


def shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{float(f'{value:.{DIGITS}g}'):.15g}"  # the second time for no e+07
    return NOTHING if value is None else str(value)


def flat(one: Measurement) -> dict[str, str]:
    """The object of --json, with the latencies in columns of their own, and memory in KiB."""
    found = asdict(one)
    latency = found.pop(LATENCY)
    found |= {f"{LATENCY}_{name}": value for name, value in latency.items()}
    found[MEMORY_IN_FILE] = found.pop(MEMORY) // 1024
    return {name: shown(value) for name, value in found.items()}


def flat_figures(one: Figures) -> list[dict[str, str]]:
    """A line for each way, with the figure of each round."""
    names = asdict(one)
    rounds = names.pop("rounds")
    return [
        {**names, "way": way, "rounds": " ".join(map(str, values))}
        for way, values in rounds.items()
    ]


def parse(name: str, text: str) -> Any:
    if name == "rate":
        return int(text) if text.isdigit() else text
    if text == NOTHING:
        return None
    wanted = TYPES[name]
    if wanted is bool:
        return text == "True"
    if wanted is float or wanted is str:
        return wanted(text)
    return int(text)


def measurement(line: dict[str, str]) -> Measurement:
    prefix = f"{LATENCY}_"
    latency = {
        name.removeprefix(prefix): int(line.pop(name))
        for name in list(line)
        if name.startswith(prefix)
    }
    line[MEMORY] = str(1024 * int(line.pop(MEMORY_IN_FILE)))
    others = {name: parse(name, text) for name, text in line.items()}
    return Measurement(**others, latency_ns=Latency(**latency))


def read_lines(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        same: dict[str, str] = json.loads(next(lines).removeprefix("# "))
        found = []
        for line in csv.DictReader(lines):
            same |= {name: text for name, text in line.items() if text}
            found.append(dict(same))
        return found


def by_reader(lines: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """The runs of a reader at a point behind each other."""
    groups: dict[tuple[str | None, ...], list[dict[str, str]]] = {}
    for line in lines:
        groups.setdefault(tuple(map(line.get, READER_AND_POINT)), []).append(line)
    return list(itertools.chain(*groups.values()))


def write_lines(file: Path, lines: Sequence[dict[str, str]]) -> None:
    first = lines[0] if lines else {}
    same = {
        name: value
        for name, value in first.items()
        if len(lines) > 1 and all(line[name] == value for line in lines)
    }
    others = [name for name in first if name not in same]
    with file.open("w", newline="") as out:
        out.write(f"# {json.dumps(same)}\n")
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(others)
        above: dict[str, str] = {}
        for line in lines:
            writer.writerow("" if line[i] == above.get(i) else line[i] for i in others)
            above = line


def read_measurements(file: Path) -> list[Measurement]:
    return [measurement(line) for line in read_lines(file)]


def read_figures(file: Path) -> list[Figures]:
    found: dict[tuple[str, str], Figures] = {}
    for line in read_lines(file):
        way, rounds = line.pop("way"), [float(i) for i in line.pop("rounds").split()]
        one = found.setdefault(
            (line["program"], line["case"]), Figures(**line, rounds={})
        )
        one.rounds[way] = rounds
    return list(found.values())


def has_figures(file: Path) -> bool:
    """Tells whether the file is of a program that measures by itself."""
    return any("way" in line for line in read_lines(file))


def write_csv(
    file: Path, objects: Iterable[Measurement | Figures], append: bool = False
) -> None:
    lines = read_lines(file) if append else []
    for one in objects:
        lines += flat_figures(one) if isinstance(one, Figures) else [flat(one)]
    write_lines(file, by_reader(lines))


def write_json(
    file: Path, objects: Iterable[Measurement | Figures], append: bool = False
) -> None:
    known = json.loads(file.read_text()) if append and file.exists() else []
    lines = ",\n".join(json.dumps(i) for i in [*known, *map(asdict, objects)])
    file.write_text(f"[\n{lines}\n]\n")
