# SPDX-License-Identifier: MIT
"""Writes what CSV files hold into documents: bench/run --report DIR.

Between the lines "<!-- NAME -->" and "<!-- end -->" of a README everything is replaced.
"""

import re
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from many_cpus import model_table
from measure import Measurement
from readers import named
from store import has_figures, read_figures, read_measurements
from tables import (
    BASELINE,
    MULTIPLES,
    burst_table,
    comparison_table,
    figure_table,
    how,
    ratios,
    reader_table,
    result_table,
    where,
)
from targets import TIMINGS, target_table

# The columns that compare the perf buffer with the ring.
BUFFER_COLUMNS = (
    *("delivered/s", "lost %", "consumer CPU ns", "producer CPU ns"),
    *("p50 us", "p99 us", "buffers"),
)
LATENCY_COLUMNS = ("consumer CPU ns", "producer CPU ns", "p50 us", "p99 us")
ORDER_COLUMNS = ("delivered/s", "lost %", "out of order", "older by us")


def buffer_tables(found: Sequence[Measurement]) -> str:
    """Writes tables by rate and by memory with one producer, and by order with two."""
    single = [m for m in found if m.producers == 1]
    double = [m for m in found if m.producers == 2]
    return (
        f"{result_table(single, BUFFER_COLUMNS)}\n\nThe order, of all records of two "
        f"producers:\n\n{result_table(double, ORDER_COLUMNS)}"
    )


def dropin_table(found: Sequence[Measurement]) -> str:
    multiples = comparison_table(found, ("delivered", "consumer CPU", "producer CPU"))
    return f"{multiples}\n\n{result_table(found, ('p50 us', 'p99 us'))}"


def latency_table(found: Sequence[Measurement]) -> str:
    return result_table(found, LATENCY_COLUMNS)


def short_comparison(found: Sequence[Measurement]) -> str:
    """Compares the readers that can be had in practice, without the latencies."""
    readers = [m for m in found if not named(m.reader).is_limit]
    return comparison_table(readers, ("delivered", "consumer CPU", "producer CPU"))


def shown(
    directory: Path, name: str, table: Callable[[Sequence[Measurement]], str]
) -> str:
    found = read_measurements(directory / f"{name}.csv")
    return f"{how(found)}.\n\n{table(found)}"


def targets(directory: Path) -> str:
    names = dict.fromkeys(i.program for i in TIMINGS)
    files = (directory / f"{name}.csv" for name in names)
    timings = [one for file in files for one in read_figures(file)]
    table = shown(directory, "targets", lambda found: target_table(found, timings))
    return f"What measures by itself: {where(timings)}. The readers: {table}"


def targets_amd(directory: Path) -> str:
    """Another machine's: there only the readers were measured."""
    return shown(directory, "targets_amd", lambda found: target_table(found, ()))


# This is what the project's README says: of a reader's runs at a rate, in the words of the second
# column.
SUMMARY = (
    ("latencies", "max", "rbcore", "As fast as one producer can write"),
    ("latencies", 1_000_000, "rbcore", "At a million records a second"),
    ("latencies", 10_000, "rbcore", "At ten thousand a second"),
    ("latencies", 10_000, "rbcore-100us", "The same with a latency of 100 us"),
    ("dropin", "max", "dropin", "A libbpf program under `rbcore-run`, as fast as one producer can write"),
)


def summary_line(directory: Path, name: str, rate: int | str, reader: str) -> str:
    runs = [
        m
        for m in read_measurements(directory / f"{name}.csv")
        if (m.rate, m.record_size) == (rate, 24)
    ]
    ours, base = (
        [m for m in runs if m.reader == i] for i in (reader, BASELINE)
    )
    rates, consumer, producer = (
        statistics.median(ratios(ours, base, MULTIPLES[i]))
        for i in ("delivered", "consumer CPU", "producer CPU")
    )
    times = "" if rates < 1.05 else f"{rates:.1f} times the records, each for "
    shares = [f"{round(100 * i):d} %" for i in (consumer, producer)]
    return f"{times}{shares[0]} of the reader's CPU time, {shares[1]} of the producer's"


def summary(directory: Path) -> str:
    return "\n".join(
        f"- {words}: {summary_line(directory, name, rate, reader)}."
        for name, rate, reader, words in SUMMARY
    )


# These tables are shown of a file of measurements, or of figures, that has the section's name ...
MEASURED: dict[str, Callable[[Sequence[Measurement]], str]] = {
    "quick": short_comparison,
    "readers": reader_table,
    "bursts": burst_table,
    "bursts_dropin": burst_table,
    "buffers": buffer_tables,
    "dropin": dropin_table,
    "latencies": latency_table,
}
FIGURES = ("scan", "user_ring", "snapshot", "many_rings", "paced_rings", "poll_idle")
# ... and what is made of several, or of none.
OTHERS: dict[str, Callable[[Path], str]] = {
    "targets": targets,
    "targets_amd": targets_amd,
    "summary": summary,
    "model": lambda _: model_table(),
}
SECTIONS = (*MEASURED, *FIGURES, *OTHERS)


def figures(directory: Path, name: str) -> str:
    found = read_figures(directory / f"{name}.csv")
    if not found:
        return "Not run yet."
    return f"Measured: {where(found)}.\n\n{figure_table(found)}"


def section(directory: Path, name: str) -> str:
    if name in MEASURED:
        return shown(directory, name, MEASURED[name])
    if name in FIGURES:
        return figures(directory, name)
    return OTHERS[name](directory)


def fill(document: Path, directory: Path) -> None:
    def replaced(found: re.Match[str]) -> str:
        name = found[1]
        return f"<!-- {name} -->\n{section(directory, name)}\n<!-- end -->"

    pattern = rf"<!-- ({'|'.join(SECTIONS)}) -->\n.*?<!-- end -->"
    text = document.read_text()
    document.write_text(re.sub(pattern, replaced, text, flags=re.DOTALL))


def report(documents: Sequence[Path], directory: Path) -> None:
    for document in documents:
        fill(document, directory)


def full_table(file: Path) -> str:
    """All that a file has."""
    if has_figures(file):
        return figure_table(read_figures(file))
    return shown(file.parent, file.stem, result_table)
