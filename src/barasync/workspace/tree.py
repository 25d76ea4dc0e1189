"""A tree of files: what is in it, and how its files are read, with no link followed."""

from __future__ import annotations

import errno
import os
import posixpath
import stat
from bisect import bisect_left
from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from barasync.errors import ConfigError
from barasync.workspace.below import Below
from barasync.workspace.ignore import IGNORE_FILES

READ_BYTES = 256 * 1024
SCANS = 3
"""How often a tree is read that changes meanwhile."""

OURS = ".barasync"
_NANOSECONDS = 1_000_000_000
_MAX_LINKS = 8
# What open(2) says of a path where there was a file or directory: nothing or something else is.
_ANOTHER_KIND = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO})
# Never follow a link, never wait for the other end of a pipe that took a file's place.
_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Kind(StrEnum):
    """What an entry is."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file, directory or symbolic link.

    `path` is relative to the root, with `/` and with surrogate escapes for undecodable bytes.
    `mode` holds the permission and set-ID bits, `size` is in bytes (0 but for files), `mtime` in
    whole seconds since the epoch; a directory has the newest of what lies below it, because its
    own changes whenever anything is built there. `changed_ns` is a file's ctime.
    """

    path: str
    kind: Kind
    mode: int
    mtime: int
    size: int = 0
    changed_ns: int = 0
    target: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The project's files, sorted by the bytes of their paths: a directory before what is in it.

    `key` is a SHA-256 in hexadecimal over everything that goes into a layer: paths, kinds, modes,
    modification times, link targets and contents. `skipped` names sockets, pipes and devices.
    """

    root: Path
    entries: tuple[Entry, ...]
    skipped: tuple[str, ...]
    key: str

    def has_executable(self, path: str) -> bool:
        """Tell whether there is an executable file at `path`, directly or by links in the tree."""
        for _ in range(_MAX_LINKS):
            entry = self._find(path)
            if entry is None or entry.kind is not Kind.SYMLINK:
                return entry is not None and entry.kind is Kind.FILE and bool(entry.mode & 0o111)
            path = posixpath.normpath(posixpath.join(posixpath.dirname(path), entry.target))
        return False

    def _find(self, path: str) -> Entry | None:
        """Look an entry up in a few steps, as there may be a hundred thousand."""
        place = bisect_left(self.entries, os.fsencode(path), key=in_bytes)
        there = place < len(self.entries) and self.entries[place].path == path
        return self.entries[place] if there else None


def in_bytes(entry: Entry) -> bytes:
    """Return what entries are sorted by."""
    return os.fsencode(entry.path)


class TreeChanged(ConfigError):
    """A file is not any more what it was when the tree was listed."""


def read_file(below: Below, entry: Entry) -> Generator[bytes, None, None]:
    """Give a file's bytes, exactly `entry.size` of them, in pieces of up to 256 KiB.

    Raises:
        ConfigError: it cannot be read.
        TreeChanged: it is not the file any more that `entry` describes.
    """
    root = below.root
    try:
        directory, name = below.place(entry.path)
        descriptor = os.open(name, _OPEN, dir_fd=directory)
    except OSError as error:
        raise problem(root, entry.path, error) from error
    try:
        left = entry.size
        _check_unchanged(root, entry, descriptor)
        while left and (piece := os.read(descriptor, min(left, READ_BYTES))):
            left -= len(piece)
            yield piece
        _check_unchanged(root, entry, descriptor)
        if left:
            raise changed(root, entry.path)
    except OSError as error:
        raise problem(root, entry.path, error) from error
    finally:
        os.close(descriptor)


def entry_at(below: Below, path: str) -> Entry | None:
    """Describe what lies at a path, a directory with its own time; `None` for other kinds.

    Raises:
        OSError: it cannot be looked at.
    """
    directory, name = below.place(path)
    status = os.stat(name, dir_fd=directory, follow_symlinks=False)
    mode, mtime = stat.S_IMODE(status.st_mode), status.st_mtime_ns // _NANOSECONDS
    if stat.S_ISREG(status.st_mode):
        return Entry(
            path=path,
            kind=Kind.FILE,
            mode=mode,
            mtime=mtime,
            size=status.st_size,
            changed_ns=status.st_ctime_ns,
        )
    if stat.S_ISDIR(status.st_mode):
        return Entry(path=path, kind=Kind.DIRECTORY, mode=mode, mtime=mtime)
    if stat.S_ISLNK(status.st_mode):
        target = os.readlink(name, dir_fd=directory)
        return Entry(path=path, kind=Kind.SYMLINK, mode=0o777, mtime=mtime, target=target)
    return None


def _check_unchanged(root: Path, entry: Entry, descriptor: int) -> None:
    """Compare size and ctime, which moves with every write and cannot be set back.

    Two writes of one size within a tick of the file system's clock (4 ms) look like one.
    """
    status = os.fstat(descriptor)
    if (status.st_size, status.st_ctime_ns) != (entry.size, entry.changed_ns):
        raise changed(root, entry.path)


def changed(root: Path, path: str) -> TreeChanged:
    """Return what to raise of something below `root` that is not any more what it was."""
    return TreeChanged(
        f"{shown(root, path)} changed while it was read",
        hint="Run again when nothing writes to the project.",
    )


def problem(root: Path, path: str, error: OSError) -> ConfigError:
    """Return what to raise of something below `root` that was there, and cannot be read now."""
    if error.errno in _ANOTHER_KIND:
        return changed(root, path)
    return ConfigError(
        f"{shown(root, path)} cannot be read: {error.strerror}",
        hint="Make it readable, or name it in .gitignore or, where there is no git, in "
        f"{IGNORE_FILES[0]}.",
    )


def shown(root: Path, path: str) -> str:
    """Return a path below `root` for a message, whatever its bytes are."""
    return os.fsencode(root / path).decode("utf-8", "backslashreplace")
