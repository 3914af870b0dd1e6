# SPDX-License-Identifier: MIT
"""As much of libbpf as the examples need: compiles a BPF program, loads and attaches it.

BCC is the usual loader in Python, but wants the headers of the running kernel, which many machines
do not have. If you use it: rbcore.Reader(bpf["execs"].map_fd).
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any, final

import rbcore

OVERWRITE = 1 << 19  # BPF_F_RB_OVERWRITE

lib = ctypes.CDLL("libbpf.so.1", use_errno=True)
for name in ("object__open_file", "object__next_program", "object__find_map_by_name"):
    getattr(lib, f"bpf_{name}").restype = ctypes.c_void_p
lib.bpf_program__attach.restype = ctypes.c_void_p


def check(result: Any, what: str) -> Any:
    """Pointers are None with an error, numbers negative."""
    if result is None or result < 0:
        sys.exit(f"{what}: {os.strerror(ctypes.get_errno())}")
    return result


def compiled(source: Path) -> str:
    """The path of the object file."""
    target = tempfile.mkstemp(".bpf.o")[1]
    multiarch = sysconfig.get_config_var("MULTIARCH")
    folders = [f"-I{rbcore.include_dir()}", f"-I/usr/include/{multiarch}"]
    command = ["clang", "-O2", "-g", "-target", "bpf", *folders, "-c", str(source), "-o", target]
    subprocess.run(command, check=True)
    return target


@final
class Program:
    """Runs as long as the with statement does."""

    def __init__(self, source: str, **flags: int) -> None:
        """source: beside this file. flags: of its maps, by their names."""
        path = compiled(Path(__file__).with_name(source))
        pointer = lib.bpf_object__open_file(path.encode(), None)
        os.unlink(path)
        self.object = ctypes.c_void_p(check(pointer, source))
        for name, value in flags.items():
            check(lib.bpf_map__set_map_flags(self._map(name), value), name)
        check(lib.bpf_object__load(self.object), f"loading {source} (it needs root)")
        self.links: list[ctypes.c_void_p] = []
        each = None
        while each := lib.bpf_object__next_program(self.object, ctypes.c_void_p(each)):
            link = check(lib.bpf_program__attach(ctypes.c_void_p(each)), f"attaching {source}")
            self.links.append(ctypes.c_void_p(link))

    def _map(self, name: str) -> ctypes.c_void_p:
        found = lib.bpf_object__find_map_by_name(self.object, name.encode())
        return ctypes.c_void_p(check(found, name))

    def map_fd(self, name: str) -> int:
        return int(lib.bpf_map__fd(self._map(name)))

    def __enter__(self) -> Program:
        return self

    def __exit__(self, *_: object) -> None:
        for link in self.links:
            lib.bpf_link__destroy(link)
        lib.bpf_object__close(self.object)
