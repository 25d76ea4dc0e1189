"""The record of a run on disk: its directory, and the output of every cell as it arrives.

    .barasync/
    ├── .gitignore                    everything below is ours
    ├── history.json                  how long cells took, and how they ended
    ├── background/                   what is begun for later (`cli.background_entries`)
    ├── builds/
    │   ├── latest -> BUILD
    │   └── BUILD/NAME-ARCH.log       what the steps of an image printed
    ├── shells/RUN/                   as a run's, of a shell: what was said there is not in it
    └── runs/
        ├── latest -> RUN
        └── RUN/
            ├── events.jsonl  result.json
            ├── images/NAME-ARCH.log  the same, of images that the run made
            ├── cells/CELL/           stdout.log  stderr.log  output.log  artifacts.json
            ├── cells/CELL/services/  NAME.log, of what runs beside it
            ├── cells/CELL/attempt-2/ the same, for a later attempt
            └── artifacts/CELL/

`RunDirectory` and `BuildDirectory` make it and know every path in it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from barasync.errors import ConfigError

STDOUT_LOG = "stdout.log"
STDERR_LOG = "stderr.log"
OUTPUT_LOG = "output.log"
MANIFEST = "artifacts.json"
SERVICES = "services"
LATEST = "latest"

_STATE_DIRECTORY = ".barasync"
_TOKEN_BYTES = 2
_ATTEMPTS_AT_A_NAME = 64


def cell_logs(cell: str, attempt: int) -> PurePosixPath:
    """Return the directory of an attempt's log files, relative to the run's directory."""
    directory = PurePosixPath("cells", cell)
    return directory if attempt <= 1 else directory / f"attempt-{attempt}"


def history_file(project: Path) -> Path:
    """Return the file in which the runs of a project remember how long cells took."""
    return project.absolute() / _STATE_DIRECTORY / "history.json"


def runs_directory(project: Path) -> Path:
    """Return the directory of the records of a project's runs; it need not exist."""
    return project.absolute() / _STATE_DIRECTORY / "runs"


def background_directory(project: Path) -> Path:
    """Return the directory of what is begun in the background; it need not exist."""
    return project.absolute() / _STATE_DIRECTORY / "background"


def make_background_directory(project: Path) -> Path:
    """Make the directory of what is begun in the background, and return it; blocking.

    Raises:
        OSError: it cannot be made.
    """
    directory = background_directory(project)
    directory.mkdir(parents=True, exist_ok=True)
    _write_gitignore(directory.parent / ".gitignore")
    return directory


@dataclass(frozen=True, slots=True)
class RunDirectory:
    """Where the record of one run lies; `path` is absolute and ends with the run's id."""

    path: Path

    @property
    def run(self) -> str:
        """The run's id."""
        return self.path.name

    @property
    def events(self) -> Path:
        """The file of the run's events, one JSON object a line."""
        return self.path / "events.jsonl"

    @property
    def artifacts(self) -> Path:
        """The directory that artifacts go below unless another one is asked for."""
        return self.path / "artifacts"

    @property
    def result(self) -> Path:
        """The file of the run's result document."""
        return self.path / "result.json"

    def logs(self, cell: str, attempt: int = 1) -> Path:
        """Return the directory of the log files of an attempt; it need not exist."""
        return self.path / cell_logs(cell, attempt)

    @property
    def images(self) -> Path:
        """The directory of the logs of images that the run makes; it need not exist."""
        return self.path / "images"

    @classmethod
    def create(cls, project: Path, *, now: datetime, token: Callable[[int], str]) -> RunDirectory:
        """Make the directory of a new run below `project` and point `latest` at it; blocking.

        The run's id is `now` to the second and `token(2)`, four random hexadecimal digits
        (`secrets.token_hex`). Modes follow the umask.

        Raises:
            ConfigError: the directory cannot be made; the message names it and the reason.
        """
        return cls(_make_record(project, "runs", "this run", now, token))

    @classmethod
    def create_for_shell(
        cls, project: Path, *, now: datetime, token: Callable[[int], str]
    ) -> RunDirectory:
        """Make the directory of a shell, apart from those of runs; otherwise as `create`.

        The latest run stays that: somebody looks into it with a shell.
        """
        return cls(_make_record(project, "shells", "this shell", now, token))


