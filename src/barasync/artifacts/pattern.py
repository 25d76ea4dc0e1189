"""Patterns for paths below a directory: `*`, `?` and `[…]` within a name, `**` across names.

Pure. A pattern names what it matches and all that lies below that, as a plain path does. A name
that begins with a dot is like any other.
"""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

_WILDCARD = re.compile(r"[*?\[]")
_ANY_DEPTH = "**"


@dataclass(frozen=True)
class Pattern:
    """The parts of a pattern, one for each name of a path; `**` stands for any number of names.

    `*` is any number of characters, `?` one, `[a-c]` one of those, `[!a-c]` none of them; a
    wildcard itself is written `[*]`.
    """

    parts: tuple[str, ...]

    @classmethod
    def literal(cls, names: Iterable[str]) -> Pattern:
        """Return the pattern that matches one path and no other."""
        return cls(tuple(glob.escape(name) for name in names))

    def below(self, names: Iterable[str]) -> Pattern:
        """Return the pattern for the same paths, seen from a directory further up."""
        return Pattern((*Pattern.literal(names).parts, *self.parts))

    def matches(self, path: Sequence[str]) -> bool:
        """Whether the pattern names a path, given by its names, or a directory above it.

        Takes a time of at most names × parts, whatever they are.
        """
        reached = self._past_any_depth({0})
        for name in path:
            if len(self.parts) in reached:
                return True
            reached = self._next(reached, name)
        return len(self.parts) in reached

    def reaches(self, path: Sequence[str]) -> bool:
        """Whether the pattern may name something at or below a path."""
        reached = self._past_any_depth({0})
        for name in path:
            if len(self.parts) in reached:
                return True
            reached = self._next(reached, name)
        return bool(reached)

    def _next(self, reached: set[int], name: str) -> set[int]:
        """Return the positions that are reached from others with one more name."""
        return self._past_any_depth(
            {
                index if self.parts[index] == _ANY_DEPTH else index + 1
                for index in reached
                if self._names[index].match(name)
            }
        )

    def _past_any_depth(self, reached: set[int]) -> set[int]:
        """Add the positions that are reached without a name, because `**` may stand for none."""
        for index, part in enumerate(self.parts):
            if part == _ANY_DEPTH and index in reached:
                reached.add(index + 1)
        return reached

    @cached_property
    def _names(self) -> tuple[re.Pattern[str], ...]:
        return tuple(re.compile(fnmatch.translate(part)) for part in self.parts)


def split(path: str) -> tuple[str, Pattern | None]:
    """Split an absolute, normalised path at its first wildcard.

    Returns the directory above it and the pattern below that, or the path itself and `None`.
    """
    parts = path.split("/")
    for index, part in enumerate(parts):
        if _WILDCARD.search(part):
            return "/".join(parts[:index]) or "/", Pattern(tuple(parts[index:]))
    return path, None
