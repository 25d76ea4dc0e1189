"""The files that this process prints to: while they are read they never stay the same."""

from __future__ import annotations

import os
import stat
from contextlib import suppress

from barasync.workspace.below import Below


class OwnOutput:
    """The files that stdout and stderr of this process lead to, as of now."""

    def __init__(self) -> None:
        self._files = frozenset(_files())

    def has(self, below: Below, path: str) -> bool:
        """Tell whether a path is one of them; one that cannot be looked at is not."""
        if not self._files:
            return False
        try:
            directory, name = below.place(path)
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError:
            return False  # it has gone since, which is found where it is read
        return (status.st_dev, status.st_ino) in self._files


def _files() -> set[tuple[int, int]]:
    """Return the files by device and inode."""
    found = set()
    for descriptor in (1, 2):
        with suppress(OSError):
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode):
                found.add((status.st_dev, status.st_ino))
    return found
