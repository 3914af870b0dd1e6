# SPDX-License-Identifier: MIT
"""This measures and judges the targets of rbcore, in one row for each figure."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from measure import Measurement, Setup, measure_all
from programs import (
    DROPIN_RINGS,
    MANY_RINGS,
    PACED_RATES,
    PACED_SIDES,
    POLL_IDLE,
    POLL_IDLE_SIZES,
    RINGS_ADDED,
    SCAN_IN_CACHE,
    USER_DRAINED,
    USER_FILLED,
    Figures,
    in_turn,
    one_busy,
    paced,
    program,
    run_case,
)
from readers import Point, Reader, named
from tables import BASELINE, rate_name, ratios, select, spread, table

RING = 1 << 24
MAX, FAST, SLOW, IDLE = (
    Point(rate, 24, RING, "default") for rate in ("max", 1_000_000, 10_000, 1000)
)
PACED, DEFAULT, SPANS = "rbcore-500us", "rbcore", "rbcore-spans"
BLOCKING = "rbcore-next-500us"
DROPIN = "dropin"
NULL, LINEAR, LOOK = "limit-null", "limit-linear", "limit-look"
GO, GO_SPANS, RUST = "go-batch-500us", "go-spans-500us", "rust-batch-500us"
VIEWS, NUMPY = "python-views-500us", "python-numpy-500us"
GO_PEERS, RUST_PEERS = ("cilium", "cilium-paced"), ("aya", "libbpf-rs")
PYTHON_PEERS = ("ctypes-libbpf", "bcc")

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
    """Returns our figure divided by that of the best of those beside us, or our figure without them."""

    what: str
    point: Point
    ours: str
    beside: tuple[str, ...]
    figure: Figure
    limit: float
    at_least: bool = False
    best_by: Figure = (
        consumer  # which of several is the best: it delivers most, or is the cheapest
    )

    def best(self, measurements: Sequence[Measurement]) -> str:
        """Names the best by the median. Those that could not run here are left out."""

        def rank(name: str) -> float:
            runs = select(measurements, self.point, name)
            middle = statistics.median(self.best_by(m) for m in runs)
            return -middle if self.best_by is delivered else middle

        ran = {m.reader for m in measurements}
        return min((i for i in self.beside if i in ran), key=rank, default="")


def limited(point: Point, reader: str, limit: float) -> Target:
    """Measures in microseconds, against nobody."""
    return Target("p99 latency, us", point, reader, (), lambda m: p99(m) / 1000, limit)


def binding(reader: str, peers: tuple[str, ...]) -> tuple[Target, Target]:
    """Measures the targets of each language, against the one of its peers that delivers most."""
    return (
        Target("delivered rate", MAX, reader, peers, delivered, 1.8, True, delivered),
        Target("consumer CPU", MAX, reader, peers, consumer, 1 / 5, best_by=delivered),
    )


TARGETS = (
    Target("delivered rate", MAX, DEFAULT, (BASELINE,), delivered, 4, True),
    Target("delivered rate", MAX, DEFAULT, (NULL,), delivered, 0.97, True),
    Target("consumer CPU", MAX, DEFAULT, (BASELINE,), consumer, 0.09),
    Target("consumer CPU", FAST, DEFAULT, (BASELINE,), consumer, 1 / 4),
    Target("consumer CPU", SLOW, DEFAULT, (BASELINE,), consumer, 0.35),
    Target("consumer CPU", IDLE, DEFAULT, (BASELINE,), consumer, 1.05),
    Target("producer CPU", MAX, DEFAULT, (BASELINE,), producer, 1 / 4),
    Target("p50 latency", IDLE, DEFAULT, (BASELINE,), p50, 1.1),
    Target("p99 latency", IDLE, DEFAULT, (BASELINE,), p99, 1.1),
    *(limited(point, DEFAULT, 1200) for point in (SLOW, FAST, MAX)),
    Target("delivered rate", MAX, PACED, (BASELINE,), delivered, 3.5, True),
    Target("delivered rate", MAX, PACED, (NULL,), delivered, 0.97, True),
    Target("consumer CPU", MAX, PACED, (BASELINE,), consumer, 1 / 12),
    Target("consumer CPU", MAX, SPANS, (BASELINE,), consumer, 1 / 12),
    Target("consumer CPU", MAX, PACED, (LINEAR,), consumer, 1.2),
    Target("consumer CPU", MAX, SPANS, (LINEAR,), consumer, 1.2),
    Target("consumer CPU", MAX, BLOCKING, (LINEAR,), consumer, 1.3),
    Target("consumer CPU", MAX, BLOCKING, (LOOK,), consumer, 1.3),
    Target("consumer CPU", FAST, PACED, (BASELINE,), consumer, 1 / 6),
    Target("consumer CPU", SLOW, PACED, (BASELINE,), consumer, 0.65),
    *(limited(point, PACED, 600) for point in (SLOW, FAST, MAX)),
    Target("producer CPU", MAX, PACED, (BASELINE,), producer, 1 / 3),
    Target("producer CPU", MAX, PACED, (NULL,), producer, 1.03),
    Target("delivered rate", MAX, DROPIN, (BASELINE,), delivered, 3, True),
    Target("consumer CPU", MAX, DROPIN, (BASELINE,), consumer, 1 / 8),
    Target("consumer CPU", FAST, DROPIN, (BASELINE,), consumer, 1 / 4),
    Target("consumer CPU", SLOW, DROPIN, (BASELINE,), consumer, 0.7),
    Target("p99 latency", IDLE, DROPIN, (BASELINE,), p99, 1.1),
    Target("consumer CPU", MAX, GO, (PACED,), consumer, 1.5),
    Target("consumer CPU", MAX, GO, (PACED,), consumer, 2),
    Target("consumer CPU", MAX, GO_SPANS, (PACED,), consumer, 1.5),
    Target("consumer CPU", MAX, RUST, (PACED,), consumer, 1.5),
    Target("consumer CPU", MAX, NUMPY, (PACED,), consumer, 2),
    Target("consumer CPU", MAX, VIEWS, PYTHON_PEERS, consumer, 1 / 2),
    Target("consumer CPU", MAX, VIEWS, ("bcc",), consumer, 1 / 5),
    *binding(GO, GO_PEERS),
    *binding(RUST, RUST_PEERS),
    *binding(NUMPY, PYTHON_PEERS),
    *binding(VIEWS, PYTHON_PEERS),
)


@dataclass(frozen=True)
class Timing:
    """Returns one way of a program that measures by itself, in its unit or divided by another way."""

    what: str
    program: str
    case: str
    way: str
    limit: float
    beside: str = "libbpf"

    def is_in(self, found: Figures) -> bool:
        """Tells whether the way ran there: what is not built here is left out."""
        if (found.program, found.case) != (self.program, self.case):
            return False
        return all(i in found.rounds for i in (self.way, self.beside) if i)

    @property
    def name(self) -> str:
        unit = "" if self.beside else f", {program(self.program).unit}"
        return f"{self.what}, {self.way}{unit}"

    def measured(self, found: Figures) -> list[float]:
        ours = found.rounds[self.way]
        if not self.beside:
            return ours
        pairs = zip(ours, found.rounds[self.beside], strict=True)
        return [a / b for a, b in pairs if b]


SCAN = ("untouched scan of 1 MiB", "scan", SCAN_IN_CACHE)
FILLED = ("filling a user ring", "user_ring", USER_FILLED)
DRAINED = ("user ring, drained meanwhile", "user_ring", USER_DRAINED)
BATCHES = "rbcore, batches of 64"


def many(case: str, way: str, limit: float) -> Timing:
    return Timing(case, "many_rings", case, way, limit)


def spread_out(whose: str, rate: int) -> Timing:
    """Measures what it costs that records come into many rings and not into one."""
    case = paced(whose, rate)
    ways = ("rbcore, 32 rings", 2.5, "rbcore, 1 ring")
    return Timing(f"CPU of the {case}", "paced_rings", case, *ways)


TIMINGS = (
    Timing(*SCAN, "rbcore", 1 / 3),
    Timing(*SCAN, "rbcore", 1.2, beside=""),
    Timing(*SCAN, "rbcore-spans", 1 / 3),
    Timing(*SCAN, "rbcore-spans", 1.2, beside=""),
    Timing(*FILLED, "rbcore", 1.1),
    Timing(*FILLED, BATCHES, 1),
    Timing(*DRAINED, "rbcore", 1.1),
    Timing(*DRAINED, BATCHES, 1),
    *(many(one_busy(rings), "rbcore", 1) for rings in MANY_RINGS),
    *(many(in_turn(rings), "rbcore", 1.5) for rings in MANY_RINGS),
    many(RINGS_ADDED, "rbcore", 3),
    *(many(one_busy(rings), DROPIN, 1.3) for rings in DROPIN_RINGS),
    *(spread_out(whose, rate) for rate in PACED_RATES for whose in PACED_SIDES),
    *(
        Timing("polling an idle ring each 10 ms", "poll_idle", POLL_IDLE, size, 1, "")
        for size in POLL_IDLE_SIZES
    ),
)
ROUNDS = 51


def readers_at(point: Point) -> list[Reader]:
    """The readers that have to run there."""
    there = [t for t in TARGETS if t.point == point]
    return [
        named(i) for i in dict.fromkeys(j for t in there for j in (t.ours, *t.beside))
    ]


def all_readers() -> list[Reader]:
    points = (MAX, FAST, SLOW, IDLE)
    return list(dict.fromkeys(i for p in points for i in readers_at(p)))


def measure_targets(setup: Setup, readers: Sequence[Reader]) -> list[Measurement]:
    found = []
    for point in (MAX, FAST, SLOW, IDLE):
        there = [i for i in readers_at(point) if i in readers]
        found += measure_all(setup, there, [point])
    return found


def measure_timings(setup: Setup) -> list[Figures]:
    cases = dict.fromkeys((i.program, i.case) for i in TIMINGS)
    return [run_case(setup, program(name), case, ROUNDS) for name, case in cases]


def row(
    what: str,
    beside: str,
    measured: Sequence[float],
    limit: float,
    at_least: bool = False,
) -> list[str]:
    middle = statistics.median(measured)
    good = middle >= limit if at_least else middle <= limit
    sign = ">=" if at_least else "<="
    parts = 1 / limit
    is_part = limit <= 0.5 and abs(parts - round(parts)) < 1e-9
    shown = f"1/{parts:.0f} = {limit:.3g}" if is_part else f"{limit:.3g}"
    verdict = "met" if good else "NOT MET"
    figures = spread(measured, "{:.3g}".format)
    return [
        what,
        beside or "-",
        verdict,
        figures,
        f"{sign} {shown}",
        str(len(measured)),
    ]


def target_row(measurements: Sequence[Measurement], target: Target) -> list[str]:
    what = f"{target.what} at {rate_name(target.point.rate)}, {target.ours}"
    ours = select(measurements, target.point, target.ours)
    best = target.best([m for m in measurements if m.point == target.point])
    if not ours or (target.beside and not best):
        return [what, ", ".join(target.beside), "not run here", "-", "-", "0"]
    if best:
        base = select(measurements, target.point, best)
        measured = ratios(ours, base, target.figure)
    else:
        measured = [target.figure(m) for m in ours]
    return row(what, best, measured, target.limit, target.at_least)


def timing_row(found: Iterable[Figures], timing: Timing) -> list[str]:
    for one in found:
        if timing.is_in(one):
            return row(timing.name, timing.beside, timing.measured(one), timing.limit)
    return [timing.name, timing.beside or "-", "not run here", "-", "-", "0"]


def target_table(
    measurements: Sequence[Measurement], timings: Sequence[Figures]
) -> str:
    rows = [target_row(measurements, i) for i in TARGETS]
    if timings:
        rows += [timing_row(timings, i) for i in TIMINGS]
    head = ["figure", "measured against", "verdict", "measured", "target", "runs"]
    return table(head, rows)
