"""The command line as a person uses it: a process of its own, in a project of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TIMEOUT = 50.0


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str


@dataclass(frozen=True, slots=True)
class Barasync:
    """Runs `barasync` in `directory` against one service."""

    directory: Path
    url: str | None
    environ: Mapping[str, str]

    def __call__(self, *words: str, url: str | None = None) -> Ended:
        """Run a command to its end; `url` replaces the service's."""
        command = self._command(words, url)
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=dict(self.environ),
            capture_output=True,
            timeout=TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        return Ended(done.returncode, done.stdout.decode(), done.stderr.decode())

    @contextmanager
    def running(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command beside the test, which reads its stdout; it does not outlive the block."""
        process = subprocess.Popen(
            self._command(words, None),
            cwd=self.directory,
            env=dict(self.environ),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    def configure(self, text: str) -> None:
        """Write the project's `barasync.toml`."""
        (self.directory / "barasync.toml").write_text(text)

    def record(self) -> Path:
        """Return the directory of the newest run."""
        return (self.directory / ".barasync" / "runs" / "latest").resolve()

    def result(self) -> dict[str, Any]:
        """Return the result of the newest run."""
        document = json.loads((self.record() / "result.json").read_text())
        assert isinstance(document, dict)
        return document

    def statuses(self) -> dict[str, str]:
        """Return the status of every cell of the newest run."""
        return {cell["id"]: cell["status"] for cell in self.result()["cells"]}

    def log(self, cell: str, name: str = "output.log") -> str:
        """Return a log of a cell of the newest run."""
        return (self.record() / "cells" / cell / name).read_text()

    def _command(self, words: Sequence[str], url: str | None) -> list[str]:
        chosen = url or self.url
        where = [] if chosen is None else ["--url", chosen]
        name, *rest = words
        return [sys.executable, "-m", "barasync", name, *where, *rest]


def read_until(process: subprocess.Popen[bytes], marker: str, times: int) -> None:
    """Read a process's stdout until `times` lines that hold `marker` have come."""
    assert process.stdout is not None
    seen = 0
    while seen < times:
        line = process.stdout.readline()
        assert line, f"stdout ended after {seen} of {times} lines with {marker!r}"
        seen += marker.encode() in line
