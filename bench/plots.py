# SPDX-License-Identifier: MIT
"""Draws what the CSV files in a directory hold: bench/run --report DIR."""

import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from operator import itemgetter
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
# The same input gives the same file.
matplotlib.rcParams["svg.hashsalt"] = "rbcore"
matplotlib.rcParams["font.size"] = 9
matplotlib.rcParams["svg.fonttype"] = "none"  # letters as letters: a quarter of the size

import matplotlib.pyplot as plt
from many_cpus import PRODUCERS, PUBLISHED, modelled
from store import read_measurements
from svg import smaller

Measurement = dict[str, Any]
BASE = {
    "rate": "max",
    "record_size": 24,
    "ring_size": 1 << 24,
    "flags": "default",
    "producers": 1,
}
COLORS = {
    "rbcore": "#1b6ca8",
    "rbcore-100us": "#0b3954",
    "rbcore-500us": "#39a0ed",
    "rbcore-spans": "#90e0ef",
    "go-batch-500us": "#2a9d8f",
    "rust-batch-500us": "#6a4c93",
    "python-numpy-500us": "#8ac926",
    "libbpf-poll": "#d1495b",
    "cilium-paced": "#edae49",
    "aya": "#f3722c",
    "ctypes-libbpf": "#b56576",
    "limit-null": "#999999",
    "limit-linear": "#555555",
}
CURVES = tuple(name for name in COLORS if name != "limit-null")


def load(file: Path) -> list[Measurement]:
    return [asdict(one) for one in read_measurements(file)]


def save(figure: Any, file: Path) -> None:
    figure.tight_layout()
    figure.savefig(file, metadata={"Date": None})
    plt.close(figure)
    file.write_text(smaller(file.read_text()))
    print(file)


def along(
    measurements: Sequence[Measurement], axis: str, reader: str
) -> dict[Any, list[Measurement]]:
    """The runs of a reader where all other axes are at their base."""
    others = {key: value for key, value in BASE.items() if key != axis}
    groups: dict[Any, list[Measurement]] = {}
    for one in measurements:
        if one["reader"] == reader and all(one[k] == v for k, v in others.items()):
            groups.setdefault(one[axis], []).append(one)
    return groups


def size_name(size: int) -> str:
    if size == 0:
        return "mixed"
    for unit in ("", " Ki"):
        if size < 1024:
            return f"{size}{unit}"
        size //= 1024
    return f"{size} Mi"


def rate_name(rate: int | str) -> str:
    return rate if isinstance(rate, str) else f"{rate:,}/s".replace(",", " ")


def spread(
    groups: Sequence[Sequence[float]],
) -> tuple[list[float], tuple[list[float], list[float]]]:
    """The median of each group, and how far its quartiles are below and above that."""
    middles, below, above = [], [], []
    for values in groups:
        middle = statistics.median(values)
        low, _, high = statistics.quantiles(values, n=4, method="inclusive")
        middles.append(middle)
        below.append(middle - low)
        above.append(high - middle)
    return middles, (below, above)


def draw_axis(
    panel: Any,
    measurements: Sequence[Measurement],
    axis: str,
    figure: Callable[[Measurement], float],
    name: Callable[[Any], str],
) -> None:
    """Medians as lines, the range between the quartiles as bars."""
    values = {v for r in CURVES for v in along(measurements, axis, r)}
    order = sorted(values, key=lambda v: float("inf") if v in ("max", 0) else v)
    for reader in CURVES:
        groups = along(measurements, axis, reader)
        shown = [v for v in order if v in groups and any(map(figure, groups[v]))]
        if not shown:
            continue
        middles, bars = spread([[figure(m) for m in groups[v]] for v in shown])
        at = [order.index(v) for v in shown]
        panel.errorbar(
            at,
            middles,
            yerr=bars,
            label=reader,
            color=COLORS[reader],
            marker="o",
            markersize=3,
            capsize=0,
            linewidth=1.2,
        )
    panel.set_xticks(range(len(order)), [name(v) for v in order])
    panel.set_yscale("log")
    panel.grid(alpha=0.3)


