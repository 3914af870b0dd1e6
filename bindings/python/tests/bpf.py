# SPDX-License-Identifier: MIT
"""This makes rings of the kernel and BPF programs that fill or drain them, by bpf(2) alone."""

from __future__ import annotations

import ctypes
import os
import platform
import struct

NR_BPF = {"x86_64": 321, "aarch64": 280}.get(platform.machine(), -1)
MAP_CREATE, PROG_LOAD, OBJ_PIN, PROG_TEST_RUN, OBJ_GET_INFO_BY_FD, BTF_LOAD = 0, 5, 6, 10, 15, 18
MAP_TYPE_ARRAY, MAP_TYPE_RINGBUF, MAP_TYPE_USER_RINGBUF = 2, 27, 31
PROG_TYPE_SYSCALL, SLEEPABLE = 31, 16
RB_OVERWRITE = 1 << 19
OUTPUT, RESERVE, SUBMIT, DISCARD, DYNPTR_READ, DRAIN = 130, 131, 132, 133, 201, 209

_libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attr: bytes | ctypes.Array[ctypes.c_char]) -> int:
    """A caller that passes an array sees what the kernel writes into attr."""
    if isinstance(attr, bytes):
        attr = ctypes.create_string_buffer(attr.ljust(128, b"\0"), 128)
    result = int(_libc.syscall(NR_BPF, command, attr, 128))
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


def load(code: bytes, functions: tuple[int, int, bytes] = (0, 0, b"")) -> int:
    """functions: the types of the program's functions, how many, and where they begin."""
    types, count, places = functions
    text = ctypes.create_string_buffer(code, len(code))
    license_ = ctypes.create_string_buffer(b"GPL")
    log = ctypes.create_string_buffer(65536)
    info = ctypes.create_string_buffer(places, max(len(places), 1))
    attr = struct.pack(
        "<IIQQIIQII16sIIIIQI",
        PROG_TYPE_SYSCALL, len(code) // 8, ctypes.addressof(text), ctypes.addressof(license_),
        1, len(log), ctypes.addressof(log), 0, SLEEPABLE,
        b"", 0, 0, types, 8 if count else 0, ctypes.addressof(info), count,
    )  # fmt: skip
    try:
        return bpf(PROG_LOAD, attr)
    except OSError as error:
        raise OSError(error.errno, f"{error.strerror}: {log.value.decode()}") from None


def run(program_fd: int, context: bytes) -> int:
    """Returns what the program returned."""
    buffer = ctypes.create_string_buffer(context, len(context))
    # prog_fd, retval, sizes and addresses of data (none), repeat, duration, context
    attr = ctypes.create_string_buffer(
        struct.pack(
            "<IIIIQQIIIIQ", program_fd, 0, 0, 0, 0, 0, 0, 0, len(context), 0,
            ctypes.addressof(buffer),
        ), 128
    )  # fmt: skip
    bpf(PROG_TEST_RUN, attr)
    return int(struct.unpack_from("<Ii", attr)[1])


class KernelRing:
    def __init__(self, size: int, overwrite: bool = False) -> None:
        self.fd = create_map(MAP_TYPE_RINGBUF, 0, 0, size, RB_OVERWRITE if overwrite else 0)
        try:
            self.program = load(program(self.fd))
        except OSError:
            os.close(self.fd)
            raise

    def fileno(self) -> int:
        return self.fd

    def write(self, number: int, discard: bool = False) -> None:
        run(self.program, struct.pack("<QQ", number, discard))

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


def drain_program(requests_fd: int, answers_fd: int) -> bytes:
    """Drains the user ring; answers each record with its first 8 bytes."""
    return b"".join(
        (
            instruction(0x18, dst=1, src=1, imm=requests_fd),
            instruction(0),
            instruction(0x18, dst=2, src=4, imm=5),  # the callback, 5 further on than the next
            instruction(0),
            instruction(0xB7, dst=3),
            instruction(0xB7, dst=4),
            instruction(0x85, imm=DRAIN),
            instruction(0x95),  # with how many there were
            instruction(0xBF, dst=3, src=1),  # the callback: r3 = the record
            instruction(0x7A, dst=10, off=-8),
            instruction(0xBF, dst=1, src=10),
            instruction(0x07, dst=1, imm=-8),
            instruction(0xB7, dst=2, imm=8),
            instruction(0xB7, dst=4),
            instruction(0xB7, dst=5),
            instruction(0x85, imm=DYNPTR_READ),
            instruction(0x18, dst=1, src=1, imm=answers_fd),
            instruction(0),
            instruction(0xBF, dst=2, src=10),
            instruction(0x07, dst=2, imm=-8),
            instruction(0xB7, dst=3, imm=8),
            instruction(0xB7, dst=4),
            instruction(0x85, imm=OUTPUT),
            instruction(0xB7, dst=0),
            instruction(0x95),
        )
    )


CALLBACK_AT = 8


def function_types() -> int:
    """Loads types for two functions, static ones, that return an int: the kernel wants those of
    callbacks.
    """
    names = b"\0int\0drain\0answer\0"
    types = struct.pack("<IIII", 1, 1 << 24, 4, 1 << 24 | 32)  # 1: int
    types += struct.pack("<III", 0, 13 << 24, 1)  # 2: int ()
    types += struct.pack("<III", 5, 12 << 24, 2)  # 3: drain
    types += struct.pack("<III", 11, 12 << 24, 2)  # 4: answer
    header = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(types), len(types), len(names))
    blob = ctypes.create_string_buffer(header + types + names)
    return bpf(BTF_LOAD, struct.pack("<QQI", ctypes.addressof(blob), 0, len(blob) - 1))


class UserRing:
    """Has a user ring, a program that drains it, and the ring into which that answers."""

    def __init__(self, size: int) -> None:
        self.fd = create_map(MAP_TYPE_USER_RINGBUF, 0, 0, size)
        self.answers = create_map(MAP_TYPE_RINGBUF, 0, 0, 4 * size)
        types = function_types()
        places = struct.pack("<IIII", 0, 3, CALLBACK_AT, 4)
        self.program = load(drain_program(self.fd, self.answers), (types, 2, places))
        os.close(types)

    def fileno(self) -> int:
        return self.fd

    def drain(self) -> int:
        """Returns how many records there were."""
        return run(self.program, bytes(8))

    def close(self) -> None:
        for fd in (self.program, self.answers, self.fd):
            os.close(fd)
