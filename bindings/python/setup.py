# SPDX-License-Identifier: MIT
"""What pyproject.toml cannot say: the extension is compiled by cffi."""

from setuptools import setup

setup(cffi_modules=["build_ffi.py:ffi"])
