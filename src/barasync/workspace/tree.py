"""The project's files as they lie on disk: which they are, and a key over all that is in them.

In a git repository these are the tracked and the untracked but not ignored files, those of
submodules and of other repositories inside included, and the directories that are empty and not
ignored; elsewhere everything but `.git` and what an ignore file leaves out. A directory `.barasync`
never belongs to it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import posixpath
import stat
from bisect import bisect_left
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from barasync.errors import ConfigError
from barasync.workspace.below import Below
from barasync.workspace.git import list_files, list_ignored
from barasync.workspace.ignore import IGNORE_FILES, Ignore

READ_BYTES = 256 * 1024
SCANS = 3
"""How often a tree is read that changes meanwhile."""

OURS = ".barasync"
_GIT = ".git"
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
        place = bisect_left(self.entries, os.fsencode(path), key=_in_bytes)
        there = place < len(self.entries) and self.entries[place].path == path
        return self.entries[place] if there else None


def _in_bytes(entry: Entry) -> bytes:
    return os.fsencode(entry.path)


def _go_on() -> None:
    """Let a scan run to its end."""


class TreeChanged(ConfigError):
    """A file is not any more what it was when the tree was listed."""


def scan(root: Path, *, checkpoint: Callable[[], None] = _go_on) -> Tree:
    """List the project's files and read every one of them for the key.

    Where a file changes meanwhile all is listed and read again, `SCANS` times at most. Blocks for
    as long as the disk takes: call it in a worker thread. `checkpoint` is called again and again
    meanwhile; what it raises ends the scan.

    Raises:
        ConfigError: there is no such directory, git refuses, or a file cannot be read.
        TreeChanged: a file changed every time.
    """
    for _ in range(SCANS - 1):
        with suppress(TreeChanged):
            return _scan_once(root, checkpoint)
    return _scan_once(root, checkpoint)


def _scan_once(root: Path, checkpoint: Callable[[], None]) -> Tree:
    try:
        is_directory = stat.S_ISDIR(os.stat(root).st_mode)  # noqa: PTH116 is_dir() hides why not
    except OSError as error:
        raise ConfigError(f"{_shown(root, '')} cannot be read: {error.strerror}") from error
    if not is_directory:
        raise ConfigError(f"{_shown(root, '')} is not a directory")
    with Below(root) as below:
        survey = _Survey(below, checkpoint)
        # Where git knows no file (a directory that an outer repository ignores) it has no say.
        if not survey.add_repository(""):
            survey.add_everything(Ignore.of(root))
        entries = survey.entries()
        return Tree(
            root=root,
            entries=entries,
            skipped=tuple(sorted(survey.skipped, key=os.fsencode)),
            key=_key(below, entries, checkpoint),
        )


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
        if error.errno in _ANOTHER_KIND:
            raise _changed(root, entry.path) from error
        raise _unreadable(root, entry.path, error) from error
    try:
        left = entry.size
        _check_unchanged(root, entry, descriptor)
        while left and (piece := os.read(descriptor, min(left, READ_BYTES))):
            left -= len(piece)
            yield piece
        _check_unchanged(root, entry, descriptor)
        if left:
            raise _changed(root, entry.path)
    except OSError as error:
        raise _unreadable(root, entry.path, error) from error
    finally:
        os.close(descriptor)


class _Survey:
    """Collects entries by path; `skipped` gathers what is neither file, directory nor link."""

    def __init__(self, below: Below, checkpoint: Callable[[], None]) -> None:
        self.skipped: list[str] = []
        self._checkpoint = checkpoint
        self._below = below
        self._root = below.root
        self._entries: dict[str, Entry | None] = {}

    def entries(self) -> tuple[Entry, ...]:
        """Return what was found, in order, with the directories' times."""
        found = [entry for entry in self._entries.values() if entry is not None]
        newest: dict[str, int] = {}
        for entry in found:
            if entry.kind is not Kind.DIRECTORY:
                for parent in _parents(entry.path):
                    newest[parent] = max(entry.mtime, newest.get(parent, 0))
        found.sort(key=_in_bytes)
        return tuple(
            replace(entry, mtime=newest.get(entry.path, 0))
            if entry.kind is Kind.DIRECTORY
            else entry
            for entry in found
        )

    def add_repository(self, directory: str) -> bool:
        """Add what git lists below a directory; tell whether it lists anything."""
        names = list_files(self._root / directory, self._checkpoint)
        inside = {directory}
        for name in names or ():
            path = posixpath.join(directory, name)
            if OURS in name.split("/") or not self._add_parents(path):
                continue
            inside.update(posixpath.join(directory, above) for above in _parents(name))
            if self._add(path) is Kind.DIRECTORY and self._is_repository(path):
                self.add_repository(path)
        if names:
            self._add_empty(directory, inside)
        return bool(names)

    def _add_empty(self, repository: str, inside: set[str]) -> None:
        """Add the empty directories in those of a repository that belong to the project.

        Git does not list them, but knows which it ignores. A directory is empty that holds nothing
        but such: one of which all files are ignored (`.venv`) had better not come without them.
        """
        found = [
            path
            for above in sorted(inside)
            for name, is_directory in self._list(above)
            if is_directory and (begin := posixpath.join(above, name)) not in self._entries
            for path in self._empty_at(begin)
        ]
        if not found:
            return
        start = len(repository) + 1 if repository else 0
        names = [path[start:] for path in found]
        ignored = list_ignored(self._root / repository, names, self._checkpoint)
        if ignored is None:
            raise _changed(self._root, repository)
        for path, name in zip(found, names, strict=True):
            if name not in ignored:
                self._add(path)

    def _empty_at(self, path: str) -> list[str]:
        """Return a directory and all below it, nothing where there is a file or what is like one.

        Many that are looked at are ignored and large, and some are closed to us.
        """
        found: list[str] = []
        waiting = [path]
        while waiting:
            self._checkpoint()
            above = waiting.pop()
            found.append(above)
            try:
                with os.scandir(self._below.directory(above)) as inside:
                    for item in inside:
                        if item.name in {OURS, _GIT} or not item.is_dir(follow_symlinks=False):
                            return []
                        waiting.append(posixpath.join(above, item.name))
            except OSError:
                return []
        return found

    def add_everything(self, ignore: Ignore) -> None:
        """Add all files but those that are left out, and the directories above them."""
        waiting = [("", ignore.nothing)]
        while waiting:
            above, matches_above = waiting.pop()
            for name, is_directory in self._list(above):
                path = posixpath.join(above, name)
                matches = ignore.matches(path, matches_above)
                if not ignore.leaves_out(matches):
                    self._add_parents(path)
                    self._add(path)
                elif not ignore.may_take_in_below(path):
                    continue
                if is_directory:
                    waiting.append((path, matches))

    def _list(self, directory: str) -> list[tuple[str, bool]]:
        """List the names in a directory, and tell which are directories."""
        self._checkpoint()
        try:
            with os.scandir(self._below.directory(directory)) as found:
                return [
                    (item.name, item.is_dir(follow_symlinks=False))
                    for item in found
                    if item.name not in {OURS, _GIT}
                ]
        except OSError as error:
            if error.errno in _ANOTHER_KIND:
                raise _changed(self._root, directory) from error
            raise _unreadable(self._root, directory, error) from error

    def _is_repository(self, path: str) -> bool:
        try:
            os.stat(_GIT, dir_fd=self._below.directory(path), follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno in _ANOTHER_KIND:
                raise _changed(self._root, path) from error
            raise _unreadable(self._root, path, error) from error
        return True

    def _add_parents(self, path: str) -> bool:
        """Add the directories above a path; tell whether they are directories still.

        Git's index may name a file below what has become a link: that file is gone.
        """
        return all(self._add(parent) is Kind.DIRECTORY for parent in _parents(path))

    def _add(self, path: str) -> Kind | None:
        """Look at a path once and remember what it is; `None` when it is nothing to take along."""
        if path not in self._entries:
            self._entries[path] = self._look(path)
        entry = self._entries[path]
        return None if entry is None else entry.kind

    def _look(self, path: str) -> Entry | None:
        self._checkpoint()
        try:
            entry = entry_at(self._below, path)
        except FileNotFoundError:
            return None
        except OSError as error:
            # The directory was one when it was looked at.
            if error.errno in _ANOTHER_KIND:
                raise _changed(self._root, path) from error
            raise _unreadable(self._root, path, error) from error
        if entry is None:
            self.skipped.append(path)
        return entry


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


def _parents(path: str) -> Iterator[str]:
    """Give the directories above a path, the outermost first, without the root."""
    position = path.find("/")
    while position >= 0:
        yield path[:position]
        position = path.find("/", position + 1)


def _key(below: Below, entries: tuple[Entry, ...], checkpoint: Callable[[], None]) -> str:
    """Hash everything that goes into a layer; no field can hold the zero byte that ends it."""
    key = hashlib.sha256()
    for entry in entries:
        head = f"{entry.kind}\0{entry.mode:o}\0{entry.mtime}\0{entry.size}\0"
        key.update(head.encode("ascii"))
        key.update(os.fsencode(entry.path) + b"\0" + os.fsencode(entry.target) + b"\0")
        if entry.kind is Kind.FILE:
            for piece in read_file(below, entry):
                key.update(piece)
                checkpoint()
    return key.hexdigest()


def _check_unchanged(root: Path, entry: Entry, descriptor: int) -> None:
    """Compare size and ctime, which moves with every write and cannot be set back.

    Two writes of one size within a tick of the file system's clock (4 ms) look like one.
    """
    status = os.fstat(descriptor)
    if (status.st_size, status.st_ctime_ns) != (entry.size, entry.changed_ns):
        raise _changed(root, entry.path)


def _changed(root: Path, path: str) -> TreeChanged:
    return TreeChanged(
        f"{_shown(root, path)} changed while it was read",
        hint="Run again when nothing writes to the project.",
    )


def _unreadable(root: Path, path: str, error: OSError) -> ConfigError:
    return ConfigError(
        f"{_shown(root, path)} cannot be read: {error.strerror}",
        hint="Make it readable, or name it in .gitignore or, where there is no git, in "
        f"{IGNORE_FILES[0]}.",
    )


def _shown(root: Path, path: str) -> str:
    return os.fsencode(root / path).decode("utf-8", "backslashreplace")
