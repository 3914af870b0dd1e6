# SPDX-License-Identifier: MIT
"""Vectors of snapshots: what is in one that is taken of a ring, and in files. The files are written
and read here as capi/snapshot-format.md says, with zlib's checksum.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from struct import Struct

from model import BUSY, DISCARD, HEADER, SMALL, U64, Vector, fnv1a, payload, span
from overwriting import Overwriting

MAP, MEMORY_RING = 3, 4  # the kinds of rings
MAGIC = b"rbsnap\r\n"
BEGIN = Struct("<8sII")  # magic, version, size of the header
REST = Struct("<II16s9Q")  # byte order, checksum of the content, boot id, then the numbers
NUMBERS = (
    "kind",
    "ring_id",
    "ring_size",
    "first",
    "end",
    "producer",
    "missed",
    "realtime",
    "boottime",
)


def content_of(*records: tuple[int, int]) -> bytes:
    """Records of these sizes and flags, as they lie in a ring."""
    content = b""
    for i, (size, flags) in enumerate(records):
        header = (size | flags).to_bytes(4, "little") + b"\0\0\0\0"
        content += (header + payload(i, size)).ljust(span(size), b"\xee")
    return content


@dataclass
class File:
    """The content of a file; whatever is set here is written so, sound or not."""

    content: bytes = content_of((8, 0), (3, 0), (0, 0), (40, DISCARD), (100, 0))
    version: int = 1
    header_size: int = 128
    more: bytes = b""  # what a later version has behind what this one knows
    order: int = 0
    boot_id: bytes = bytes(range(1, 17))
    first: int = 800
    length: int | None = None  # that the header tells, if not the content's
    numbers: dict[str, int] = field(default_factory=dict)

    def data(self) -> bytes:
        length = len(self.content) if self.length is None else self.length
        numbers = {
            "kind": MEMORY_RING,
            "ring_id": 1234567,
            "ring_size": SMALL,
            "first": self.first,
            "end": (self.first + length) % U64,
            "producer": (self.first + length + 16) % U64,
            "missed": 24,
            "realtime": 1_763_726_400_000_000_000,
            "boottime": 98_765_432_109,
        } | self.numbers
        header = BEGIN.pack(MAGIC, self.version, self.header_size)
        checksum = zlib.crc32(self.content)
        header += REST.pack(self.order, checksum, self.boot_id, *(numbers[n] for n in NUMBERS))
        header = header.ljust(124, b"\0") + self.more
        return header + zlib.crc32(header).to_bytes(4, "little") + self.content


def is_other_block(data: bytes) -> bool:
    return data[:2] == MAGIC[:2] and data[6:8] == MAGIC[6:] and data[:8] != MAGIC


def lines_of(data: bytes) -> tuple[list[str], bytes]:
    """Reads a file: the lines that say what is in it, and what is behind it."""
    if len(data) >= BEGIN.size and is_other_block(data):
        size = int.from_bytes(data[8:16], "little")
        if not BEGIN.size <= size <= min(1 << 31, len(data)):
            return ["load EBADMSG"], b""
        lines, behind = lines_of(data[size:])
        return [line for line in lines if line != "save"], behind
    if not data:
        return ["load ENODATA"], b""
    if len(data) < BEGIN.size:
        return ["load EBADMSG"], b""
    magic, version, header_size = BEGIN.unpack_from(data)
    if magic != MAGIC or version == 0:
        return ["load EBADMSG"], b""
    if version > 1:
        return ["load E2BIG"], b""
    possible = 128 <= header_size <= 4096 and header_size % 8 == 0
    if not possible or len(data) < header_size:
        return ["load EBADMSG"], b""
    header = data[: header_size - 4]
    if data[header_size - 4 : header_size] != zlib.crc32(header).to_bytes(4, "little"):
        return ["load EBADMSG"], b""
    order, checksum, boot_id, *numbers = REST.unpack_from(data, BEGIN.size)
    if order != 0:
        return ["load EOPNOTSUPP"], b""
    info = dict(zip(NUMBERS, numbers))
    size, length = info["ring_size"], (info["end"] - info["first"]) % U64
    content = data[header_size : header_size + length]
    if (
        info["kind"] not in (MAP, MEMORY_RING)
        or size not in (1 << power for power in range(32))
        or info["first"] % 8
        or info["end"] % 8
        or length > size
        or len(content) < length
        or zlib.crc32(content) != checksum
    ):
        return ["load EBADMSG"], b""
    names = ("kind", "ring_id", "ring_size", "realtime", "boottime")
    taken = f"taken {boot_id.hex()} " + " ".join(str(info[name]) for name in names)
    extent = f"extent {info['first']} {info['end']} {info['producer']} {info['missed']}"
    lines = ["load 0", taken, extent, *records_of(content, info["first"])]
    if header_size == 128:
        lines.append("save")
    return lines, data[header_size + length :]


def records_of(content: bytes, first: int) -> Iterator[str]:
    at = 0
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "little")
        size = length & ~DISCARD
        if length & BUSY or at + span(size) > len(content):
            yield "kept_end EBADMSG"
            return
        if not length & DISCARD:
            data = content[at + HEADER : at + HEADER + size]
            yield f"kept {(first + at) % U64} {size} {fnv1a(data)}"
        at += span(size)
    yield "kept_end 0"


def file(about: str, data: bytes) -> str:
    lines = [f"# {about}"]
    if data:
        lines.append(f"file {data.hex()}")
    while lines[-1].split()[0] != "load":
        more, data = lines_of(data)
        lines += more
    return "\n".join(lines) + "\n"


def good_files() -> Iterator[tuple[str, str, bytes]]:
    yield "usual", "Records of some sizes, one of them discarded", File().data()
    yield "empty", "No records", File(content=b"").data()
    yield "discards", "Only discarded records", File(content=content_of(*[(9, DISCARD)] * 4)).data()
    many = content_of(*((i % 50, DISCARD if i % 7 == 0 else 0) for i in range(100)))
    yield "many", "A hundred records", File(content=many).data()
    yield "full", "As much as a ring can hold", File(content=content_of((SMALL - 8, 0))).data()
    yield "map", "Of a BPF map", File(numbers={"kind": MAP, "ring_id": 77}).data()
    large = {"ring_size": 1 << 31}
    yield "largest-ring", "Of the largest ring of the kernel", File(numbers=large).data()
    small = {"ring_size": 16}
    yield (
        "small-ring",
        "Of a ring of 16 bytes",
        File(content=content_of((1, 0)), numbers=small).data(),
    )
    yield "last-lap", "Positions that pass 2^64", File(first=U64 - 40).data()
    unknown = File(boot_id=bytes(16)).data()
    yield "unknown-boot", "A machine that did not tell its boot id", unknown
    for more in (8, 64, 4096 - 128):
        later = File(header_size=128 + more, more=b"\xa5" * more).data()
        yield (
            f"longer-header-{more}",
            f"A header with {more} bytes that this version ignores",
            later,
        )
    two = File().data() + File(content=content_of((5, 0))).data()
    yield "two", "One behind the other", two
    yield "two-cut", "A whole one before one that is cut off", two[:-1]
    block = b"rbtype\r\n" + (21).to_bytes(8, "little") + b"types"
    yield "behind-a-block", "Behind a block of another kind", block + File().data()
    blocks = block + File().data() + block + block + File(content=b"").data() + block
    yield "blocks", "Blocks of another kind before, between and behind", blocks
    smallest = b"rb\0\xff\r\n\r\n" + (16).to_bytes(8, "little")
    yield "smallest-block", "The smallest block of another kind", smallest + File().data()
    yield "before-text", "Something else behind it", File().data() + b"something else"


def damaged_files() -> Iterator[tuple[str, str, bytes]]:
    whole = File().data()
    for size in (0, 1, 15, 16, 127, 128, len(whole) - 1):
        yield f"cut-at-{size:03}", f"Only the first {size} bytes", whole[:size]
    for at in (0, 6, 8, 12, 16, 20, 24, 40, 56, 64, 72, 100, 120, 124, 128, 200, len(whole) - 1):
        flipped = whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
        yield f"flipped-at-{at:03}", f"One bit of byte {at} differs", flipped
    yield "text", "A transfer that changed line ends", whole.replace(b"\r\n", b"\n")
    yield "other", "Another kind of file", b"#!/bin/sh\n" * 30
    foreign = b"xbtype\r\n" + (21).to_bytes(8, "little") + b"types"
    yield "foreign-block", "A block whose magic is of another form", foreign + whole
    for size in (0, 15, 17, (1 << 31) + 1, 1 << 32, (1 << 64) - 1):
        block = b"rbtype\r\n" + size.to_bytes(8, "little")
        yield f"block-of-{size}", f"A block of another kind that says {size} bytes", block


def forged_files() -> Iterator[tuple[str, str, bytes]]:
    """Their checksums are right."""
    for version in (0, 2, 1 << 31):
        yield f"version-{version}", f"Version {version}", File(version=version).data()
    for size in (0, 120, 124, 129, 136, 4104, (1 << 32) - 8):
        yield f"header-size-{size}", f"A header of {size} bytes", File(header_size=size).data()
    for order in (1, 7):
        yield f"order-{order}", f"Byte order {order}", File(order=order).data()
    for name, number in (
        ("kind", 0),
        ("kind", 5),
        ("ring_size", 0),
        ("ring_size", 128),
        ("ring_size", 4095),
        ("ring_size", 1 << 32),
        ("ring_size", 1 << 63),
    ):
        forged = File(numbers={name: number}).data()
        yield f"{name.replace('_', '-')}-{number}", f"Says {name} {number}", forged
    yield "unaligned", "Begins between records", File(first=804).data()
    yield "unaligned-end", "Ends between records", File(content=content_of((8, 0))[:-4]).data()
    larger = File(content=content_of((SMALL, 0))).data()
    yield "larger-than-ring", "More than the ring holds", larger
    for length in (1 << 12, 1 << 31):
        promise = File(length=length, numbers={"ring_size": 1 << 31}).data()
        yield f"promise-{length}", f"Promises {length} bytes", promise
    backwards = File(length=-8).data()
    yield "backwards", "Ends before it begins", backwards
    good = content_of((8, 0), (20, 0))
    for name, about, header in (
        ("oversize", "A record that goes beyond the end", 9),
        ("oversize-most", "A record of the largest size that can be written down", DISCARD - 1),
        ("oversize-discard", "A discarded one that goes beyond the end", DISCARD | 4000),
        ("busy", "A record that is being written", BUSY | 8),
    ):
        content = good + header.to_bytes(4, "little") + bytes(12)
        yield name, about, File(content=content).data()


def taken() -> Iterator[tuple[str, Vector]]:
    """Snapshots of rings, taken by a reader."""
    some = Vector("All that is there, before, between and after reads")
    some.records(8, 9).discard(10).records(11).add().snapshot().read(2).snapshot()
    yield "normal", some.commit(0).snapshot().commit_all().snapshot().record(5).snapshot()
    yield "normal-empty", Vector("Of an empty ring").add().snapshot()
    busy = Vector("Not what is being written, nor what is behind it").records(8)
    yield "normal-busy", busy.record(8, BUSY).record(8).add().snapshot()
    wraps = Vector("Across the end of the data").start_at(SMALL - 24).records(100, 5, 700)
    yield "normal-wraps", wraps.add().snapshot()
    broken = Vector("Of a ring whose content is impossible").records(8).header(0, 5000)
    yield "normal-impossible", broken.add().snapshot()
    over = Overwriting("What is left, also when it was read and given back")
    over.records(*[300] * 40).add().snapshot().read_all().commit_all().snapshot()
    yield "overwrite", over.records(*[77] * 30).snapshot().read_all().commit_all().lost()
    writing = Overwriting("Up to what is being written")
    writing.records(*[200] * 18).record(8, BUSY).records(40, 40)
    yield "overwrite-busy", writing.add().snapshot()
    last = Overwriting("The last lap before 2^64").start_at(U64 - 3000).records(*[111] * 60)
    yield "overwrite-last-lap", last.add().snapshot()


def described() -> Iterator[tuple[str, Vector]]:
    """Records that are held, as files."""
    some = Vector("Some and all of what was read, with discarded records between")
    some.records(8, 9).discard(10).records(11, 0).discard(0).records(100).discard(5).records(3)
    some.add().read(5).describe(0, 4).describe(1, 2).describe(3, 3)
    yield "normal", some.commit(1).describe(2, 4).describe(2, 2).read().describe(0, 0)
    wraps = Vector("Across the end of the data").start_at(SMALL - 40).records(5, 0, 100)
    yield "wraps", wraps.discard(300).records(7).add().read().describe(0, 3).describe(1, 2)
    changed = Vector("A record between was changed after it was read").records(8, 8, 8, 8).add()
    changed.read().describe(0, 3)
    for header in (BUSY | 8, 24, DISCARD | 24, DISCARD - 1):
        changed.header(16, header).describe(0, 2)
    yield "changed", changed.header(16, DISCARD | 8).describe(0, 3)
    over = Overwriting("What is left of a ring in overwrite mode").records(*[150] * 60).add()
    yield "overwrite", over.read().describe(0, 5).describe(2, 3)
    last = Overwriting("The last lap before 2^64").start_at(U64 - 504).records(*[111] * 8)
    yield "overwrite-last-lap", last.add().read().describe(0, 7).describe(3, 5)


def vectors() -> Iterator[tuple[str, str]]:
    """All of them, by name."""
    for name, made in described():
        yield f"described-{name}", made.text()
    for name, made in taken():
        yield f"taken-{name}", made.text()
    kinds = (("", good_files()), ("damaged-", damaged_files()), ("forged-", forged_files()))
    for kind, files in kinds:
        for name, about, data in files:
            yield f"file-{kind}{name}", file(about, data)
