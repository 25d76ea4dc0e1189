"""The directories of an extraction: made one below the other, and opened again when needed.

An archive may be as deep as `Limits.depth`, and many are extracted at once, so only a few
directories stay open. What says that one which is opened again is still the same is its inode in
the ledger, and not the path that leads there.
"""

from __future__ import annotations

import os
from bisect import bisect_left

from barasync.artifacts.birth import birth
from barasync.artifacts.budget import Share
from barasync.artifacts.errors import RefusedMember
from barasync.artifacts.ledger import Ledger, Made
from barasync.artifacts.rules import encoded

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
CONTENT = "content"
_OPEN = 8
_NOT_OURS = "a directory that is not from this archive has a name of its path"

Parts = tuple[str, ...]


class Directories:
    """The directories below `content` in the staging directory, by the parts of their paths.

    The last few that were entered are open; `close` closes them.
    """

    def __init__(self, staging: int, ledger: Ledger, share: Share) -> None:
        self._staging = staging
        self._ledger = ledger
        self._share = share
        # In the order of their use.
        self._open: dict[Parts, int] = {}
        self._announced: dict[Parts, int] = {}
        self._mask = 0
        # When the last directory was made.
        self._born = birth(staging)

    def enter(self, parts: Parts, *, named: bool = False) -> int:
        """Open a directory, making what is missing of its path.

        What is made counts as a member, except for the last if it is `named` by one that was
        counted. The descriptor stays open until `_OPEN` other directories were entered or made.

        Raises:
            LimitExceeded: there are too many.
            RefusedMember: a directory of this path was not made by this extraction. Nothing is
                written into such a one, be its name one that this file system takes for the same
                (`A` and `a`), or be it from another process.
            OSError: it cannot be made or opened.
        """
        if parts in self._open:
            return self._opened(parts)
        # Archives are in tree order: mostly the directory above is open, and this one is new.
        missing = len(parts)
        if not (parts and parts[:-1] in self._open and self._made(parts) is None):
            depths = range(len(parts) + 1)
            missing = bisect_left(depths, 1, key=lambda depth: self._made(parts[:depth]) is None)
        directory = self._opened(parts[: missing - 1]) if missing else self._staging
        for depth in range(missing, len(parts) + 1):
            if depth and not (named and depth == len(parts)):
                self._share.take(members=1)
            directory = self._make(directory, parts[:depth])
        return directory

    def give_mode(self, descriptor: int, mode: int) -> int:
        """Set the permissions of a directory that was entered, and return what they are now.

        Those stay away that the process's mask takes away, and the owner has all of them.
        """
        allowed = mode & 0o777 & ~self._mask | 0o700
        os.fchmod(descriptor, allowed)
        return allowed

    def announce(self, parts: Parts, mode: int) -> None:
        """Say what the mode of a directory is, if it should be needed for something in it.

        Archives are in tree order: only what was said of the directories above is remembered.

        Raises:
            RefusedMember, OSError: as `enter`, where it is needed already.
        """
        while self._announced and parts[: len(above := next(reversed(self._announced)))] != above:
            del self._announced[above]
        self._announced[parts] = mode
        if self._made(parts) is not None:
            self.give_mode(self.enter(parts), mode)

    def close(self) -> None:
        """Close what is open."""
        while self._open:
            os.close(self._open.popitem()[1])

    def _opened(self, parts: Parts) -> int:
        """Return the descriptor of a directory that was made."""
        descriptor = self._open.pop(parts, None)
        return self._keep(parts, self._reopen(parts) if descriptor is None else descriptor)

    def _keep(self, parts: Parts, descriptor: int) -> int:
        self._open[parts] = descriptor
        if len(self._open) > _OPEN:
            os.close(self._open.pop(next(iter(self._open))))
        return descriptor

    def _make(self, above: int, parts: Parts) -> int:
        name = encoded(parts[-1] if parts else CONTENT)
        try:
            os.mkdir(name, 0o777, dir_fd=above)
        except FileExistsError:
            # It fails if this is no directory at all.
            os.close(os.open(name, DIRECTORY, dir_fd=above))
            raise RefusedMember(_NOT_OURS) from None
        descriptor = os.open(name, DIRECTORY, dir_fd=above)
        try:
            self._check_new(descriptor)
            status = os.fstat(descriptor)
            self._mask = 0o777 & ~status.st_mode
            mode = self._announced.get(parts, 0o777)
            if status.st_mode & 0o777 != mode & ~self._mask | 0o700:
                self.give_mode(descriptor, mode)
            self._ledger.note_made("/".join(parts), status.st_dev, status.st_ino)
        except BaseException:
            os.close(descriptor)
            raise
        return self._keep(parts, descriptor)

    def _check_new(self, descriptor: int) -> None:
        """Refuse a directory that another process has put in the place of one just made.

        There is something in it, or where the file system tells, it was there before the last one
        that we made. Nothing tells one that was made since (times are of a tick of the clock, some
        milliseconds), and is empty, from ours.
        """
        born = birth(descriptor)
        older = born is not None and self._born is not None and born < self._born
        if older or os.listdir(descriptor):
            raise RefusedMember(_NOT_OURS)
        self._born = born

    def _reopen(self, parts: Parts) -> int:
        """Open a directory that was made, in one step: a hundred would let deep archives crawl.

        Links on the way are followed, so another process may choose the way, but not where it ends.
        """
        path = encoded("/".join((CONTENT, *parts)))
        try:
            descriptor = os.open(path, DIRECTORY, dir_fd=self._staging)
        except OSError:
            return self._walk(parts)
        if _is(descriptor, self._made(parts)):
            return descriptor
        os.close(descriptor)
        return self._walk(parts)

    def _walk(self, parts: Parts) -> int:
        """Open a directory step by step, to learn what is wrong on the way."""
        above = self._staging
        for depth, part in enumerate((CONTENT, *parts)):
            try:
                descriptor = os.open(encoded(part), DIRECTORY, dir_fd=above)
            finally:
                if depth:
                    os.close(above)
            if not _is(descriptor, self._made(parts[:depth])):
                os.close(descriptor)
                raise RefusedMember(_NOT_OURS)
            above = descriptor
        return above

    def _made(self, parts: Parts) -> Made | None:
        return self._ledger.made("/".join(parts))


def _is(descriptor: int, made: Made | None) -> bool:
    """Whether an open directory is one that was made."""
    status = os.fstat(descriptor)
    return made is not None and (made.device, made.inode) == (status.st_dev, status.st_ino)
