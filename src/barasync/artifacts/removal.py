"""Removes a file, or a directory with all it holds, however deep, while others may play tricks.

Before Python 3.13 `shutil.rmtree` calls itself for every level, and what a cell makes may be deeper
than Python recurses. Here the way down is a list. The last few of its directories are open; one
above them is opened again as what is above an open one, if that is still the same directory.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Generator
from dataclasses import dataclass, field

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# Each takes two descriptors: its own, and that of its listing.
_OPEN = 8
# So often a directory is listed to the end that others write to: it may have something every time.
_PASSES = 4
_FULL = frozenset({errno.ENOTEMPTY, errno.EEXIST})


def remove(name: str, *, dir_fd: int) -> None:
    """Remove what has a name in an open directory, with all that is below it; blocks.

    No link is followed, also where another process puts one in the place of a directory. What
    cannot be removed stays, with the directories above it; everything else goes all the same, until
    another process moves a directory away that leads back up. At any depth no more than 20
    descriptors are open, and names are held of the way down only, and of directories that stay.

    Raises:
        FileNotFoundError: nothing has the name.
        OSError: the first reason why something stays.
    """
    try:
        os.unlink(name, dir_fd=dir_fd)
    except (IsADirectoryError, PermissionError) as error:
        removal = _Removal(dir_fd)
        try:
            removal.run(name, error)
        finally:
            removal.close()


@dataclass(slots=True)
class _Level:
    """A directory on the way down.

    `stay` are the directories in it that cannot be removed, `passes` says how often it was listed
    to the end, and `changed` whether anything has changed since the last time.
    """

    name: str
    identity: tuple[int, int]
    descriptor: int | None
    listing: Generator[os.DirEntry[str], None, None] | None = None
    stay: set[str] = field(default_factory=set)
    passes: int = 0
    changed: bool = False

    @property
    def opened(self) -> int:
        """The descriptor of one that is open."""
        assert self.descriptor is not None
        return self.descriptor

    def entries(self) -> Generator[os.DirEntry[str], None, None]:
        """Go on with the listing, or begin one."""
        if self.listing is None:
            self.listing = _entries(self.opened)
        return self.listing

    def close(self) -> None:
        """Close what is open; the listing begins anew afterwards."""
        if self.listing is not None:
            self.listing.close()
            self.listing = None
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


class _Removal:
    """The way down to where something is being removed, and the first thing that went wrong."""

    def __init__(self, directory: int) -> None:
        self._directory = directory
        self._levels: list[_Level] = []
        self._first: OSError | None = None

    def run(self, name: str, error: OSError) -> None:
        """Remove a directory; `error` is raised where it is none."""
        try:
            self._enter(name, self._directory)
        except NotADirectoryError:
            raise error from None
        while self._levels:
            level = self._levels[-1]
            inner = self._next(level)
            if inner is None:
                self._leave(level)
                continue
            try:
                self._enter(inner, level.opened)
            except (FileNotFoundError, NotADirectoryError):
                level.changed = True  # by others; the next pass finds what is there now
            except OSError as failure:
                self._note(failure)
                level.stay.add(inner)
        if self._first is not None:
            raise self._first

    def close(self) -> None:
        """Close what is open."""
        for level in self._levels:
            level.close()

    def _enter(self, name: str, directory: int) -> None:
        descriptor = os.open(name, _DIRECTORY, dir_fd=directory)
        self._levels.append(_Level(name, _identity(descriptor), descriptor))
        if len(self._levels) > _OPEN:
            self._levels[-1 - _OPEN].close()

    def _next(self, level: _Level) -> str | None:
        """Remove what is in a directory up to one that holds something, and return its name."""
        try:
            for entry in level.entries():
                if entry.name not in level.stay and self._is_full(level, entry):
                    return entry.name
        except OSError as error:
            self._note(error)
        return None

    def _is_full(self, level: _Level, entry: os.DirEntry[str]) -> bool:
        """Remove what can be removed by one call; whether it is a directory that holds more."""
        remove_one = os.rmdir if entry.is_dir(follow_symlinks=False) else os.unlink
        try:
            remove_one(entry.name, dir_fd=level.opened)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            level.changed = True  # by others, as above
        except OSError as error:
            if error.errno in _FULL:
                return True
            self._note(error)
        else:
            level.changed = True
        return False

    def _leave(self, level: _Level) -> None:
        """Go up from a directory that was listed to its end, and remove it."""
        level.listing = None
        level.passes += 1
        changed, level.changed = level.changed, False
        directory = self._above(level)
        try:
            os.rmdir(level.name, dir_fd=directory)
        except (FileNotFoundError, NotADirectoryError):
            left = False  # moved away by others
        except OSError as error:
            if error.errno in _FULL and changed and level.passes < _PASSES:
                return
            self._note(error)
            left = True
        else:
            left = False
        self._levels.pop().close()
        if self._levels:
            above = self._levels[-1]
            above.changed = above.changed or not left
            if left:
                above.stay.add(level.name)

    def _above(self, level: _Level) -> int:
        """Return the directory that a level is in, opened again if need be."""
        if len(self._levels) == 1:
            return self._directory
        above = self._levels[-2]
        if above.descriptor is None:
            descriptor = os.open("..", _DIRECTORY, dir_fd=level.opened)
            if _identity(descriptor) != above.identity:
                os.close(descriptor)
                text = "another process moved it while it was being removed"
                raise self._first or OSError(errno.ESTALE, text, level.name)
            above.descriptor = descriptor
        return above.opened

    def _note(self, error: OSError) -> None:
        self._first = self._first or error


def _entries(descriptor: int) -> Generator[os.DirEntry[str], None, None]:
    with os.scandir(descriptor) as found:
        yield from found


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
