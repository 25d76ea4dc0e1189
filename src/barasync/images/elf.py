"""The smallest foreign program: an ELF executable that ends with 42, and whose machine a file is.

Only running a program of an architecture proves that a host can run it. These few instructions
need no C library, no loader and no file besides themselves; they are assembled here by hand.

Source: System V ABI, ELF header and program header; the exit system call of each Linux port.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from barasync.matrix.platforms import ARCHITECTURES, Architecture, Platform, describe

EXIT_CODE = 42
"""What every program made here ends with: not 0, not a shell's code, not a signal's."""

HEADER_BYTES = 20
"""How much of a file `machine_of` needs to see."""

_MAGIC = b"\x7fELF"
_CLASSES = {32: 1, 64: 2}
_ORDERS = {"little": 1, "big": 2}
_VERSION = 1
_EXECUTABLE = 2
_LOAD = 1
_READ_EXECUTE = 5
# Congruent to the file offset 0 for every page size in use, 4 KiB to 64 KiB.
_ALIGNMENT = 0x10000
_BASE = 0x400000


@dataclass(frozen=True, slots=True)
class _Program:
    """The instructions of `exit(42)`, and the `e_flags` that the port's kernel looks at.

    `code` is bytes, or 32-bit instructions still to be written in the architecture's byte order.
    """

    code: bytes | tuple[int, ...]
    flags: int = 0


_POWER = (0x3860002A, 0x38000001, 0x44000002)  # li r3, 42; li r0, 1; sc
_MIPS = (0x2404002A, 0x24020FA1, 0x0000000C)  # li a0, 42; li v0, 4001; syscall
_MIPS64 = (0x2404002A, 0x240213C2, 0x0000000C)  # li a0, 42; li v0, 5058; syscall

_PROGRAMS: Mapping[str, _Program] = MappingProxyType(
    {
        # mov edi, 42; mov eax, 60; syscall
        "amd64": _Program(bytes.fromhex("bf2a000000 b83c000000 0f05")),
        # mov ebx, 42; mov eax, 1; int 0x80
        "386": _Program(bytes.fromhex("bb2a000000 b801000000 cd80")),
        # mov w0, #42; mov w8, #93; svc #0
        "arm64": _Program((0x52800540, 0x52800BA8, 0xD4000001)),
        # mov r0, #42; mov r7, #1; svc #0; EABI version 5
        "arm": _Program((0xE3A0002A, 0xE3A07001, 0xEF000000), flags=0x05000000),
        # li a0, 42; li a7, 93; ecall
        "riscv64": _Program((0x02A00513, 0x05D00893, 0x00000073)),
        # lghi %r2, 42; svc 1
        "s390x": _Program(bytes.fromhex("a729002a 0a01")),
        # Object ABI 2, in which the entry point is an address and not a function descriptor.
        "ppc64le": _Program(_POWER, flags=2),
        "ppc64": _Program(_POWER, flags=2),
        # addi.w a0, zero, 42; addi.w a7, zero, 93; syscall 0; LP64D, object ABI 1
        "loong64": _Program((0x0280A804, 0x0281740B, 0x002B0000), flags=0x43),
        # MIPS64 release 2
        "mips64le": _Program(_MIPS64, flags=0x80000000),
        "mips64": _Program(_MIPS64, flags=0x80000000),
        # MIPS32 release 2, ABI o32
        "mipsle": _Program(_MIPS, flags=0x70001000),
        "mips": _Program(_MIPS, flags=0x70001000),
    }
)


def executable(platform: Platform) -> bytes:
    """Return a static executable for Linux on `platform` that exits with `EXIT_CODE`.

    One file of less than 200 bytes: ELF header, one program header, the instructions. `platform`
    is one of the table in `matrix.platforms`; every one of them has a program.
    """
    machine = describe(platform)
    program = _PROGRAMS[platform.architecture]
    order = _struct_order(machine)
    code = program.code
    if not isinstance(code, bytes):
        code = struct.pack(f"{order}{len(code)}I", *code)
    wide = machine.elf_class == 64  # noqa: PLR2004  # bits
    header_size, program_size, section_size = (64, 56, 64) if wide else (52, 32, 40)
    start = header_size + program_size
    address = "Q" if wide else "I"
    # e_type … e_shstrndx; there are no sections.
    header = struct.pack(
        f"{order}HHI{3 * address}IHHHHHH",
        *(_EXECUTABLE, machine.elf_machine, _VERSION, _BASE + start, header_size, 0),
        *(program.flags, header_size, program_size, 1, section_size, 0, 0),
    )
    # One segment: the whole file. The flags stand second in a wide header, last but one otherwise.
    size = start + len(code)
    segment = (0, _BASE, _BASE, size, size)
    entry = (
        struct.pack(f"{order}II6Q", _LOAD, _READ_EXECUTE, *segment, _ALIGNMENT)
        if wide
        else struct.pack(f"{order}8I", _LOAD, *segment, _READ_EXECUTE, _ALIGNMENT)
    )
    return _identification(machine) + header + entry + code


def machine_of(header: bytes) -> str | None:
    """Return the OCI name of the architecture of the program that begins with `header`.

    `header` is the first `HEADER_BYTES` of a file or more. `None` when it is not ELF, is cut
    short, or is for a machine that is not in the table. ARM's variants look the same.
    """
    if len(header) < HEADER_BYTES:
        return None
    for row in ARCHITECTURES:
        (number,) = struct.unpack_from(f"{_struct_order(row)}H", header, 18)
        if header.startswith(_identification(row)[:6]) and number == row.elf_machine:
            return row.platform.architecture
    return None


def _struct_order(machine: Architecture) -> str:
    return "<" if machine.byte_order == "little" else ">"


def _identification(machine: Architecture) -> bytes:
    """Return `e_ident`: magic, class, byte order, version, and the System V ABI."""
    marks = (_CLASSES[machine.elf_class], _ORDERS[machine.byte_order], _VERSION)
    return (_MAGIC + bytes(marks)).ljust(16, b"\0")
