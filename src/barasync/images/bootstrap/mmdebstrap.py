"""Running mmdebstrap, and understanding why it failed."""

from __future__ import annotations

import os
import re
import signal
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from subprocess import DEVNULL, PIPE

import anyio
from anyio import to_thread
from anyio.abc import Process

from barasync.aiopodman import LineSplitter
from barasync.images.bootstrap.recipe import Mode

_KEPT_LINES = 60
_SHOWN_LINES = 6
_LINE_BYTES = 2000

_RUN_SECONDS = 1800.0
_TERMINATE_SECONDS = 15.0
_KILL_SECONDS = 5.0
_REMOVE_SECONDS = 60.0

_PHASES = {
    "running apt-get update": "reading the index of packages",
    "downloading packages with apt": "downloading packages",
    "extracting archives": "unpacking packages",
    "creating tarball": "packing the root file system",
}


class Failure(Enum):
    """Why mmdebstrap failed, as far as its messages tell; the value is a sentence for a person."""

    SPACE = "there is no space left"
    PRIVILEGES = "this user may not make a user namespace with subordinate IDs"
    KEY = "the key that the packages are signed with is missing"
    INDEX = "the index of packages does not match itself, is expired, or is not there"
    SUITE = "the suite does not exist"
    PACKAGE = "a package does not exist, or cannot be installed with the others"
    NETWORK = "the packages could not be downloaded"
    TIME = f"it took longer than {_RUN_SECONDS:.0f} seconds"
    OTHER = "mmdebstrap failed"


# In the order of certainty: a failed download is reported for a broken index as well.
_SYMPTOMS: tuple[tuple[Failure, re.Pattern[str]], ...] = tuple(
    (failure, re.compile("|".join(patterns)))
    for failure, patterns in (
        (Failure.SPACE, ("No space left on device",)),
        (
            Failure.PRIVILEGES,
            (
                "unshare syscall failed",
                "failed to unshare",
                "new[ug]idmap",
                "/etc/sub[ug]id",
            ),
        ),
        (Failure.KEY, ("NO_PUBKEY", r"is not signed", "could not be verified")),
        (
            Failure.INDEX,
            (
                "Hash Sum mismatch",
                "has unexpected size",
                "Mirror sync in progress",
                r"Release file for \S+ is (?:expired|not valid yet)",
                "did not find any indices",
            ),
        ),
        (Failure.SUITE, ("does not have a Release file",)),
        (
            Failure.PACKAGE,
            (
                "Unable to locate package",
                "has no installation candidate",
                "have unmet dependencies",
                r"Version '\S+' for '\S+' was not found",
            ),
        ),
        (
            Failure.NETWORK,
            (
                "Temporary failure resolving",
                "Could not (?:connect|resolve)",
                "Unable to connect",
                "Connection (?:timed out|failed|refused)",
                "Failed to fetch",
            ),
        ),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a run of mmdebstrap ended; `code` is `None` when it was stopped for taking too long.

    `lines` are the last of what it wrote to its standard error.
    """

    code: int | None
    lines: tuple[str, ...] = ()

    @property
    def succeeded(self) -> bool:
        """Whether the archive is whole."""
        return self.code == 0

    @property
    def failure(self) -> Failure:
        """Why it failed."""
        if self.code is None:
            return Failure.TIME
        text = "\n".join(self.lines)
        for failure, symptoms in _SYMPTOMS:
            if symptoms.search(text):
                return failure
        return Failure.OTHER

    @property
    def excerpt(self) -> tuple[str, ...]:
        """The lines that matter to a person: the errors and warnings, or else the last lines."""
        problems = [line for line in self.lines if line.startswith(("E: ", "W: ", "Err:"))]
        return tuple((problems or self.lines)[-_SHOWN_LINES:])


async def run(
    command: Sequence[str], *, mode: Mode, output: int, on_progress: Callable[[str], None]
) -> Ended:
    """Run mmdebstrap, its standard output to the file descriptor `output`.

    `on_progress` is called with a line for every phase. When cancelled, mmdebstrap and everything
    it started are ended (SIGTERM, later SIGKILL) and its temporary directory is removed; `output`
    then holds a part of an archive.
    """
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    code: int | None = None
    async with _scratch(mode, on_progress) as directory:
        # env(1) and not a mapping: the process inherits everything else as it is.
        argv = ["env", f"TMPDIR={directory}", "LC_ALL=C.UTF-8", *command]
        with anyio.move_on_after(_RUN_SECONDS):
            async with _process(argv, output) as process:
                async for line in _lines(process):
                    lines.append(line)
                    phase = _PHASES.get(line.removeprefix("I: ").rstrip("."))
                    if phase is not None:
                        on_progress(phase)
                code = await process.wait()
    return Ended(code=code, lines=tuple(lines))


async def _lines(process: Process) -> AsyncIterator[str]:
    """Yield what the process writes to its standard error, a bounded line at a time."""
    assert process.stderr is not None, "it was asked for"
    splitter = LineSplitter(max_bytes=_LINE_BYTES)
    async for data in process.stderr:
        for line in splitter.feed(data):
            yield line.data.decode("utf-8", errors="replace")
    for line in splitter.finish():
        yield line.data.decode("utf-8", errors="replace")


@asynccontextmanager
async def _process(argv: Sequence[str], output: int) -> AsyncIterator[Process]:
    """Start a process in a group of its own, and end the whole group on leaving."""
    process = await anyio.open_process(
        argv, stdin=DEVNULL, stdout=output, stderr=PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
            await process.aclose()


async def _end(process: Process) -> None:
    """End what runs, with time to clean up; nothing happens when it has ended."""
    for number, seconds in (
        (signal.SIGTERM, _TERMINATE_SECONDS),
        (signal.SIGKILL, _KILL_SECONDS),
    ):
        if process.returncode is not None:
            return
        with suppress(ProcessLookupError):  # it has ended just now
            os.killpg(process.pid, number)
        with anyio.move_on_after(seconds):
            await process.wait()


@asynccontextmanager
async def _scratch(mode: Mode, on_progress: Callable[[str], None]) -> AsyncIterator[Path]:
    """Make a directory for mmdebstrap's temporary files, and remove what it leaves there."""
    directory = await to_thread.run_sync(_make_scratch)
    try:
        yield directory
    finally:
        with anyio.CancelScope(shield=True):
            await _remove_scratch(directory, mode)
            if await to_thread.run_sync(directory.exists):
                on_progress(f"{directory} could not be removed; remove it by hand")


def _make_scratch() -> Path:
    directory = Path(tempfile.mkdtemp(prefix="barasync-bootstrap-"))
    # apt's own user, and the users of a namespace, have to get through.
    directory.chmod(0o755)
    return directory


async def _remove_scratch(directory: Path, mode: Mode) -> None:
    """Remove the directory with everything below it that is on the same file system."""
    remove = ["rm", "--recursive", "--force", "--one-file-system", "--", str(directory)]
    commands = [remove]
    if mode == "unshare":
        # The files may belong to subordinate IDs, which only a user namespace can touch; the
        # directory itself is this user's.
        commands.insert(0, ["mmdebstrap", "--unshare-helper", *remove])
    with anyio.move_on_after(_REMOVE_SECONDS):
        for command in commands:
            await anyio.run_process(command, check=False)
