"""The command line as a person uses it: a process of its own, in a project of its own."""

from __future__ import annotations

import json
import os
import re
import string
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio import to_thread

from tests.rig.pseudo_terminal import PseudoTerminal, on_terminal
from tests.rig.signals import as_a_shell_shows

_PROGRAM = (sys.executable, "-m", "barasync")
_NOTE = re.compile(rb"[^\n]* left on this service; `barasync clean` removes (it|them)\n")


@dataclass(frozen=True, slots=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def said(self) -> str:
        """What came on stderr of its own affairs: see `without_note`."""
        return without_note(self.err.encode()).decode()


def without_note(errors: bytes) -> bytes:
    """Return the stderr of a run without its first line if that counts what dead runs left.

    Cgroups are counted whosever podman they are of: also those of tests beside this one.
    """
    note = _NOTE.match(errors)
    return errors[note.end() :] if note else errors


class _Process(subprocess.Popen[bytes]):
    @property
    def returncode(self) -> Any:
        return self._code

    @returncode.setter
    def returncode(self, code: int | None) -> None:
        self._code = None if code is None else as_a_shell_shows(code)


@dataclass(frozen=True, slots=True)
class Barasync:
    """Runs `barasync` in `directory` against one service, `timeout` seconds at most.

    `within` is a command that executes another one, after changing what it sees of the host.
    `network` is that of cells for which no option, nothing in `environ` and nothing in the
    project's file chooses one; `None` leaves them the default.
    """

    directory: Path
    url: str | None
    environ: Mapping[str, str]
    timeout: float = 50.0
    within: tuple[str, ...] = ()
    # Most tests are about something else: none of them has to pay for a bridge with rules.
    network: str | None = "none"

    def __call__(self, *words: str, url: str | None = None) -> Ended:
        """Run a command to its end; `url` replaces the service's."""
        done = subprocess.run(
            [*self.within, *_PROGRAM, *words],
            cwd=self.directory,
            env=self._environ(url),
            capture_output=True,
            timeout=self.timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        code = as_a_shell_shows(done.returncode)
        return Ended(code, done.stdout.decode(), done.stderr.decode())

    @contextmanager
    def running(
        self,
        *words: str,
        stdin: int = subprocess.DEVNULL,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Run a command beside the test, which reads its stdout; it does not outlive the block.

        Its exit code is what a shell shows.
        """
        process = _Process(
            [*self.within, *_PROGRAM, *words],
            cwd=self.directory,
            env=self._environ(None),
            stdout=stdout,
            stderr=stderr,
            stdin=stdin,
        )
        with process:
            try:
                yield process
            finally:
                process.kill()

    @contextmanager
    def on_terminal(
        self, *words: str, columns: int = 80, rows: int = 24
    ) -> Iterator[PseudoTerminal]:
        """Run a command on a terminal of its own, as somebody who sits before it."""
        command = [*self.within, *_PROGRAM, *words]
        environ = self._environ(None)
        with on_terminal(
            command, cwd=self.directory, environ=environ, columns=columns, rows=rows
        ) as terminal:
            yield terminal

    def configure(self, text: str) -> None:
        """Write the project's `barasync.toml`."""
        (self.directory / "barasync.toml").write_text(text)

    def configure_script(self, image: str, script: str, more: str = "") -> None:
        """Make every cell run a script of the POSIX shell, without the project's files."""
        self.configure(
            f"""
            [defaults]
            image = "{image}"
            command = ["sh", "-c", '''{script}''']
            workspace = "none"
            {more}
            """
        )

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

    def _environ(self, url: str | None) -> dict[str, str]:
        chosen = url or self.url
        given = self.network is None or _chooses_network(self.directory / "barasync.toml")
        network = {} if given else {"BARASYNC_NETWORK": str(self.network)}
        service = {} if chosen is None else {"CONTAINER_HOST": chosen}
        return {**network, **self.environ, **service}


def _chooses_network(file: Path) -> bool:
    """Tell whether a project's file has a network for a cell, which the environment overrides."""
    try:
        document = tomllib.loads(file.read_text())
    except (OSError, ValueError):
        return False
    tables = document.get("defaults"), *document.get("config", {}).values()
    included = document.get("matrix", {}).get("include", ())
    return any("network" in table for table in (*tables, *included) if isinstance(table, dict))


def sleeping_project(url: str, image: str, directory: Path, *, cells: int = 4) -> Barasync:
    """Return the command line in a new project of cells that say `ready` and then sleep.

    They are called `a`, `b` and so on. Its tree is its own, and so are its layers.
    """
    directory.mkdir()
    (directory / "name").write_text(directory.name)
    barasync = Barasync(directory, url, {**os.environ, "NO_COLOR": "1"})
    barasync.configure(
        f"""
        [defaults]
        image = "{image}"
        command = ["sh", "-c", "trap '' TERM; echo ready; sleep 1000"]
        timeout = 600
        [matrix]
        config = {list(string.ascii_lowercase[:cells])}
        """
    )
    return barasync


def read_until(process: subprocess.Popen[bytes], marker: str, times: int) -> None:
    """Read a process's stdout until `times` lines that hold `marker` have come."""
    assert process.stdout is not None
    seen = 0
    while seen < times:
        line = process.stdout.readline()
        assert line, f"stdout ended after {seen} of {times} lines with {marker!r}"
        seen += marker.encode() in line


def read_errors_until(process: subprocess.Popen[bytes], marker: str) -> None:
    """Read a process's stderr until a line ends with `marker`."""
    assert process.stderr is not None
    said = []
    for line in process.stderr:
        said.append(line.decode())
        if said[-1].rstrip().endswith(marker):
            return
    raise AssertionError(f"{marker!r} was not said: {said}")


async def call(barasync: Barasync, *words: str) -> Ended:
    """Run a command to its end in a thread, for a test that awaits podman's client as well."""
    return await to_thread.run_sync(lambda: barasync(*words))
