"""What is taken of an archive of which not everything is wanted: pure decisions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from barasync.artifacts.pattern import Pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The members that one of the patterns names, all of them where there is no pattern.

    Nothing at or below a path of `excluded` is taken, whatever names it.

    An archive holds the bytes of a file once, under its first name; later names are hard links to
    that. `originals` are the paths of files that are not wanted themselves, but have a later name
    that is: their bytes have to be kept until then. Which those are shows only when the archive has
    been read.
    """

    patterns: tuple[Pattern, ...] = ()
    excluded: tuple[Pattern, ...] = ()
    originals: frozenset[str] = frozenset()

    def takes(self, path: Sequence[str]) -> bool:
        """Whether a member is wanted, given by the names of its path."""
        if any(pattern.matches(path) for pattern in self.excluded):
            return False
        return not self.patterns or any(pattern.matches(path) for pattern in self.patterns)

    def with_originals(self, paths: Iterable[str]) -> Selection:
        """Return the selection that keeps the bytes of more files."""
        return replace(self, originals=self.originals | frozenset(paths))
