"""How much of an archive each of some patterns names, counted as the archive is written.

So nothing has to be read again of an archive of half a million members. Archives are in tree order:
what the patterns make of a directory is remembered for all that lies in it.
"""

from __future__ import annotations

from collections.abc import Iterable

from barasync.artifacts.manifest import Totals
from barasync.artifacts.pattern import Pattern, Positions


class Tally:
    """The totals of the members that each of `patterns` names; its root is none of them."""

    def __init__(self, patterns: Iterable[Pattern] = ()) -> None:
        self._patterns = tuple(dict.fromkeys(patterns))
        self.clear()

    def clear(self) -> None:
        """Begin again: nothing is counted."""
        self._totals = [Totals()] * len(self._patterns)
        self._above: str | None = None
        self._reached: list[Positions] = []

    def add(self, path: str, *, files: int = 0, size: int = 0) -> None:
        """Count a member of so many files and bytes."""
        if not self._patterns or not path:
            return
        above, _, name = path.rpartition("/")
        if above != self._above:
            names = above.split("/") if above else []
            self._reached = [pattern.follow(names) for pattern in self._patterns]
            self._above = above
        for index, pattern in enumerate(self._patterns):
            reached = self._reached[index]
            if reached and pattern.is_end(pattern.follow((name,), reached)):
                self._totals[index] = self._totals[index].plus(files, size)

    def of(self, pattern: Pattern) -> Totals:
        """Return what one of the patterns has named so far."""
        return self._totals[self._patterns.index(pattern)]
