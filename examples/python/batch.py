#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Saves each program that the machine starts to a file, and gives a batch back only when it is safe
there: a reader that dies repeats records, and never loses one.

batch.py FILE
"""

import os
import sys

import rbcore
from execs import Exec, end_on_signals, summary
from libbpf import Program


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: batch.py FILE")
    with Program("execs.bpf.c") as bpf, open(sys.argv[1], "a") as file:
        losses = bpf.map_fd("execs_lost")
        with rbcore.Reader(bpf.map_fd("execs"), loss_map=losses, batch_size=64) as reader:
            end_on_signals(reader)
            print("reading", flush=True)
            for batch in reader:
                # The loop over the batch is through before anything is written: whatever fails from
                # here on, the whole batch comes again.
                lines = [f"{event}\n" for event in batch.decode(Exec)]
                file.writelines(lines)
                file.flush()
                os.fdatasync(file.fileno())
                batch.commit()
            print(summary(reader))


if __name__ == "__main__":
    main()