def plot_rates(measurements: Sequence[Measurement], directory: Path) -> None:
    figures: dict[str, Callable[[Measurement], float]] = {
        "consumer CPU, ns per record": lambda m: float(m["consumer_cpu_ns_per_record"]),
        "producer CPU, ns per record": lambda m: float(m["producer_cpu_ns_per_record"]),
        "p99 latency, us": lambda m: float(m["latency_ns"]["p99"]) / 1000,
    }
    plot, panels = plt.subplots(1, len(figures), figsize=(12, 3.8))
    for panel, (title, figure) in zip(panels, figures.items(), strict=True):
        draw_axis(panel, measurements, "rate", figure, rate_name)
        panel.set_title(title)
        panel.tick_params(axis="x", labelrotation=20)
    panels[0].legend(frameon=False)
    plot.suptitle("By rate: 24-byte records, ring of 16 MiB, one producer")
    save(plot, directory / "rates.svg")


def plot_sizes(measurements: Sequence[Measurement], directory: Path) -> None:
    plot, panels = plt.subplots(2, 2, figsize=(9, 6.5))
    for column, axis in enumerate(("record_size", "ring_size")):
        for panel, key, title in (
            (panels[0][column], "delivered_per_s", "delivered per second"),
            (panels[1][column], "consumer_cpu_ns_per_record", "consumer CPU, ns"),
        ):
            draw_axis(panel, measurements, axis, itemgetter(key), size_name)
            panel.set_title(f"{title}, by {axis.replace('_', ' ')}")
    panels[0][0].legend(frameon=False)
    plot.suptitle("As fast as it goes")
    save(plot, directory / "sizes.svg")


def plot_bursts(measurements: Sequence[Measurement], directory: Path) -> None:
    rates = sorted({m["rate"] for m in measurements}, key=len)
    rings = sorted({m["ring_size"] for m in measurements})
    readers = sorted({m["reader"] for m in measurements})
    plot, panels = plt.subplots(1, len(rates), figsize=(10, 3.8), squeeze=False)
    for panel, rate in zip(panels[0], rates, strict=True):
        for i, reader in enumerate(readers):
            shares = [
                [
                    100 * m["lost_share"]
                    for m in measurements
                    if (m["rate"], m["ring_size"], m["reader"]) == (rate, ring, reader)
                ]
                for ring in rings
            ]
            boxes = panel.boxplot(
                shares,
                positions=[at + (i - 1) * 0.25 for at in range(len(rings))],
                widths=0.2,
                patch_artist=True,
                showfliers=False,
            )
            for box in boxes["boxes"]:
                box.set_facecolor(COLORS.get(reader, "#777777"))
            panel.plot([], [], color=COLORS.get(reader, "#777777"), label=reader)
        panel.set_xticks(range(len(rings)), [size_name(ring) for ring in rings])
        panel.set_title(f"bursts of {rate.removeprefix('burst:')} records")
        panel.set_xlabel("ring, bytes")
        panel.set_ylabel("lost, %")
        panel.set_yscale("symlog", linthresh=0.1)
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
    panels[0][0].legend(frameon=False)
    plot.suptitle("Lost when bursts come from idle, each 5 ms")
    save(plot, directory / "bursts.svg")


def plot_readers(measurements: Sequence[Measurement], directory: Path) -> None:
    """Plots all readers at full speed with 24-byte records, by language."""
    runs: dict[str, list[Measurement]] = {}
    for one in measurements:
        if all(one[key] == value for key, value in BASE.items()):
            runs.setdefault(f"{one['language']}: {one['reader']}", []).append(one)
    names = sorted(runs, reverse=True)
    plot, panels = plt.subplots(1, 3, figsize=(12, 6.5), sharey=True)
    for panel, key, title in (
        (panels[0], "delivered_per_s", "delivered per second"),
        (panels[1], "consumer_cpu_ns_per_record", "consumer CPU, ns per record"),
        (panels[2], "producer_cpu_ns_per_record", "producer CPU, ns per record"),
    ):
        values = [statistics.median(m[key] for m in runs[name]) for name in names]
        readers = [name.split(": ")[1] for name in names]
        ours = ("rbcore", "go-", "rust-", "python-")
        shades = [
            COLORS["rbcore" if r.startswith(ours) else "limit-null"] for r in readers
        ]
        panel.barh(names, values, color=shades)
        panel.set_title(title)
        panel.set_xscale("log")
        panel.grid(axis="x", alpha=0.3)
    plot.suptitle("As fast as it goes: 24-byte records, ring of 16 MiB (blue: rbcore)")
    save(plot, directory / "readers.svg")


