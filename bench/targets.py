# SPDX-License-Identifier: MIT
"""What rbcore is to reach, measured and judged: one row for each figure."""

import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from measure import Measurement, Scan, Setup, measure_all
from readers import Point, Reader, named
from tables import BASELINE, rate_name, ratios, select, spread, table

RING = 1 << 24
SCANNED_RING = 1 << 20
MAX, FAST, SLOW, IDLE = (
    Point(rate, 24, RING, "default") for rate in ("max", 1_000_000, 10_000, 1000)
)
MODERATED, DEFAULT = "rbcore-500us", "rbcore"
NULL, LINEAR = "limit-null", "limit-linear"

Figure = Callable[[Measurement], float]


def delivered(m: Measurement) -> float:
    return m.delivered_per_s


def consumer(m: Measurement) -> float:
    return m.consumer_cpu_ns_per_record


def producer(m: Measurement) -> float:
    return m.producer_cpu_ns_per_record


def p50(m: Measurement) -> float:
    return m.latency_ns.p50


def p99(m: Measurement) -> float:
    return m.latency_ns.p99


@dataclass(frozen=True)
class Target:
    """Our figure divided by that of a reader beside it."""

    what: str
    point: Point
    ours: str
    beside: str
    figure: Figure
    limit: float
    at_least: bool = False


TARGETS = (
    Target("delivered rate", MAX, MODERATED, BASELINE, delivered, 3.5, True),
    Target("delivered rate", MAX, MODERATED, NULL, delivered, 0.97, True),
    Target("consumer CPU", MAX, MODERATED, BASELINE, consumer, 1 / 12),
    Target("consumer CPU", MAX, MODERATED, LINEAR, consumer, 1.2),
    Target("consumer CPU", FAST, MODERATED, BASELINE, consumer, 1 / 6),
    Target("consumer CPU", SLOW, MODERATED, BASELINE, consumer, 0.65),
    Target("consumer CPU", SLOW, DEFAULT, BASELINE, consumer, 1.05),
    Target("producer CPU", MAX, MODERATED, BASELINE, producer, 1 / 3),
    Target("producer CPU", MAX, MODERATED, NULL, producer, 1.03),
    Target("p50 latency", IDLE, DEFAULT, BASELINE, p50, 1.1),
    Target("p99 latency", IDLE, DEFAULT, BASELINE, p99, 1.1),
)

# Latency at 10 k/s: max_latency and what scheduling may add, in microseconds.
P99_LIMIT = 600
# The scan of a ring in cache, against libbpf's and in nanoseconds per record.
SCAN_LIMIT, SCAN_NS_LIMIT = 1 / 3, 1.2


def readers_at(point: Point) -> list[Reader]:
    """Who has to run there."""
    pairs = ((t.ours, t.beside) for t in TARGETS if t.point == point)
    return [named(i) for i in dict.fromkeys(itertools.chain(*pairs))]


def measure_targets(setup: Setup) -> list[Measurement]:
    points = (MAX, FAST, SLOW, IDLE)
    return list(
        itertools.chain(*(measure_all(setup, readers_at(p), [p]) for p in points))
    )


def row(
    what: str, beside: str, measured: Sequence[float], limit: float, at_least: bool
) -> list[str]:
    middle = statistics.median(measured)
    good = middle >= limit if at_least else middle <= limit
    sign = ">=" if at_least else "<="
    shown = f"{limit:.3g}" if limit > 0.5 else f"1/{1 / limit:.3g} = {limit:.3g}"
    return [
        what,
        beside,
        "met" if good else "NOT MET",
        spread(measured, "{:.3g}".format),
        f"{sign} {shown}",
    ]


def rows(measurements: Sequence[Measurement], scan: Scan) -> Iterator[list[str]]:
    for target in TARGETS:
        ours = select(measurements, target.point, target.ours)
        base = select(measurements, target.point, target.beside)
        name = f"{target.what} at {rate_name(target.point.rate)}, {target.ours}"
        measured = ratios(ours, base, target.figure)
        yield row(name, target.beside, measured, target.limit, target.at_least)
    late = [m.latency_ns.p99 / 1000 for m in select(measurements, SLOW, MODERATED)]
    name = f"p99 latency at {rate_name(SLOW.rate)}, {MODERATED}, us"
    yield row(name, "itself", late, P99_LIMIT, False)
    ours_ns, base_ns = scan.rounds["rbcore"], scan.rounds["libbpf"]
    faster = [a / b for a, b in zip(ours_ns, base_ns, strict=True)]
    yield row("untouched scan of 1 MiB", "libbpf", faster, SCAN_LIMIT, False)
    name = "untouched scan of 1 MiB, ns per record"
    yield row(name, "itself", ours_ns, SCAN_NS_LIMIT, False)


def target_table(measurements: Sequence[Measurement], scan: Scan) -> str:
    head = ["figure", "measured against", "verdict", "measured", "target"]
    return table(head, rows(measurements, scan))
