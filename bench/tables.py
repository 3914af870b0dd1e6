# SPDX-License-Identifier: MIT
"""Tables in Markdown."""

import itertools
import os
import platform
import statistics
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from measure import Measurement
from programs import Figures
from readers import READERS, Point

BASELINE = "libbpf-poll"
Runs = Sequence[Measurement]


def human(number: float) -> str:
    """Writes three significant digits."""
    unit = ""
    if number >= 999_500:
        number, unit = number / 1e6, " M"
    elif number >= 10_000:
        number, unit = number / 1e3, " k"
    return f"{number:.0f}{unit}" if number >= 100 else f"{number:.3g}{unit}"


def human_size(size: int) -> str:
    for unit in ("", " KiB"):
        if size < 1024 or size % 1024:
            return f"{size}{unit or ' B'}"
        size //= 1024
    return f"{size} MiB"


def record_name(size: int) -> str:
    return human_size(size) if size else "mixed"


def spread(values: Sequence[float], show: Callable[[float], str] = human) -> str:
    """The median and, where there are several values, their quartiles."""
    if not any(values):
        return "-"
    middle = show(statistics.median(values))
    if len(values) < 2:
        return middle
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle} ({show(low)} to {show(high)})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], names: int = 3) -> str:
    """Writes a table in Markdown. Columns after the names are figures."""
    rule = ["---" if i < names else "---:" for i in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def select(
    measurements: Iterable[Measurement], point: Point, reader: str
) -> list[Measurement]:
    return [m for m in measurements if m.point == point and m.reader == reader]


def points_of(measurements: Iterable[Measurement]) -> list[Point]:
    return list(dict.fromkeys(m.point for m in measurements))


def readers_of(measurements: Iterable[Measurement]) -> list[str]:
    """Returns them in the order of their names' table: the runs take turns, so theirs is none."""
    found = {m.reader for m in measurements}
    return [i.name for i in READERS if i.name in found]


def rate_name(rate: int | str) -> str:
    return rate if isinstance(rate, str) else f"{human(rate)}/s"


def point_name(point: Point, points: Sequence[Point]) -> list[str]:
    """Leaves out what is the same for all points."""
    name = rate_name(point.rate)
    if len({p.ring_size for p in points}) > 1:
        name += f", ring {human_size(point.ring_size)}"
    if len({p.flags for p in points}) > 1:
        name += f", {point.flags}"
    if len({p.producers for p in points}) > 1:
        name += f", {point.producers} producer{'s' * (point.producers > 1)}"
    return [name, record_name(point.record_size)]


def microseconds(nanoseconds: float) -> str:
    return human(nanoseconds / 1000) if nanoseconds else "-"


def percent(share: float) -> str:
    return f"{100 * share:.3g}"


def median(values: Iterable[float], show: Callable[[float], str] = human) -> str:
    return show(statistics.median(values))


# Returns what can be shown of the runs of a reader at a point.
COLUMNS: dict[str, Callable[[Runs], str]] = {
    "delivered/s": lambda runs: spread([m.delivered_per_s for m in runs]),
    "produced/s": lambda runs: median(m.produced_per_s for m in runs),
    "lost %": lambda runs: median((m.lost_share for m in runs), percent),
    "consumer CPU ns": lambda runs: spread(
        [m.consumer_cpu_ns_per_record for m in runs]
    ),
    "producer CPU ns": lambda runs: spread(
        [m.producer_cpu_ns_per_record for m in runs]
    ),
    "wakeups/s": lambda runs: median(m.wakeups_per_s for m in runs),
    "p50 us": lambda runs: median((m.latency_ns.p50 for m in runs), microseconds),
    "p99 us": lambda runs: spread([m.latency_ns.p99 for m in runs], microseconds),
    "p99.9 us": lambda runs: median((m.latency_ns.p999 for m in runs), microseconds),
    "MB": lambda runs: f"{statistics.median(m.peak_rss_bytes for m in runs) / 1e6:.0f}",
    "buffers": lambda runs: f"{runs[0].buffer_bytes / 2**20:.3g} MiB",
    "out of order": lambda runs: median(m.out_of_order or 0 for m in runs),
    "older by us": lambda runs: median(
        (m.disorder_ns or 0 for m in runs), microseconds
    ),
}
ALL_COLUMNS = tuple(COLUMNS)[:10]


def result_table(measurements: Runs, columns: Sequence[str] = ALL_COLUMNS) -> str:
    points = points_of(measurements)
    rows = []
    for point, reader in itertools.product(points, readers_of(measurements)):
        runs = select(measurements, point, reader)
        if runs:
            figures = [COLUMNS[i](runs) for i in columns]
            rows.append([*point_name(point, points), reader, *figures])
    return table(["rate", "record", "reader", *columns], rows)


def ratios(
    ours: Runs, base: Runs, figure: Callable[[Measurement], float]
) -> list[float]:
    """Run by run, where both have the figure."""
    pairs = zip(ours, base, strict=True)
    return [figure(a) / figure(b) for a, b in pairs if figure(a) and figure(b)]


MULTIPLES: dict[str, Callable[[Measurement], float]] = {
    "delivered": lambda m: m.delivered_per_s,
    "consumer CPU": lambda m: m.consumer_cpu_ns_per_record,
    "producer CPU": lambda m: m.producer_cpu_ns_per_record,
    "p50": lambda m: m.latency_ns.p50,
    "p99": lambda m: m.latency_ns.p99,
}


def comparison_table(
    measurements: Runs, figures: Sequence[str] = tuple(MULTIPLES)
) -> str:
    """Returns each run's figures as multiples of the baseline's in the same run."""
    points = points_of(measurements)
    rows = []
    for point, reader in itertools.product(points, readers_of(measurements)):
        runs = select(measurements, point, reader)
        base = select(measurements, point, BASELINE)
        if reader == BASELINE or not runs or not base:
            continue
        multiples = [
            spread(ratios(runs, base, MULTIPLES[i]), "{:.2f}".format) for i in figures
        ]
        rows.append([*point_name(point, points), reader, *multiples])
    return table(["rate", "record", "reader", *figures], rows)


def reader_cell(runs: Runs) -> str:
    """Writes CPU per record, at max also what came and what was lost."""
    if not runs:
        return "-"
    cell = median(m.consumer_cpu_ns_per_record for m in runs)
    if runs[0].rate == "max":
        cell += f"; {median(m.delivered_per_s for m in runs)}/s"
        cell += f"; {median((m.lost_share for m in runs), percent)} %"
    return cell


def reader_table(measurements: Runs) -> str:
    """Writes a row for each reader, and a column for each point."""
    points = points_of(measurements)
    head = [f"{rate_name(p.rate)}, {record_name(p.record_size)}" for p in points]
    rows = [
        [reader, *(reader_cell(select(measurements, p, reader)) for p in points)]
        for reader in readers_of(measurements)
    ]
    return table(["reader", *head], rows, 1)


def burst_verdict(ours: Sequence[float], base: Sequence[float]) -> str:
    """The median is to be no worse than the baseline's upper quartile."""
    upper = statistics.quantiles(base, n=4, method="inclusive")[2]
    return "met" if statistics.median(ours) <= upper else "NOT MET"


def burst_row(
    point: Point, reader: str, ours: Sequence[float], verdict: str
) -> list[str]:
    return [
        human_size(point.ring_size),
        str(point.rate).removeprefix("burst:"),
        reader,
        spread(ours, percent) if any(ours) else "0",
        f"{percent(min(ours))} to {percent(max(ours))}",
        verdict,
    ]


def burst_table(measurements: Runs) -> str:
    """Leaves out the points where no reader's median is above 0."""
    rows = []
    readers = readers_of(measurements)
    for point in points_of(measurements):
        lost = {
            i: [m.lost_share for m in select(measurements, point, i)] for i in readers
        }
        base = lost.get(BASELINE)
        if not any(statistics.median(i) for i in lost.values()):
            continue
        for reader, ours in lost.items():
            judged = base and reader != BASELINE
            verdict = burst_verdict(ours, base) if judged and base else ""
            rows.append(burst_row(point, reader, ours, verdict))
    return table(["ring", "burst", "reader", "lost %", "range", "verdict"], rows)


def figure_table(found: Sequence[Figures]) -> str:
    """Writes the figures of a program that measures by itself, as multiples of its first way."""
    rows = []
    for one in found:
        first = statistics.median(next(iter(one.rounds.values())))
        for way, values in one.rounds.items():
            multiple = f"{statistics.median(values) / first:.2f}" if first else "-"
            rows.append([one.case, way, one.unit, spread(values), multiple])
    return table(["case", "way", "unit", "median", "of the first"], rows)


def how(measurements: Runs) -> str:
    """Says by how many runs they were measured, and what was measured."""
    runs = statistics.mode(Counter((m.reader, m.point) for m in measurements).values())
    seconds = " or ".join(f"{i:g}" for i in sorted({m.seconds for m in measurements}))
    realtime = " in real time" if all(m.realtime for m in measurements) else ""
    return f"Medians (quartiles) of {runs} runs of {seconds} s{realtime}; {where(measurements)}"


def where(found: Sequence[Measurement | Figures]) -> str:
    """Says what was measured, and on which machines."""
    commits = " and ".join(sorted({one.commit for one in found}))
    machines = " and ".join(sorted({one.machine for one in found}))
    return f"rbcore of {commits} on {machines}"


def processors() -> str:
    """Tells their number, name, family and model: a virtual machine's name alone says little."""
    found: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        found[name.strip()] = value.strip()
    if "model name" not in found:
        return f"{os.cpu_count()} x {platform.machine()}"
    numbers = f"{found['cpu family']}/{found['model']}"
    return f"{os.cpu_count()} x {found['model name']} {numbers}"


def machine() -> str:
    version = subprocess.run(
        ["pkg-config", "--modversion", "libbpf"],
        check=False,
        capture_output=True,
        text=True,
    )
    libbpf = version.stdout.strip() or "unknown"
    return f"{processors()}; Linux {platform.release()}; libbpf {libbpf}"
