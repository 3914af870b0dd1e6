# SPDX-License-Identifier: MIT
"""Tables in Markdown."""

import itertools
import platform
import statistics
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from measure import Measurement, Scan
from readers import Point, Reader

BASELINE = "libbpf-poll"


def human(number: float) -> str:
    """Three significant digits."""
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


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown; columns after the first three are figures."""
    rule = ["---" if i < 3 else "---:" for i in range(len(head))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, rule, *rows))


def select(
    measurements: Sequence[Measurement], point: Point, reader: str
) -> list[Measurement]:
    return [m for m in measurements if m.point == point and m.reader == reader]


def rate_name(rate: int | str) -> str:
    return rate if isinstance(rate, str) else f"{human(rate)}/s"


def point_name(point: Point, points: Sequence[Point]) -> list[str]:
    """Without what is the same for all points."""
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


def result_table(
    measurements: Sequence[Measurement],
    points: Sequence[Point],
    readers: Sequence[Reader],
) -> str:
    rows = []
    for point, reader in itertools.product(points, readers):
        runs = select(measurements, point, reader.name)
        if not runs:
            continue
        latencies = [m.latency_ns for m in runs]
        rows.append(
            [
                *point_name(point, points),
                reader.name,
                spread([m.delivered_per_s for m in runs]),
                human(statistics.median(m.produced_per_s for m in runs)),
                human(statistics.median(m.lost for m in runs)),
                spread([m.consumer_cpu_ns_per_record for m in runs]),
                spread([m.producer_cpu_ns_per_record for m in runs]),
                human(statistics.median(m.wakeups_per_s for m in runs)),
                microseconds(statistics.median(i.p50 for i in latencies)),
                spread([i.p99 for i in latencies], microseconds),
                microseconds(statistics.median(i.p999 for i in latencies)),
                f"{statistics.median(m.peak_rss_bytes for m in runs) / 1e6:.0f}",
            ]
        )
    head = [
        "rate",
        "record",
        "reader",
        "delivered/s",
        "produced/s",
        "lost",
        "consumer CPU ns",
    ]
    head += ["producer CPU ns", "wakeups/s", "p50 us", "p99 us", "p99.9 us", "MB"]
    return table(head, rows)


def ratios(
    ours: Sequence[Measurement],
    base: Sequence[Measurement],
    figure: Callable[[Measurement], float],
) -> list[float]:
    """Run by run, where both have the figure."""
    pairs = zip(ours, base, strict=True)
    return [figure(a) / figure(b) for a, b in pairs if figure(a) and figure(b)]


def comparison_table(
    measurements: Sequence[Measurement],
    points: Sequence[Point],
    readers: Sequence[Reader],
) -> str:
    """Each run's figures as multiples of the baseline's in the same run."""
    figures: dict[str, Callable[[Measurement], float]] = {
        "delivered": lambda m: m.delivered_per_s,
        "consumer CPU": lambda m: m.consumer_cpu_ns_per_record,
        "producer CPU": lambda m: m.producer_cpu_ns_per_record,
        "p50": lambda m: m.latency_ns.p50,
        "p99": lambda m: m.latency_ns.p99,
    }
    rows = []
    for point, reader in itertools.product(points, readers):
        runs = select(measurements, point, reader.name)
        base = select(measurements, point, BASELINE)
        if reader.name == BASELINE or not runs or not base:
            continue
        row = [*point_name(point, points), reader.name]
        for figure in figures.values():
            row.append(spread(ratios(runs, base, figure), "{:.2f}".format))
        rows.append(row)
    return table(["rate", "record", "reader", *figures], rows)


def percent(share: float) -> str:
    return f"{100 * share:.3g}"


def burst_verdict(ours: Sequence[float], base: Sequence[float]) -> str:
    """The median is to be no worse than the baseline's upper quartile."""
    upper = statistics.quantiles(base, n=4, method="inclusive")[2]
    return "met" if statistics.median(ours) <= upper else "NOT MET"


def burst_table(
    measurements: Sequence[Measurement],
    points: Sequence[Point],
    readers: Sequence[Reader],
) -> str:
    rows = []
    for point, reader in itertools.product(points, readers):
        ours, base = (
            [m.lost_share for m in select(measurements, point, name)]
            for name in (reader.name, BASELINE)
        )
        verdict = burst_verdict(ours, base) if base and reader.name != BASELINE else ""
        low, *_, high = sorted(ours)
        shown = spread(ours, percent) if any(ours) else "0"
        rows.append(
            [
                human_size(point.ring_size),
                str(point.rate).removeprefix("burst:"),
                reader.name,
                shown,
                f"{percent(low)} to {percent(high)}",
                verdict,
            ]
        )
    return table(["ring", "burst", "reader", "lost %", "range", "verdict"], rows)


def scan_table(scans: Sequence[Scan]) -> str:
    rows = []
    for scan in scans:
        for touch in ("", ", first word"):
            libbpf, rbcore = (
                scan.rounds[f"{name}{touch}"] for name in ("libbpf", "rbcore")
            )
            ratio = statistics.median(libbpf) / statistics.median(rbcore)
            rows.append(
                [
                    human_size(scan.ring_size),
                    record_name(scan.record_size),
                    touch.removeprefix(", ") or "nothing",
                    spread(libbpf),
                    spread(rbcore),
                    f"{ratio:.2f}",
                ]
            )
    head = ["ring", "record", "touched", "libbpf ns", "rbcore ns", "times faster"]
    return table(head, rows)


def machine() -> str:
    version = subprocess.run(
        ["pkg-config", "--modversion", "libbpf"],
        check=False,
        capture_output=True,
        text=True,
    )
    names = [
        line.split(":", 1)[1].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    cpu = f"{len(names)} x {names[0]}" if names else platform.machine()
    return f"{cpu}; Linux {platform.release()}; libbpf {version.stdout.strip() or 'unknown'}"
