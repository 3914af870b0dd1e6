# SPDX-License-Identifier: MIT
"""Reads the BPF ring buffer in batches, without copying; you decide when space is given back.

>>> with rbcore.Reader("/sys/fs/bpf/events") as reader:
...     for batch in reader:
...         for record in batch:
...             print(len(record), "bytes")
"""

from ._abi import ReaderStats, RecordFlags, RingFlags, RingStats, SnapshotInfo
from ._batch import Batch
from ._errors import (
    Busy,
    Closed,
    Corrupt,
    EndOfFile,
    Error,
    Flushed,
    Full,
    Interrupted,
    NotFound,
    NotPermitted,
)
from ._lease import Lease, LeaseReader
from ._producer import Buffer, Producer, Reservation
from ._reader import Reader
from ._snapshot import Snapshot
from ._source import Identity, MapID, MemoryRing, Source, SourceStats, ring_stats
from ._version import (
    __version__,
    include_dir,
    supports_kernel_rings,
    supports_memory_rings,
    supports_overwrite,
    supports_user_rings,
    version,
)

__all__ = [
    "Batch",
    "Buffer",
    "Busy",
    "Closed",
    "Corrupt",
    "EndOfFile",
    "Error",
    "Flushed",
    "Full",
    "Identity",
    "Interrupted",
    "Lease",
    "LeaseReader",
    "MapID",
    "MemoryRing",
    "NotFound",
    "NotPermitted",
    "Producer",
    "Reader",
    "ReaderStats",
    "RecordFlags",
    "Reservation",
    "RingFlags",
    "RingStats",
    "Snapshot",
    "SnapshotInfo",
    "Source",
    "SourceStats",
    "__version__",
    "include_dir",
    "ring_stats",
    "supports_kernel_rings",
    "supports_memory_rings",
    "supports_overwrite",
    "supports_user_rings",
    "version",
]
