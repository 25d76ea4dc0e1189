"""The tests of Bar.d are written for bats: runs a file of them as a person would."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

FILES = Path(__file__).parents[1] / "bar"

SECONDS = 600
"""What a file of tests may take."""

_TEST = re.compile(r"^(?:not )?ok \d+ ", re.MULTILINE)
_SKIPPED = re.compile(r"^ok \d+ .* # skip ?(.*)$", re.MULTILINE)
"""Lines of TAP, as bats 1.8 writes them."""

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

    def judge(self, name: str) -> None:
        """Fail unless all tests of the file `name` passed, and be skipped where some were."""
        assert self.code == 0, f"{name}:\n{self.log}"
        reasons = _SKIPPED.findall(self.log)
        if reasons:
            tests = len(_TEST.findall(self.log))
            pytest.skip(f"{len(reasons)} of {tests} tests: {'; '.join(dict.fromkeys(reasons))}")


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


def run_file(
    name: str, directory: Path, more: Mapping[str, str], *, seconds: float = SECONDS - 20
) -> None:
    """Run a file of tests with this project's `barasync` on PATH; fail with what bats printed.

    `directory` is for the program; `more` is what the tests find in their environment as well.
    After `seconds` the file is ended with all that it has started, and has failed.
    """
    code, log = _run(name, directory, more, seconds)
    Ran(code, log, frozenset()).judge(name)


def _run(
    name: str, directory: Path, more: Mapping[str, str], seconds: float = SECONDS - 20
) -> tuple[int, str]:
    programs = directory / "programs"
    programs.mkdir()
    launcher = programs / "barasync"
    launcher.write_text(_LAUNCHER.format(python=sys.executable))
    launcher.chmod(0o755)
    kept = {key: text for key, text in os.environ.items() if not key.startswith("BARASYNC_")}
    environ = {**kept, "PATH": f"{programs}:{os.environ['PATH']}", **more}
    # Into a file: what a test leaves running would keep a pipe open.
    log = directory / "bats.log"
    with _temporary() as temporary, log.open("wb") as output:
        process = subprocess.Popen(
            ["bats", "--tap", "--print-output-on-failure", "--tempdir", f"{temporary}/run", name],
            cwd=FILES,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            code = _end(process)
            output.write(b"ended by force: it took more than %d s\n" % seconds)
        except BaseException:
            _end(process)
            raise
    return code, log.read_text(errors="replace")


def _temporary() -> tempfile.TemporaryDirectory[str]:
    """Make a directory for what bats would leave in /tmp when killed; its path has to be short."""
    return tempfile.TemporaryDirectory(prefix="barasync-test-", ignore_cleanup_errors=True)


def _end(process: subprocess.Popen[bytes]) -> int:
    """End bats with its tests and what these run, which would go on without it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    return process.wait()
