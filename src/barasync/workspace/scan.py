"""Which files on disk are the project's, and a key over all that is in them.

In a git repository these are the tracked and the untracked but not ignored files, those of
submodules and of other repositories inside included, and the directories that are empty and not
ignored; elsewhere everything but `.git` and what an ignore file leaves out. A directory `.barasync`
never belongs to it, nor a file that this process writes its output to (`> build.log`).
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from barasync.errors import ConfigError
from barasync.workspace.below import Below
from barasync.workspace.git import list_files, list_ignored
from barasync.workspace.ignore import Ignore
from barasync.workspace.own_output import OwnOutput
from barasync.workspace.tree import (
    OURS,
    SCANS,
    Entry,
    Kind,
    Tree,
    TreeChanged,
    changed,
    entry_at,
    in_bytes,
    problem,
    read_file,
    shown,
)

_GIT = ".git"


def _go_on() -> None:
    """Let a scan run to its end."""


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
        raise ConfigError(f"{shown(root, '')} cannot be read: {error.strerror}") from error
    if not is_directory:
        raise ConfigError(f"{shown(root, '')} is not a directory")
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


class _Survey:
    """Collects entries by path; `skipped` gathers what is neither file, directory nor link."""

    def __init__(self, below: Below, checkpoint: Callable[[], None]) -> None:
        self.skipped: list[str] = []
        self._checkpoint = checkpoint
        self._below = below
        self._root = below.root
        self._own_output = OwnOutput()
        self._entries: dict[str, Entry | None] = {}

    def entries(self) -> tuple[Entry, ...]:
        """Return what was found, in order, with the directories' times."""
        found = [entry for entry in self._entries.values() if entry is not None]
        newest: dict[str, int] = {}
        for entry in found:
            if entry.kind is not Kind.DIRECTORY:
                for parent in _parents(entry.path):
                    newest[parent] = max(entry.mtime, newest.get(parent, 0))
        found.sort(key=in_bytes)
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
            raise changed(self._root, repository)
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
            raise problem(self._root, directory, error) from error

    def _is_repository(self, path: str) -> bool:
        try:
            os.stat(_GIT, dir_fd=self._below.directory(path), follow_symlinks=False)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise problem(self._root, path, error) from error
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
            raise problem(self._root, path, error) from error
        if entry is None:
            self.skipped.append(path)
        elif entry.kind is Kind.FILE and self._own_output.has(self._below, path):
            return None
        return entry


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