@dataclass(frozen=True, slots=True)
class BuildDirectory:
    """Where the logs of a build of images lie; `path` is absolute and ends with the build's id."""

    path: Path

    @property
    def build(self) -> str:
        """The build's id."""
        return self.path.name

    @classmethod
    def create(cls, project: Path, *, now: datetime, token: Callable[[int], str]) -> BuildDirectory:
        """Make the directory of a new build; otherwise as `RunDirectory.create`."""
        return cls(_make_record(project, "builds", "this build", now, token))

    def remove_if_empty(self) -> None:
        """Leave nothing of a build that has logged nothing; blocking."""
        try:
            self.path.rmdir()
        except OSError:
            return
        latest = self.path.with_name(LATEST)
        with suppress(OSError):
            if latest.readlink() == Path(self.build):
                latest.unlink()


def _make_record(
    project: Path, kind: str, what: str, now: datetime, token: Callable[[int], str]
) -> Path:
    """Make a directory below those of a kind and point `latest` at it; return its path."""
    state = project.absolute() / _STATE_DIRECTORY
    all_of_kind = state / kind
    try:
        all_of_kind.mkdir(parents=True, exist_ok=True)
        _write_gitignore(state / ".gitignore")
        path = _make_unique(all_of_kind, now, token)
    except OSError as error:
        raise ConfigError(
            f"no place for the record of {what} below {all_of_kind}: {error.strerror or error}",
            hint="run from a project directory that you may write to",
        ) from error
    _point(all_of_kind / LATEST, path.name)
    return path


def _write_gitignore(path: Path) -> None:
    """Keep the record out of the project's repository and out of its workspace layer."""
    with suppress(FileExistsError), path.open("x", encoding="ascii") as file:
        file.write("*\n")


def _make_unique(runs: Path, now: datetime, token: Callable[[int], str]) -> Path:
    """Make a directory that no other run has; the kernel decides between runs of one second."""
    for _ in range(_ATTEMPTS_AT_A_NAME):
        path = runs / f"{now:%Y%m%d-%H%M%S}-{token(_TOKEN_BYTES)}"
        with suppress(FileExistsError):
            path.mkdir()
            return path
    raise FileExistsError(errno.EEXIST, f"{_ATTEMPTS_AT_A_NAME} names in a row are taken")


def _point(link: Path, run: str) -> None:
    """Point a symbolic link at a run in one step, so that it never dangles in between.

    The link is a convenience: the run goes on where the file system has none, or where somebody
    keeps a directory of that name.
    """
    fresh = link.with_name(f".{LATEST}-{run}")
    try:
        fresh.symlink_to(run)
        fresh.replace(link)
    except OSError:
        fresh.unlink(missing_ok=True)


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes its place in one step at the end of the block; blocking.

    Readers see all of it or none, and none of it is left where the block raises.

    Raises:
        OSError: the file cannot be written.
    """
    fresh = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        # Not synced: after a power cut the events are the record, and they are not synced either.
        with fresh.open("wb") as file:
            yield file
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def last_lines(path: Path, count: int, *, limit_bytes: int = 64 * 1024) -> tuple[str, ...]:
    """Return the last `count` lines of a log that are not blank, as text; blocking.

    Reads `limit_bytes` at most; what is not UTF-8 is replaced. A carriage return counts as the end
    of a line, so a progress bar shows its last state. Empty where there is no such file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ()
    try:
        size = os.fstat(descriptor).st_size
        offset = max(0, size - limit_bytes)
        text = os.pread(descriptor, limit_bytes, offset).decode("utf-8", errors="replace")
    finally:
        os.close(descriptor)
    lines = text.replace("\r", "\n").split("\n")
    if offset and len(lines) > 1:
        del lines[0]  # it has lost its beginning
    return tuple([line.rstrip() for line in lines if line.strip()][-count:])
