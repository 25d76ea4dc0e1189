"""What a cell asked the resolver of its network for in vain."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

REPORTED = 100
"""Names that are told apart; a longer list helps nobody."""


@dataclass(frozen=True, slots=True)
class RefusedName:
    """A name that the network did not let a cell know, and how often the cell asked for it."""

    name: str
    questions: int


class Asked:
    """What one cell asked for in vain, bounded whatever it asks for.

    `others` are the questions for names that are refused beyond the first `REPORTED`. `absent` are
    names of entries that do not exist, in the order in which they were first asked for. `failed`
    are the questions over which the resolver itself failed, the first of them by `failure`.
    """

    def __init__(self) -> None:
        self.others = 0
        self.failed = 0
        self.failure = ""
        self._refused: Counter[str] = Counter()
        self._absent: dict[str, None] = {}

    @property
    def refused(self) -> tuple[RefusedName, ...]:
        """The names that were refused, those most asked for first."""
        return tuple(RefusedName(name, number) for name, number in self._refused.most_common())

    @property
    def absent(self) -> tuple[str, ...]:
        """See the class."""
        return tuple(self._absent)

    def refuse(self, name: str) -> None:
        """Count a question for a name that the network does not let the cell know."""
        if name in self._refused or len(self._refused) < REPORTED:
            self._refused[name] += 1
        else:
            self.others += 1

    def find(self, name: str, *, exists: bool) -> None:
        """Take note of whether a name of an entry exists, as the last answer says."""
        if exists:
            self._absent.pop(name, None)
        else:
            self._absent.setdefault(name)

    def fail(self, why: str) -> None:
        """Count a question over which the resolver failed."""
        self.failed += 1
        self.failure = self.failure or why
