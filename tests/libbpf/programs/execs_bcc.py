#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The same as a BCC tool: execs_bcc.py WANTED PREFIX."""

import os
import sys
from pathlib import Path

try:
    from bcc import BPF
except (ImportError, OSError) as reason:
    print(f"skipped: BCC: {reason}")
    sys.exit(77)

PROGRAM = r"""
BPF_RINGBUF_OUTPUT(events, 16);

struct event {
    char name[16];
};

RAW_TRACEPOINT_PROBE(sched_process_exec) {
    struct event event = {};
    bpf_get_current_comm(&event.name, sizeof(event.name));
    if (event.name[0] == 'r' && event.name[1] == 'b' && event.name[2] == 'w')
        events.ringbuf_output(&event, sizeof(event), 0);
    return 0;
}
"""

# BCC compiles its programs with the kernel's headers.
modules = Path("/lib/modules") / os.uname().release / "build"
headers = os.environ.get("BCC_KERNEL_SOURCE", modules)
if not Path(headers).exists() and not Path("/sys/kernel/kheaders.tar.xz").exists():
    print(f"skipped: BCC needs the kernel's headers, in {headers} or kheaders")
    sys.exit(77)

seen = 0


def main() -> None:
    wanted = int(sys.argv[1])
    bpf = BPF(text=PROGRAM)

    def on_event(_context: int, data: int, _size: int) -> None:
        global seen
        name = bpf["events"].event(data).name.decode()
        if name.startswith(sys.argv[2]):
            print(name)
            seen += 1

    bpf["events"].open_ring_buffer(on_event)
    print("ready", flush=True)
    while seen < wanted:
        bpf.ring_buffer_poll(20000)


if __name__ == "__main__":
    main()
