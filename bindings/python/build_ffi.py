# SPDX-License-Identifier: MIT
"""Compiles the extension rbcore._rbcore from the amalgamation: all that it needs is a C compiler."""

from pathlib import Path

from cffi import FFI

HERE = Path(__file__).resolve().parent

ffi = FFI()
ffi.cdef((HERE / "c" / "rbcore.cdef").read_text())
ffi.cdef(
    """
    typedef struct rbcore_py_shape {
        const void *base;
        uint64_t extent;
        uint64_t stride;
        uint64_t size;
    } rbcore_py_shape;
    void rbcore_py_shape_of(const rbcore_record *records, size_t count, rbcore_py_shape *shape);
    size_t rbcore_py_run(const rbcore_record *records, size_t count, uint64_t *stride);
    """
)
ffi.set_source(
    "rbcore._rbcore",
    '#include "batch.h"',
    # Paths relative to setup.py, as setuptools wants them.
    sources=["c/rbcore_amalgamation.c", "c/batch.c"],
    include_dirs=["c"],
    depends=["c/batch.h", "c/rbcore.h"],
    extra_compile_args=["-std=gnu11", "-fvisibility=hidden"],
)
