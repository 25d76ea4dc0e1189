"""Which waiting cells are kept out by those that run, because of things that both use.

Cells that use the same are kept out together: they are of one *group*, and nothing here costs more
the more cells it has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

_NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Uses:
    """The names of what a cell uses: `alone`, with nobody beside it, and `shared`."""

    alone: frozenset[str] = _NOTHING
    shared: frozenset[str] = _NOTHING

    @property
    def all(self) -> frozenset[str]:
        """Everything it uses."""
        return self.alone | self.shared


class Exclusion:
    """Keeps the books on what running cells use; groups are numbered like `uses`.

    A group is kept out while something it uses alone is used, or something it shares is used alone.
    Who shares does not wait for who wants it alone and waits: a plan is finite. Each start or end
    costs what there are groups that use the same things.
    """

    def __init__(self, uses: Sequence[Uses]) -> None:
        self._uses = uses
        self._users: dict[str, list[int]] = {}
        for group, one in enumerate(uses):
            for name in one.all:
                self._users.setdefault(name, []).append(group)
        self._alone: set[str] = set()
        self._shared: dict[str, int] = {}

    def keeps_out(self, group: int) -> bool:
        """Whether a cell of a group would meet one that runs."""
        mine = self._uses[group]
        return not (
            mine.alone.isdisjoint(self._alone)
            and mine.shared.isdisjoint(self._alone)
            and mine.alone.isdisjoint(self._shared.keys())
        )

    def started(self, group: int) -> Iterator[int]:
        """Take note that a cell of a group runs; give the groups that use something of it."""
        mine = self._uses[group]
        self._alone |= mine.alone
        for name in mine.shared:
            self._shared[name] = self._shared.get(name, 0) + 1
        return self._users_of(mine.all)

    def finished(self, group: int) -> Iterator[int]:
        """Take note that one runs no more; give the groups that use something of it."""
        mine = self._uses[group]
        self._alone -= mine.alone
        for name in mine.shared:
            self._shared[name] -= 1
            if not self._shared[name]:
                del self._shared[name]
        return self._users_of(mine.all)

    def _users_of(self, names: AbstractSet[str]) -> Iterator[int]:
        for name in names:
            yield from self._users[name]
