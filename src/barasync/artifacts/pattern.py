"""Patterns for paths below a directory: `*`, `?` and `[…]` within a name, `**` across names.

Pure. A pattern names what it matches and all that lies below that, as a plain path does. A name
that begins with a dot is like any other.
"""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property

_WILDCARD = re.compile(r"[*?\[]")
_ANY_DEPTH = "**"

Positions = AbstractSet[int]


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
        return self.is_end(self.follow(path))

    def reaches(self, path: Sequence[str]) -> bool:
        """Whether the pattern may name something at or below a path."""
        return bool(self.follow(path))

    def follow(self, path: Iterable[str], reached: Positions | None = None) -> Positions:
        """Return the positions between the parts that the names of a path lead to.

        They start at `reached`, where a path above has led to, or at the beginning. Where there are
        none, the pattern names nothing below; once the end is among them, it names all of that.
        """
        if reached is None:
            reached = self._past_any_depth({0})
        for name in path:
            if not reached or self.is_end(reached):
                break
            reached = self._next(reached, name)
        return reached

    def is_end(self, reached: Positions) -> bool:
        """Whether the end is among the positions that a path leads to."""
        return len(self.parts) in reached

    def _next(self, reached: Positions, name: str) -> Positions:
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
