#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints each program that the machine starts, until Ctrl-C."""

import rbcore
from execs import Exec, end_on_signals, summary
from libbpf import Program


def main() -> None:
    with Program("execs.bpf.c") as bpf:
        losses = bpf.map_fd("execs_lost")
        with rbcore.Reader(bpf.map_fd("execs"), loss_map=losses) as reader:
            end_on_signals(reader)
            print("reading", flush=True)
            for batch in reader:
                for event in batch.decode(Exec):
                    print(event, flush=True)
            print(summary(reader))


if __name__ == "__main__":
    main()
