# SPDX-License-Identifier: MIT
"""A ring of the kernel and a BPF program that writes numbers into it, by bpf(2) alone."""

from __future__ import annotations

import ctypes
import os
import platform
import struct

NR_BPF = {"x86_64": 321, "aarch64": 280}.get(platform.machine(), -1)
MAP_CREATE, PROG_LOAD, OBJ_PIN, PROG_TEST_RUN, OBJ_GET_INFO_BY_FD = 0, 5, 6, 10, 15
MAP_TYPE_ARRAY, MAP_TYPE_RINGBUF, MAP_TYPE_USER_RINGBUF = 2, 27, 31
PROG_TYPE_SYSCALL, SLEEPABLE = 31, 16
RB_OVERWRITE = 1 << 19
RESERVE, SUBMIT, DISCARD = 131, 132, 133

_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attr: bytes) -> int:
    buffer = ctypes.create_string_buffer(attr.ljust(128, b"\0"), 128)
    result = int(_libc.syscall(NR_BPF, command, buffer, 128))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def create_map(kind: int, key: int, value: int, entries: int, flags: int = 0) -> int:
    return bpf(MAP_CREATE, struct.pack("<IIIII", kind, key, value, entries, flags))


def instruction(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return struct.pack("<BBhi", code, src << 4 | dst, off, imm)


def program(ring_fd: int) -> bytes:
    """The context is two words: a number, and whether to discard it."""
    return b"".join(
        (
            instruction(0x79, dst=7, src=1, off=0),  # r7 = the number
            instruction(0x79, dst=8, src=1, off=8),  # r8 = whether to discard
            instruction(0x18, dst=1, src=1, imm=ring_fd),  # r1 = the map
            instruction(0),
            instruction(0xB7, dst=2, imm=8),
            instruction(0xB7, dst=3),
            instruction(0x85, imm=RESERVE),
            instruction(0x15, dst=0, off=8),  # full: leave
            instruction(0x7B, dst=0, src=7),  # the record = the number
            instruction(0xBF, dst=1, src=0),
            instruction(0xB7, dst=2),
            instruction(0x55, dst=8, off=2),
            instruction(0x85, imm=SUBMIT),
            instruction(0x05, off=2),
            instruction(0x85, imm=DISCARD),
            instruction(0x05),
            instruction(0xB7, dst=0),
            instruction(0x95),
        )
    )


class KernelRing:
    def __init__(self, size: int, overwrite: bool = False) -> None:
        self.fd = create_map(MAP_TYPE_RINGBUF, 0, 0, size, RB_OVERWRITE if overwrite else 0)
        code = ctypes.create_string_buffer(program(self.fd))
        license_ = ctypes.create_string_buffer(b"GPL")
        log = ctypes.create_string_buffer(65536)
        attr = struct.pack(
            "<IIQQIIQII",
            PROG_TYPE_SYSCALL,
            (len(code) - 1) // 8,
            ctypes.addressof(code),
            ctypes.addressof(license_),
            1,
            len(log),
            ctypes.addressof(log),
            0,
            SLEEPABLE,
        )
        try:
            self.program = bpf(PROG_LOAD, attr)
        except OSError as error:
            os.close(self.fd)
            raise OSError(error.errno, f"{error.strerror}: {log.value.decode()}") from None

    def fileno(self) -> int:
        return self.fd

    def write(self, number: int, discard: bool = False) -> None:
        context = struct.pack("<QQ", number, discard)
        buffer = ctypes.create_string_buffer(context, len(context))
        # prog_fd, retval, sizes and addresses of data (none), repeat, duration, context
        attr = struct.pack(
            "<IIIIQQIIIIQ", self.program, 0, 0, 0, 0, 0, 0, 0, len(context), 0,
            ctypes.addressof(buffer),
        )  # fmt: skip
        bpf(PROG_TEST_RUN, attr)

    def pin(self, path: str) -> None:
        name = ctypes.create_string_buffer(path.encode())
        bpf(OBJ_PIN, struct.pack("<QI", ctypes.addressof(name), self.fd))

    def map_id(self) -> int:
        info = ctypes.create_string_buffer(256)
        attr = struct.pack("<IIQ", self.fd, len(info), ctypes.addressof(info))
        bpf(OBJ_GET_INFO_BY_FD, attr)
        return int(struct.unpack_from("<II", info)[1])

    def close(self) -> None:
        os.close(self.program)
        os.close(self.fd)
