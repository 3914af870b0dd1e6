# SPDX-License-Identifier: MIT
"""Compiles the extension rbcore._rbcore from the amalgamation: all that it needs is a C compiler."""

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent

ffi = FFI()
ffi.cdef((HERE / "c" / "rbcore.cdef").read_text())
# This is what batch.h declares: all from its first struct on.
own = (HERE / "c" / "batch.h").read_text()
ffi.cdef(own[own.index("typedef struct") : own.rindex("#endif")])
ffi.set_source(
    "rbcore._rbcore",
    '#include "batch.h"',
    # Paths relative to setup.py, as setuptools wants them.
    sources=["c/rbcore_amalgamation.c", "c/batch.c", "c/windows.c"],
    include_dirs=["c"],
    depends=["c/batch.h", "c/windows.h", "c/rbcore.h"],
    extra_compile_args=["-std=gnu11", "-fvisibility=hidden"],
)
