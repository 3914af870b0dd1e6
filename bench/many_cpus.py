# SPDX-License-Identifier: MIT
"""This is a model of rings with many producers, a CPU each. Nothing of it is measured here.

Two CPUs cannot show how a ring scales. Published are the rates of the kernel's own benchmark
on bare metal: with libbpf's loop as the reader, and of the producers alone (overwrite mode,
no reader). Between the two lies what a reader and its wakeups cost the producers. The model:
a reader that wakes nobody leaves them the share of their own rate that rbcore leaves them
here, and reads faster than they write at any number. What producers lose by contending for
the ring remains.
"""

from tables import table

PRODUCERS = (1, 2, 4, 8, 16, 32, 52)
# The figures are million records a second: with libbpf's loop, and the producers alone.
PUBLISHED = {
    "AMD EPYC 9654": (
        (13.2, 15.7, 6.3, 2.8, 1.8, 1.27, 1.07),
        (32.3, 9.6, 9.2, 9.2, 4.3, 3.7, 3.5),
    ),
    "Kunpeng 920": (
        (11.6, 9.6, 4.8, 3.9, 3.2, 2.8, 2.7),
        (14.7, 22.3, 4.9, 4.7, 3.7, 3.3, 2.8),
    ),
}
# The part of limit-null's rate that a reader has to reach here, and does.
LEFT = 0.97


def modelled(machine: str) -> tuple[float, ...]:
    return tuple(LEFT * rate for rate in PUBLISHED[machine][1])


def model_table() -> str:
    """Nothing can be said where the producers alone are published as the slower ones."""
    rows = []
    for machine, (with_libbpf, alone) in PUBLISHED.items():
        model = modelled(machine)
        for n, base, free, ours in zip(
            PRODUCERS, with_libbpf, alone, model, strict=True
        ):
            shown = (f"{ours:.3g}", f"{ours / base:.2g}") if free > base else ("-", "-")
            rows.append([machine, str(n), f"{base:g}", f"{free:g}", *shown])
    head = ["machine", "producers", "published: libbpf", "published: producers alone"]
    return table([*head, "model: paced", "times libbpf"], rows, 1)
