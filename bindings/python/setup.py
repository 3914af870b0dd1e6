# SPDX-License-Identifier: MIT
"""What pyproject.toml cannot say: the extension is compiled by cffi."""

import sys
import sysconfig

from setuptools import setup

if sysconfig.get_config_var("Py_GIL_DISABLED"):
    sys.exit("rbcore does not support free-threaded builds of CPython yet (README: Not supported)")

setup(cffi_modules=["build_ffi.py:ffi"])
