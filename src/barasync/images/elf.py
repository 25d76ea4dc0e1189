"""The smallest programs: ELF executables that end with 42 or idle, and whose machine a file is.

Only running a program of an architecture proves that a host can run it, and only what runs keeps a
container's mounts. These few instructions need no C library, no loader and no file besides
themselves; they are assembled here by hand.

Source: System V ABI, ELF header and program header; the system calls of each Linux port.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from barasync.matrix.platforms import ARCHITECTURES, Architecture, Platform, describe

EXIT_CODE = 42
"""What a program made here ends with: not 0, not a shell's code, not a signal's."""

HEADER_BYTES = 20
"""How much of a file `machine_of` needs to see."""

ELF_MAGIC = b"\x7fELF"
_CLASSES = {32: 1, 64: 2}
_ORDERS = {"little": 1, "big": 2}
_VERSION = 1
_EXECUTABLE = 2
_LOAD = 1
_READ_EXECUTE = 5
# Congruent to the file offset 0 for every page size in use, 4 KiB to 64 KiB.
_ALIGNMENT = 0x10000
_BASE = 0x400000


_Code = bytes | tuple[int, ...]
"""Instructions: bytes, or 32-bit words still to be written in the architecture's byte order."""


@dataclass(frozen=True, slots=True)
class _Port:
    """What `exit(42)` and an endless wait for a signal are on one, and the kernel's `e_flags`.

    The wait is `pause()`, or `ppoll()` of nothing where there is none, and a jump to its beginning.
    """

    ends: _Code
    idles: _Code
    flags: int = 0


_POWER = _Port(
    ends=(0x3860002A, 0x38000001, 0x44000002),  # li r3, 42; li r0, 1; sc
    idles=(0x3800001D, 0x44000002, 0x4BFFFFF8),  # li r0, 29; sc; b .-8
    flags=2,  # object ABI 2, in which the entry point is an address and not a function descriptor
)
_MIPS = _Port(
    ends=(0x2404002A, 0x24020FA1, 0x0000000C),  # li a0, 42; li v0, 4001; syscall
    idles=(0x24020FBD, 0x0000000C, 0x1000FFFD, 0),  # li v0, 4029; syscall; b .-8; nop
    flags=0x70001000,  # MIPS32 release 2, ABI o32
)
_MIPS64 = _Port(
    ends=(0x2404002A, 0x240213C2, 0x0000000C),  # li a0, 42; li v0, 5058; syscall
    idles=(0x240213A9, 0x0000000C, 0x1000FFFD, 0),  # li v0, 5033; syscall; b .-8; nop
    flags=0x80000000,  # MIPS64 release 2
)

_PORTS: Mapping[str, _Port] = MappingProxyType(
    {
        "amd64": _Port(
            ends=bytes.fromhex("bf2a000000 b83c000000 0f05"),  # mov edi, 42; mov eax, 60; syscall
            idles=bytes.fromhex("b822000000 0f05 ebf7"),  # mov eax, 34; syscall; jmp .-7
        ),
        "386": _Port(
            ends=bytes.fromhex("bb2a000000 b801000000 cd80"),  # mov ebx, 42; mov eax, 1; int 0x80
            idles=bytes.fromhex("b81d000000 cd80 ebf7"),  # mov eax, 29; int 0x80; jmp .-7
        ),
        "arm64": _Port(
            ends=(0x52800540, 0x52800BA8, 0xD4000001),  # mov w0, #42; mov w8, #93; svc #0
            # mov x0…x3, #0; mov x8, #73; svc #0; b .-24
            idles=(
                *(0xD2800000, 0xD2800001, 0xD2800002, 0xD2800003),
                *(0xD2800928, 0xD4000001, 0x17FFFFFA),
            ),
        ),
        "arm": _Port(
            ends=(0xE3A0002A, 0xE3A07001, 0xEF000000),  # mov r0, #42; mov r7, #1; svc #0
            idles=(0xE3A0701D, 0xEF000000, 0xEAFFFFFC),  # mov r7, #29; svc #0; b .-8
            flags=0x05000000,  # EABI version 5
        ),
        "riscv64": _Port(
            ends=(0x02A00513, 0x05D00893, 0x00000073),  # li a0, 42; li a7, 93; ecall
            # li a0…a3, 0; li a7, 73; ecall; j .-24
            idles=(
                *(0x00000513, 0x00000593, 0x00000613, 0x00000693),
                *(0x04900893, 0x00000073, 0xFE9FF06F),
            ),
        ),
        "s390x": _Port(
            ends=bytes.fromhex("a729002a 0a01"),  # lghi %r2, 42; svc 1
            idles=bytes.fromhex("0a1d a7f4ffff"),  # svc 29; j .-2
        ),
        "ppc64le": _POWER,
        "ppc64": _POWER,
        "loong64": _Port(
            # addi.w a0, zero, 42; addi.w a7, zero, 93; syscall 0
            ends=(0x0280A804, 0x0281740B, 0x002B0000),
            # addi.w a0…a3, zero, 0; addi.w a7, zero, 73; syscall 0; b .-24
            idles=(
                *(0x02800004, 0x02800005, 0x02800006, 0x02800007),
                *(0x0281240B, 0x002B0000, 0x53FFEBFF),
            ),
            flags=0x43,  # LP64D, object ABI 1
        ),
        "mips64le": _MIPS64,
        "mips64": _MIPS64,
        "mipsle": _MIPS,
        "mips": _MIPS,
    }
)


def executable(platform: Platform) -> bytes:
    """Return a static executable for Linux on `platform` that exits with `EXIT_CODE`.

    One file of less than 200 bytes: ELF header, one program header, the instructions. `platform`
    is one of the table in `matrix.platforms`; every one of them has a program.
    """
    return _file(platform, _PORTS[platform.architecture].ends)


def idle_executable(platform: Platform) -> bytes:
    """Return one that does nothing until it is killed; as small, and for as many."""
    return _file(platform, _PORTS[platform.architecture].idles)


def _file(platform: Platform, code: _Code) -> bytes:
    machine = describe(platform)
    order = _struct_order(machine)
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
        *(_PORTS[platform.architecture].flags, header_size, program_size, 1, section_size, 0, 0),
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
    return (ELF_MAGIC + bytes(marks)).ljust(16, b"\0")
