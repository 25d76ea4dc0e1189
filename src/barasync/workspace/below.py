"""What lies below a directory, reached without following a link.

A path is looked up once by the kernel, link by link, and whoever may write to the directory can put
a link in the place of any part of it between two look-ups. So paths are taken apart here, and each
part is opened relative to the directory before it with `O_NOFOLLOW` (openat(2)).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

_KEPT = 16
"""Directories that are kept open: as deep as trees are, and few for one of many that are read."""

_PATH_BYTES = 4096  # PATH_MAX, which those who unpack the tree have to keep to
_ROOT = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_DIRECTORY = _ROOT | os.O_NOFOLLOW


class Below:
    """Opens the directories below `root`, which itself may be a link, or a file and all there is.

    The last `_KEPT` directories on the way to the one that was asked for last stay open: going
    through a tree in its order opens each of them once, however deep it is. Used by one thread at a
    time. Leaving the block closes all.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        # The directory that was asked for last, its parts, and those of them that are open.
        self._path: str | None = None
        self._parts: list[str] = []
        self._open: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._path = None
        while self._open:
            os.close(self._open.popitem()[1])

    def place(self, path: str) -> tuple[int | None, str]:
        """Return where something lies: its open directory and its name there, as `*at` take it.

        For the root, which is the empty path, it is no directory and the whole path.

        Raises:
            OSError: a directory above it is none, is a link, is gone, or cannot be opened.
        """
        if not path:
            return None, os.fspath(self.root)
        above, _, name = path.rpartition("/")
        return self.directory(above), name

    def directory(self, path: str) -> int:
        """Open a directory; the descriptor is good until the next call.

        Raises:
            OSError: it is no directory, a link, gone, or cannot be opened; or one above it.
        """
        if path == self._path:
            return self._open[len(self._parts)]
        if len(path) * 4 > _PATH_BYTES and len(os.fsencode(path)) >= _PATH_BYTES:
            raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), path)
        self._path = None
        parts = path.split("/") if path else []
        self._leave(_common(self._parts, parts))
        if not self._open:
            self._open[0] = os.open(self.root, _ROOT)
        for depth in range(max(self._open), len(parts)):
            self._open[depth + 1] = os.open(parts[depth], _DIRECTORY, dir_fd=self._open[depth])
            self._parts = parts[: depth + 1]
            # The root stays: from there all others are found again.
            if (far := depth + 1 - _KEPT) > 0 and far in self._open:
                os.close(self._open.pop(far))
        self._path = path
        return self._open[len(parts)]

    def _leave(self, depth: int) -> None:
        """Close what lies deeper."""
        for deeper in [each for each in self._open if each > depth]:
            os.close(self._open.pop(deeper))
        del self._parts[max(self._open, default=0) :]


def _common(some: Sequence[str], others: Sequence[str]) -> int:
    """Return how many names two paths have in common from the beginning."""
    pairs = enumerate(zip(some, others, strict=False))
    return next(
        (depth for depth, (one, other) in pairs if one != other), min(len(some), len(others))
    )
