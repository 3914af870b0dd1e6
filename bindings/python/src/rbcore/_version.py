# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

from ._errors import check
from ._rbcore import lib


def version() -> tuple[int, int, int]:
    """Returns the version of the C library in this package: major, minor, patch."""
    value = lib.rbcore_version()
    return value >> 16, value >> 8 & 0xFF, value & 0xFF


#: This is the version as a string.
__version__ = ".".join(map(str, version()))


def include_dir() -> str:
    """Returns the folder with rbcore/rbcore_bpf.h, for BPF programs that count the records that
    they lose.

    clang -target bpf -I $(python3 -c 'import rbcore; print(rbcore.include_dir())') ...
    """
    return str(Path(__file__).parent / "include")


def supports_kernel_rings() -> bool:
    """Tells whether this kernel has BPF ring buffers. It raises NotPermitted if the process may not
    ask.
    """
    return bool(check(lib.rbcore_supports(lib.RBCORE_FEATURE_KERNEL_RING), "rbcore_supports"))


def supports_memory_rings() -> bool:
    """Tells whether this kernel has what memory rings need."""
    return bool(check(lib.rbcore_supports(lib.RBCORE_FEATURE_MEMORY_RING), "rbcore_supports"))


def supports_overwrite() -> bool:
    """Tells whether this kernel has BPF ring buffers in overwrite mode. It may raise
    NotPermitted.
    """
    return bool(check(lib.rbcore_supports(lib.RBCORE_FEATURE_OVERWRITE), "rbcore_supports"))


def supports_user_rings() -> bool:
    """Tells whether this kernel has BPF user ring buffers. It may raise NotPermitted."""
    return bool(check(lib.rbcore_supports(lib.RBCORE_FEATURE_USER_RING), "rbcore_supports"))
