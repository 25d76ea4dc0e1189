from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from barasync.images.elf import EXIT_CODE, HEADER_BYTES, executable, idle_executable, machine_of
from barasync.matrix.platforms import ARCHITECTURES, Architecture, native, parse

rows = pytest.mark.parametrize("row", ARCHITECTURES, ids=lambda row: row.name)


def emulator_of(row: Architecture) -> str:
    emulator = shutil.which(f"{row.qemu}-static")
    if emulator is None:
        pytest.skip(f"{row.qemu}-static is not installed (package qemu-user-static)")
    return emulator


@rows
def test_a_program_ends_with_the_exit_code_under_its_emulator(
    row: Architecture, tmp_path: Path
) -> None:
    emulator = emulator_of(row)
    program = tmp_path / "program"
    program.write_bytes(executable(row.platform))
    program.chmod(0o755)

    ended = subprocess.run([emulator, program], capture_output=True, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (EXIT_CODE, b"", b"")


@rows
def test_a_program_idles_under_its_emulator_until_it_is_killed(
    row: Architecture, tmp_path: Path
) -> None:
    """QEMU writes each system call: it makes a single one."""
    emulator = emulator_of(row)
    program = tmp_path / "program"
    program.write_bytes(idle_executable(row.platform))
    program.chmod(0o755)

    with subprocess.Popen([emulator, "-strace", program], stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        begun = os.read(process.stderr.fileno(), 200)
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()

    (call,) = re.findall(rb"(\w+)\(", begun + rest)
    assert call in {b"pause", b"ppoll"}
    assert process.returncode == -signal.SIGTERM


def test_a_program_of_this_machine_runs_without_an_emulator(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(executable(native(os.uname().machine)))
    program.chmod(0o755)

    assert subprocess.run([program], check=False).returncode == EXIT_CODE


@rows
def test_a_program_says_which_machine_it_is_for(row: Architecture) -> None:
    program = executable(row.platform)

    assert machine_of(program[:HEADER_BYTES]) == row.platform.architecture


@rows
def test_a_program_is_tiny(row: Architecture) -> None:
    assert len(executable(row.platform)) < 200
    assert len(idle_executable(row.platform)) < 200


def test_the_machine_of_a_real_program_is_recognised() -> None:
    with Path(sys.executable).open("rb") as program:
        header = program.read(HEADER_BYTES)

    assert machine_of(header) == native(os.uname().machine).architecture


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"#!/bin/sh\nexit 42\n# not a program at all",
        executable(parse("amd64"))[: HEADER_BYTES - 1],
    ],
    ids=["empty", "script", "cut short"],
)
def test_what_is_no_program_has_no_machine(header: bytes) -> None:
    assert machine_of(header) is None


def test_a_32_bit_program_of_a_64_bit_machine_number_is_not_that_machine() -> None:
    # The x32 ABI: e_machine of amd64, ELF class of i386.
    program = bytearray(executable(parse("amd64")))
    program[4] = 1

    assert machine_of(bytes(program)) is None


def test_byte_order_tells_ppc64_from_ppc64le() -> None:
    assert machine_of(executable(parse("ppc64"))) == "ppc64"
    assert machine_of(executable(parse("ppc64le"))) == "ppc64le"


def test_an_unknown_machine_number_has_no_name() -> None:
    program = bytearray(executable(parse("amd64")))
    program[18:20] = b"\xff\xff"

    assert machine_of(bytes(program)) is None
