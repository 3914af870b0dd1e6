#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The same by ctypes: execs_ctypes.py WANTED PREFIX OBJECT, the BPF program's file."""

import ctypes
import sys

bpf = ctypes.CDLL("libbpf.so.1")
pointer = ctypes.c_void_p
callback = ctypes.CFUNCTYPE(ctypes.c_int, pointer, pointer, ctypes.c_size_t)
for function in (
    bpf.bpf_object__open_file,
    bpf.bpf_object__next_program,
    bpf.bpf_program__attach,
    bpf.ring_buffer__new,
):
    function.restype = pointer

names: list[bytes] = []


def on_event(_context: int, data: int, _size: int) -> int:
    name = ctypes.string_at(data)
    if name.startswith(sys.argv[2].encode()):
        names.append(name)
    return 0


def main() -> None:
    wanted = int(sys.argv[1])
    handle_event = callback(on_event)
    handle = pointer(bpf.bpf_object__open_file(sys.argv[3].encode(), None))
    if bpf.bpf_object__load(handle):
        sys.exit("the BPF program does not load")
    program = pointer(bpf.bpf_object__next_program(handle, None))
    link = pointer(bpf.bpf_program__attach(program))
    events = bpf.bpf_object__find_map_fd_by_name(handle, b"events")
    rings = pointer(bpf.ring_buffer__new(events, handle_event, None, None))
    if not link or not rings:
        sys.exit("no link or no ring")
    print("ready", flush=True)
    while len(names) < wanted and bpf.ring_buffer__poll(rings, 20000) > 0:
        pass
    bpf.ring_buffer__free(rings)
    for name in names:
        print(name.decode())


if __name__ == "__main__":
    main()
