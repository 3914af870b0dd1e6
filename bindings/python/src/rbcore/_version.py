# SPDX-License-Identifier: MIT
from __future__ import annotations

from pathlib import Path

from ._errors import check
from ._rbcore import lib


def version() -> tuple[int, int, int]:
    """The version of the C library in this package: major, minor, patch."""
    value = lib.rbcore_version()
    return value >> 16, value >> 8 & 0xFF, value & 0xFF


#: The version as a string.
__version__ = ".".join(map(str, version()))


def include_dir() -> str:
    """The folder with rbcore/rbcore_bpf.h, for BPF programs that count the records that they lose.

    clang -target bpf -I $(python3 -c 'import rbcore; print(rbcore.include_dir())') ...
    """
    return str(Path(__file__).parent / "include")


def supports_kernel_rings() -> bool:
    """Whether this kernel has BPF ring buffers. NotPermitted if the process may not ask."""
    return bool(check(lib.rbcore_supports(lib.RBCORE_FEATURE_KERNEL_RING), "rbcore_supports"))


def supports_memory_rings() -> bool:
    """Whether this kernel has what memory rings need."""
    return bool(check(lib.rbcore_supports(lib.RBCORE_FEATURE_MEMORY_RING), "rbcore_supports"))


def supports_overwrite() -> bool:
    """Whether this kernel has BPF ring buffers in overwrite mode. May raise NotPermitted."""
    return bool(check(lib.rbcore_supports(lib.RBCORE_FEATURE_OVERWRITE), "rbcore_supports"))


def supports_user_rings() -> bool:
    """Whether this kernel has BPF user ring buffers. May raise NotPermitted."""
    return bool(check(lib.rbcore_supports(lib.RBCORE_FEATURE_USER_RING), "rbcore_supports"))
