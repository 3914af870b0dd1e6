# SPDX-License-Identifier: MIT
"""These programs measure by themselves, without a producer beside them: bench/run --only NAME.

Each prints one JSON object: by the name of each way its figures, one for each round.
"""

import re
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from measure import Setup, execute, progress

MIB = 1 << 20


@dataclass(frozen=True)
class Program:
    """These are its arguments by case. {rounds} stands for how often it repeats everything, {programs}
    for the build's folder of the benchmark.
    """

    name: str
    unit: str  # of its figures
    cases: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Figures:
    """These are the figures that one program printed for one case."""

    program: str
    case: str
    unit: str
    commit: str
    machine: str
    rounds: dict[str, list[float]]


def scan_case(record: int, ring: int, touch: bool) -> tuple[str, ...]:
    return (str(record), str(ring), str(int(touch)), "{rounds}")


def many_rings_case(what: str, rings: int) -> tuple[str, ...]:
    return (what, str(rings), "{rounds}", "{programs}/../bindings/libbpf/rbcore-run")


def one_busy(rings: int) -> str:
    return f"one busy ring among {rings}"


def in_turn(rings: int) -> str:
    return f"all of {rings} rings in turn"


def paced(whose: str, rate: int) -> str:
    return f"{whose} at {rate // 1000} k/s"


# The cases that have targets.
SCAN_IN_CACHE = "24 B in 1 MiB, untouched"
USER_FILLED = "24 B in 16 MiB, filled"
USER_DRAINED = "24 B in 16 MiB, drained meanwhile"
MANY_RINGS = (16, 128, 1024, 4096)
DROPIN_RINGS = (16, 128, 1100)
MOST_RINGS = max(MANY_RINGS)
PACED_RATES = (20_000, 64_000)
PACED_SIDES = ("reader", "producer")
POLL_IDLE = "each 10 ms"
POLL_IDLE_SIZES = ("64 KiB", "1 MiB", "16 MiB")
RINGS_ADDED = f"adding {MOST_RINGS} rings"

PROGRAMS = (
    Program(
        "scan",
        "ns per record",
        {
            f"{record} in {ring} MiB, {touch}": scan_case(size, ring * MIB, by_word)
            for ring in (1, 16)
            for record, size in (("24 B", 24), ("mixed", 0))
            for touch, by_word in (("untouched", False), ("first word", True))
        },
    ),
    Program(
        "user_ring",
        "ns per record",
        {
            f"{size} B in 16 MiB, {drained}": (
                str(size),
                str(16 * MIB),
                flag,
                "{rounds}",
            )
            for size, drained, flag in (
                (24, "filled", "0"),
                (256, "filled", "0"),
                (24, "drained meanwhile", "1"),
            )
        },
    ),
    Program(
        "snapshot",
        "ns per KiB, or per record of a producer",
        {
            "of 1 MiB": (str(MIB), "copy", "{rounds}"),
            "of 64 KiB": (str(MIB // 16), "copy", "{rounds}"),
            "beside a producer, 1 MiB": (str(MIB), "meanwhile", "{rounds}"),
            "as a file, 1 MiB": (str(MIB), "file", "{rounds}"),
            "as a file, 64 KiB": (str(MIB // 16), "file", "{rounds}"),
        },
    ),
    Program(
        "many_rings",
        "ns of CPU per record, or us per ring added",
        {
            one_busy(rings): many_rings_case("one", rings)
            for rings in sorted({*MANY_RINGS, *DROPIN_RINGS})
        }
        | {in_turn(rings): many_rings_case("turn", rings) for rings in MANY_RINGS}
        | {RINGS_ADDED: many_rings_case("add", MOST_RINGS)},
    ),
    Program(
        "paced_rings",
        "ns of CPU per record",
        {
            paced(whose, rate): (whose, str(rate), "{rounds}")
            for rate in PACED_RATES
            for whose in PACED_SIDES
        },
    ),
    Program("poll_idle", "% of a CPU", {POLL_IDLE: ("10", "{rounds}")}),
)


def program(name: str) -> Program:
    return next(i for i in PROGRAMS if i.name == name)


def run_case(setup: Setup, one: Program, case: str, rounds: int) -> Figures:
    progress(f"{one.name}: {case}")
    programs = setup.programs
    arguments = [i.format(rounds=rounds, programs=programs) for i in one.cases[case]]
    command = [*setup.realtime_prefix, str(programs / one.name), *arguments]
    rounds_by_way = execute(command, 60)
    found = Figures(
        one.name, case, one.unit, setup.commit, setup.machine, rounds_by_way
    )
    progress("")
    return found


def run_program(setup: Setup, one: Program, rounds: int) -> list[Figures]:
    return [run_case(setup, one, case, rounds) for case in one.cases]


# ---- The scan, counted ---------------------------------------------------------------

# This is the space of a record in the ring, with its header: on average where each of 16 to 143 bytes
# comes as often as the others.
SPANS = {"24 B": ("24", 32), "mixed": ("0", 91)}


def count_instructions(setup: Setup, way: str, record_size: str, ring: int) -> int:
    """Counts all that one untouched scan of a full ring executes, with what opens the reader."""
    with tempfile.NamedTemporaryFile("r") as file:
        valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={file.name}"]
        valgrind += ["--toggle-collect=scan_*", str(setup.programs / "scan")]
        execute([*valgrind, record_size, str(ring), "0", "1", way], 60)
        found = re.search(r"^totals: (\d+)", Path(file.name).read_text(), re.MULTILINE)
    if not found:
        raise ValueError("callgrind tells no total")
    return int(found[1])


def count_scan(setup: Setup, ways: Collection[str]) -> list[Figures]:
    """Counts per record what a ring twice as large costs more."""
    return [count_case(setup, ways, case) for case in SPANS]


def count_case(setup: Setup, ways: Iterable[str], case: str) -> Figures:
    record_size, span = SPANS[case]
    counts = {}
    for way in ways:
        progress(f"counting the instructions of {way}, {case}")
        small, large = (
            count_instructions(setup, way, record_size, ring) for ring in (MIB, 2 * MIB)
        )
        counts[way] = [(large - small) / (MIB / span)]
    progress("")
    case = f"{case}, untouched, by callgrind"
    return Figures(
        "scan", case, "instructions per record", setup.commit, setup.machine, counts
    )
