# SPDX-License-Identifier: MIT
"""This says what pyproject.toml cannot: the extension is compiled by cffi, and what it needs for
that.
"""

import sys
import sysconfig
from pathlib import Path

from setuptools import setup

if not Path(sysconfig.get_path("include"), "Python.h").exists():
    sys.exit(
        "Python.h is missing, without which no extension can be compiled: install python3-dev "
        "(Debian, Ubuntu), python3-devel (Fedora) or what your system calls it"
    )

# CPython without the GIL has no stable ABI.
is_stable = not sysconfig.get_config_var("Py_GIL_DISABLED")

setup(
    cffi_modules=["build_ffi.py:ffi"],
    options={"bdist_wheel": {"py_limited_api": "cp39"}} if is_stable else {},
)
