"""A file or directory of the project that an image is to have a copy of.

It is found and read without leaving the project: links on the way to it are followed as long as
they stay inside, those below it are taken as links. A digest tells it from any other state.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from barasync.errors import ConfigError
from barasync.workspace.below import Below
from barasync.workspace.copies import everything
from barasync.workspace.tree import Entry, Kind, entry_at, read_file, shown

_MAX_LINKS = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Picked:
    """What is copied, as it was when it was read.

    `start` is where it lies below `root`, the project's directory or one outside of it, and the
    path of the first of the `entries`. `digest` is a SHA-256 in hexadecimal over names, kinds,
    modes, link targets and contents; times do not count, nor does the mode of a directory that is
    itself what is copied. `skipped` names sockets, pipes and devices.
    """

    root: Path
    start: str
    entries: tuple[Entry, ...]
    skipped: tuple[str, ...]
    digest: str

    @property
    def is_file(self) -> bool:
        """Whether it is a file alone."""
        return self.entries[0].kind is Kind.FILE


def look(project: Path, sources: Iterable[str]) -> None:
    """Look whether files or directories of the project can be copied, without reading them.

    Blocks for a few look-ups of names.

    Raises:
        ConfigError: as for `pick`, of what is to be copied, not of what lies below it.
    """
    for source in sources:
        root, place = _place(project, source)
        with Below(root) as below:
            _start(below, place)


def pick(project: Path, source: str, *, checkpoint: Callable[[], None]) -> Picked:
    """Find and read a file or directory of the project; `source` is relative to its directory.

    Links on the way to an absolute one are followed, wherever they lead.
    Everything comes along, what git ignores as well, but not what grows while it is read:
    `.barasync` and the file that our output goes to.
    Blocks for as long as the disk takes: call it in a worker thread. `checkpoint` is called again
    and again meanwhile; what it raises ends it.

    Raises:
        ConfigError: it is not there, leads out of the project, or cannot be read.
        TreeChanged: a file changed while it was read.
    """
    unreadable = partial(_unreadable, source)
    root, place = _place(project, source)
    entries: list[Entry] = []
    skipped: list[str] = []
    digest = hashlib.sha256()
    with Below(root) as below:
        start = _start(below, place)
        for path, entry in everything(below, start, checkpoint, unreadable):
            if entry is None:
                skipped.append(path)
                continue
            entries.append(entry)
            _add(digest.update, below, entry, start, checkpoint)
    return Picked(
        root=root,
        start=start,
        entries=tuple(entries),
        skipped=tuple(skipped),
        digest=digest.hexdigest(),
    )


def _add(
    update: Callable[[bytes], None],
    below: Below,
    entry: Entry,
    start: str,
    checkpoint: Callable[[], None],
) -> None:
    """Hash what an image gets of an entry; no field can hold the zero byte that ends it."""
    is_top = entry.path == start
    mode = 0 if is_top and entry.kind is Kind.DIRECTORY else entry.mode
    update(f"{entry.kind}\0{mode:o}\0{entry.size}\0".encode("ascii"))
    update(os.fsencode(entry.path[len(start) :].lstrip("/")) + b"\0")
    update(os.fsencode(entry.target) + b"\0")
    if entry.kind is Kind.FILE:
        for piece in read_file(below, entry):
            update(piece)
            checkpoint()


def _place(project: Path, source: str) -> tuple[Path, str]:
    """Return the directory that a source has to stay in, and its path from there."""
    if not source.startswith("/"):
        return project, source
    directory, name = os.path.split(os.path.realpath(source))
    return Path(directory), name


def _start(below: Below, source: str) -> str:
    """Return the path of what is to be copied, without links."""
    start = _without_links(below, source)
    try:
        entry = entry_at(below, start)
    except OSError as error:
        raise _unreadable(source, below.root / start, error) from error
    if entry is None:
        raise ConfigError(
            f"copy {source}: {shown(below.root, start)} is neither a file nor a directory"
        )
    return start


def _without_links(below: Below, source: str) -> str:
    """Return where a path leads, one name after the other; it is looked up without any link."""
    waiting, found, links = _names(source), "", 0
    while waiting:
        name = waiting.pop()
        if name == "..":
            if not found:
                raise _outside(source)
            found = found.rpartition("/")[0]
            continue
        path = f"{found}/{name}".lstrip("/")
        target = _target(below, source, path)
        if target is None:
            found = path
            continue
        links += 1
        if target.startswith("/"):
            raise _outside(source, through=path, target=target)
        if links > _MAX_LINKS:
            raise ConfigError(f"copy {source}: links lead round in a circle")
        waiting += _names(target)
    return found


def _names(path: str) -> list[str]:
    """Return the names of a path, the last one first."""
    return [name for name in reversed(path.split("/")) if name not in {"", "."}]


def _target(below: Below, source: str, path: str) -> str | None:
    """Return what a link leads to, `None` where there is something else."""
    try:
        directory, name = below.place(path)
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
        return os.readlink(name, dir_fd=directory) if stat.S_ISLNK(mode) else None
    except OSError as error:
        raise _unreadable(source, below.root / path, error) from error


def _outside(source: str, *, through: str = "", target: str = "") -> ConfigError:
    reason = f": {through} is a link to {target}" if through else ""
    return ConfigError(
        f"copy {source} leads out of the project{reason}",
        hint="an image gets files of the project only; copy them there first",
    )


def _unreadable(source: str, path: Path, error: OSError) -> ConfigError:
    return ConfigError(f"copy {source}: {shown(path, '')} cannot be read: {error.strerror}")