def plot_overview(
    latencies: Sequence[Measurement], dropin: Sequence[Measurement], directory: Path
) -> None:
    """Plots what a record costs, as a multiple of what it costs with libbpf in the same run."""
    bars = (
        (latencies, "rbcore", "rbcore, default options"),
        (latencies, "rbcore-100us", "rbcore, latency of 100 us"),
        (dropin, "dropin", "a libbpf program, by rbcore-run"),
    )
    rates = (10_000, 1_000_000, "max")
    plot, panels = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
    for panel, side in zip(panels, ("consumer", "producer"), strict=True):
        for i, (measurements, reader, label) in enumerate(bars):
            multiples = []
            for rate in rates:
                ours, base = (
                    along(measurements, "rate", name)[rate]
                    for name in (reader, "libbpf-poll")
                )
                key = f"{side}_cpu_ns_per_record"
                multiples.append([a[key] / b[key] for a, b in zip(ours, base, strict=True)])
            middles, ranges = spread(multiples)
            at = [position + (i - 1) * 0.27 for position in range(len(rates))]
            color = COLORS[("rbcore", "rbcore-100us", "cilium-paced")[i]]
            panel.bar(
                at,
                middles,
                0.25,
                yerr=ranges,
                capsize=0,
                color=color,
                label=label,
            )
        panel.axhline(1, color=COLORS["libbpf-poll"], label="libbpf")
        panel.set_xticks(range(len(rates)), [rate_name(rate) for rate in rates])
        panel.set_title(f"{side} CPU per record, libbpf = 1")
        panel.grid(axis="y", alpha=0.3)
    panels[1].legend(frameon=False)
    save(plot, directory / "overview.svg")


def plot_model(directory: Path) -> None:
    plot, panels = plt.subplots(1, len(PUBLISHED), figsize=(11, 4), sharey=True)
    for panel, (machine, (with_libbpf, alone)) in zip(
        panels, PUBLISHED.items(), strict=True
    ):
        for rates, label, color in (
            (with_libbpf, "published: with libbpf's loop", "libbpf-poll"),
            (alone, "published: producers alone", "limit-null"),
            (modelled(machine), "model: with a paced reader", "rbcore"),
        ):
            panel.plot(PRODUCERS, rates, marker="o", color=COLORS[color], label=label)
        panel.set_xscale("log", base=2)
        panel.set_yscale("log")
        panel.set_xticks(PRODUCERS, [str(i) for i in PRODUCERS])
        panel.set_xlabel("producers, a CPU each")
        panel.set_title(machine)
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("million records per second")
    panels[0].legend(frameon=False)
    plot.suptitle("A MODEL of many CPUs, not measured here")
    save(plot, directory / "many-cpus-model.svg")


def main() -> None:
    directory = Path(sys.argv[1])
    if (directory / "sweep.csv").exists():
        measurements = load(directory / "sweep.csv")
        plot_rates(measurements, directory)
        plot_sizes(measurements, directory)
    if (directory / "readers.csv").exists():
        plot_readers(load(directory / "readers.csv"), directory)
    if (directory / "bursts.csv").exists():
        plot_bursts(load(directory / "bursts.csv"), directory)
    overview = [directory / f"{i}.csv" for i in ("latencies", "dropin")]
    if all(file.exists() for file in overview):
        latencies, dropin = map(load, overview)
        plot_overview(latencies, dropin, directory)
    plot_model(directory)


if __name__ == "__main__":
    main()
