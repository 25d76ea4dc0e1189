"""Running mmdebstrap, and understanding why it failed."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import anyio
from anyio import to_thread
from anyio.abc import Process

from barasync.aiopodman import LineSplitter
from barasync.images.bootstrap.guard import guarded
from barasync.images.bootstrap.recipe import SCRATCH, Mode

_KEPT_LINES = 60
_SHOWN_LINES = 6
_LINE_BYTES = 2000
_SHOWN_CHARACTERS = 300

_RUN_SECONDS = 3600.0

_PHASES = {
    "running apt-get update": "reading the index of packages",
    "downloading packages with apt": "downloading packages",
    "extracting archives": "unpacking packages",
    "installing essential packages": "installing essential packages",
    "installing remaining packages inside the chroot": "installing packages",
    "creating tarball": "packing the root file system",
}

_PROBLEMS = ("E: ", "W: ", "Err:", "dpkg: error")
_NO_NEWS = ("W: skipping ", "E: mmdebstrap failed to run")


class Failure(Enum):
    """Why mmdebstrap failed, as far as its messages tell; the value is a sentence for a person."""

    SPACE = "there is no space left"
    PRIVILEGES = "this user may not make the namespaces that it takes"
    KEY = "the key that the packages are signed with is missing"
    EXPIRED = "the index of packages is expired"
    INDEX = "the index of packages does not match itself, or is not there"
    SUITE = "the suite does not exist"
    PACKAGE = "a package does not exist, or cannot be installed with the others"
    SCRIPT = "a maintainer script of a package failed"
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
                r"unshare(?: syscall|\(\)|: unshare) failed",
                "failed to unshare",
                "new[ug]idmap",
                "/etc/sub[ug]id",
            ),
        ),
        (Failure.KEY, ("NO_PUBKEY", r"is not signed", "could not be verified", "Missing key")),
        (Failure.EXPIRED, (r"Release file for \S+ is expired",)),
        (
            Failure.INDEX,
            (
                "Hash Sum mismatch",
                "has unexpected size",
                "Mirror sync in progress",
                r"Release file for \S+ is not valid yet",
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
        (Failure.SCRIPT, (r"package \S+ script subprocess returned error",)),
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
        problems = [
            line
            for line in self.lines
            if line.startswith(_PROBLEMS) and not line.startswith(_NO_NEWS)
        ]
        shown = (problems or self.lines)[-_SHOWN_LINES:]
        return tuple(_shorten(line) for line in shown)


async def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    mode: Mode,
    output: int,
    on_progress: Callable[[str], None],
    files: Sequence[Path] = (),
) -> Ended:
    """Run mmdebstrap, its standard output to the file descriptor `output`.

    `environment` is laid over ours. Copies of `files` are put into the temporary directory, for
    which `SCRATCH` stands in the command: apt's own user may not read them where they are, in a
    home directory. `on_progress` is called with a line for every phase. When
    cancelled, mmdebstrap and everything it started are ended (SIGTERM, later SIGKILL) and its
    temporary directory is removed; so they are when this process is killed. `output` then holds a
    part of an archive.
    """
    lines: deque[str] = deque(maxlen=_KEPT_LINES)
    code: int | None = None
    async with guarded(mode, on_progress) as guard:
        # env(1) and not a mapping: the process inherits everything else as it is.
        ours = {**environment, "TMPDIR": str(guard.directory), "LC_ALL": "C.UTF-8"}
        argv = [
            *("env", *(f"{name}={value}" for name, value in ours.items())),
            *(word.replace(SCRATCH, str(guard.directory)) for word in command),
        ]
        for file in files:
            await to_thread.run_sync(_publish, file, guard.directory / file.name)
        with anyio.move_on_after(_RUN_SECONDS):
            async with guard.process(argv, output) as process:
                async for line in _lines(process):
                    lines.append(line)
                    phase = _PHASES.get(line.removeprefix("I: ").rstrip("."))
                    if phase is not None:
                        on_progress(phase)
                code = await process.wait()
    return Ended(code=code, lines=tuple(lines))


def _publish(file: Path, copy: Path) -> None:
    copy.write_bytes(file.read_bytes())
    copy.chmod(0o644)


async def _lines(process: Process) -> AsyncIterator[str]:
    """Yield what the process writes to its standard error, a bounded line at a time."""
    assert process.stderr is not None, "it was asked for"
    splitter = LineSplitter(max_bytes=_LINE_BYTES)
    async for data in process.stderr:
        for line in splitter.feed(data):
            yield line.data.decode("utf-8", errors="replace")
    for line in splitter.finish():
        yield line.data.decode("utf-8", errors="replace")


def _shorten(line: str) -> str:
    """Cut a line that would fill a screen: mmdebstrap repeats command lines with all packages."""
    return line if len(line) <= _SHOWN_CHARACTERS else f"{line[: _SHOWN_CHARACTERS - 1]}…"
