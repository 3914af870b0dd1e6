# SPDX-License-Identifier: MIT
"""Measurements and figures in files: CSV, a line for each run, as in bench/results; or JSON.

What is the same in all lines of a CSV file stands once, as JSON behind a #, on its first line.
"""

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_type_hints

from measure import Latency, Measurement
from programs import Figures

# More digits mean nothing. With fewer some ratios of the tables would round to another third digit.
DIGITS = 7

LATENCY = "latency_ns"
TYPES = get_type_hints(Measurement)


def shown(value: Any) -> Any:
    return f"{value:.{DIGITS}g}" if isinstance(value, float) else value


def flat(one: Measurement) -> dict[str, Any]:
    """The object of --json, with the latencies in columns of their own."""
    found = asdict(one)
    latency = found.pop(LATENCY)
    found |= {f"{LATENCY}_{name}": value for name, value in latency.items()}
    return {name: shown(value) for name, value in found.items()}


def flat_figures(one: Figures) -> list[dict[str, Any]]:
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
    if text == "":
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
    fields = {name: parse(name, text) for name, text in line.items()}
    return Measurement(**fields, latency_ns=Latency(**latency))


def read_lines(file: Path) -> list[dict[str, str]]:
    if not file.exists():
        return []
    with file.open(newline="") as lines:
        same: dict[str, str] = json.loads(next(lines).removeprefix("# "))
        return [same | line for line in csv.DictReader(lines)]


def write_lines(file: Path, lines: Sequence[dict[str, Any]]) -> None:
    texts = [
        {name: "" if value is None else str(value) for name, value in line.items()}
        for line in lines
    ]
    first = texts[0] if texts else {}
    same = {
        name: value
        for name, value in first.items()
        if len(texts) > 1 and all(line[name] == value for line in texts)
    }
    others = [name for name in first if name not in same]
    with file.open("w", newline="") as out:
        out.write(f"# {json.dumps(same)}\n")
        writer = csv.DictWriter(out, others, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(texts)


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
    """Of a program that measures by itself."""
    return any("way" in line for line in read_lines(file))


def write_csv(
    file: Path, objects: Iterable[Measurement | Figures], append: bool = False
) -> None:
    lines: list[dict[str, Any]] = list(read_lines(file)) if append else []
    for one in objects:
        lines += flat_figures(one) if isinstance(one, Figures) else [flat(one)]
    write_lines(file, lines)


def write_json(
    file: Path, objects: Iterable[Measurement | Figures], append: bool = False
) -> None:
    known = json.loads(file.read_text()) if append and file.exists() else []
    lines = ",\n".join(json.dumps(i) for i in [*known, *map(asdict, objects)])
    file.write_text(f"[\n{lines}\n]\n")
