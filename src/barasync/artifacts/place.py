"""Where archives go on this host: below a directory that was opened before anybody could cheat.

A cell may share a directory of this host with the engine, and it runs while others end. So nothing
is found by its whole path once cells run: the directory that artifacts go below is open from before
the first of them, and every step down from it is one that is not a link.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from barasync.artifacts.removal import remove

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Place:
    """A file or directory below an open directory; it need not exist.

    `root` is the descriptor of that directory, which whoever opened it closes, and `root_path` what
    it was called then. `names` lead from there to the place.
    """

    root: int
    root_path: Path
    names: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """What the place is called, for people and programs that come later."""
        return self.root_path.joinpath(*self.names)

    def __truediv__(self, inner: str | PurePosixPath) -> Place:
        return Place(self.root, self.root_path, (*self.names, *PurePosixPath(inner).parts))

    @contextmanager
    def parent(self, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """Open the directory that the place is in, and give its descriptor and the last name.

        With `make` directories that are missing on the way are made. Blocks.

        Raises:
            OSError: a part of the way is missing, or it is no directory but a link, for example.
        """
        *above, name = self.names
        opened = os.dup(self.root)
        try:
            for part in above:
                inner = _enter(opened, part, make=make)
                os.close(opened)
                opened = inner
            yield opened, name
        finally:
            os.close(opened)

    def remove(self) -> None:
        """Remove what is at the place, if anything is, as `removal.remove` does; blocks.

        Raises:
            OSError: it cannot be removed, or the way there is not one of directories any more.
        """
        with suppress(FileNotFoundError), self.parent() as (directory, name):
            remove(name, dir_fd=directory)


@contextmanager
def below(directory: Path) -> Iterator[Place]:
    """Open a directory, following links, or the nearest one above it that exists; blocks.

    Raises:
        OSError: there is none that can be opened.
    """
    root, opened, names = _nearest(directory.absolute())
    try:
        yield Place(root, opened, names)
    finally:
        os.close(root)


def _nearest(directory: Path) -> tuple[int, Path, tuple[str, ...]]:
    """Open the nearest directory that exists; return it, its path, and the names below it."""
    try:
        return os.open(directory, _DIRECTORY), directory, ()
    except FileNotFoundError:
        root, opened, names = _nearest(directory.parent)
        return root, opened, (*names, directory.name)


def _enter(directory: int, name: str, *, make: bool) -> int:
    if make:
        with suppress(FileExistsError):
            os.mkdir(name, 0o777, dir_fd=directory)
    return os.open(name, _DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
