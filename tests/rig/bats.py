"""The tests of Bar.d are written for bats: runs a file of them as a person would."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

FILES = Path(__file__).parents[1] / "bar"

SECONDS = 600
"""What a file of tests may take."""

_LAUNCHER = """#!/bin/sh
exec {python} -m barasync "$@"
"""


def files(*, of_effect: bool) -> list[str]:
    """Return the names of the files, of those whose tests need a podman or of the others."""
    names = sorted(path.name for path in FILES.glob("*.bats"))
    return [name for name in names if name.endswith("_effect.bats") is of_effect]


@dataclass(frozen=True, slots=True)
class Ran:
    """What bats printed of a file, and the words of each call of the recording `barasync`."""

    code: int
    log: str
    calls: frozenset[tuple[str, ...]]


@cache
def ran(name: str) -> Ran:
    """Run a file of tests that need no podman, once in a session."""
    with tempfile.TemporaryDirectory(prefix="barasync-test-bats-") as made:
        records = Path(made, "records")
        records.mkdir()
        code, log = _run(name, Path(made), {"BARASYNC_RECORDS": str(records)})
        calls = frozenset(_words(record) for record in records.iterdir())
    return Ran(code, log, calls)


def _words(record: Path) -> tuple[str, ...]:
    return tuple(record.read_text(errors="surrogateescape").split("\0")[:-1])


def run_file(name: str, directory: Path, more: Mapping[str, str]) -> None:
    """Run a file of tests with this project's `barasync` on PATH; fail with what bats printed.

    `directory` is for the program; `more` is what the tests find in their environment as well.
    """
    code, log = _run(name, directory, more)
    assert code == 0, f"{name}:\n{log}"


def _run(name: str, directory: Path, more: Mapping[str, str]) -> tuple[int, str]:
    programs = directory / "programs"
    programs.mkdir()
    launcher = programs / "barasync"
    launcher.write_text(_LAUNCHER.format(python=sys.executable))
    launcher.chmod(0o755)
    kept = {key: text for key, text in os.environ.items() if not key.startswith("BARASYNC_")}
    environ = {**kept, "PATH": f"{programs}:{os.environ['PATH']}", **more}
    # Into a file: what a test leaves running would keep a pipe open.
    log = directory / "bats.log"
    with log.open("wb") as output:
        code = subprocess.run(
            ["bats", "--tap", "--print-output-on-failure", name],
            cwd=FILES,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=SECONDS - 20,
            check=False,
        ).returncode
    return code, log.read_text(errors="replace")
