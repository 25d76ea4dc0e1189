"""The cells that wait, found by what they claim.

The question is always the same: which is the first in order that claims at most so many CPUs and so
much memory? Cells of equal claims are one *kind*, of which only the first has to be looked at. The
kinds are the leaves of a k-d tree over their claims, and every node knows the first rank below it
and the bounds of the claims below it. A node whose claims all fit answers for all of them at once,
one whose least does not is passed over, so that a question looks at some √kinds nodes at worst
(Lee and Wong, 1977), and in one dimension at log kinds, however many cells there are.

Cells may also be of one *group*, which is hidden and shown as a whole: kinds are told apart by it,
so that this costs no more than log kinds for each kind in it, however many cells they are of.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import TypeVar

_NOBODY = sys.maxsize  # a rank after all others

_Kind = tuple[float, float, int]
T = TypeVar("T", int, float)


class Waiting:
    """The ranks of the cells that wait; 0 is the first of all. At first every one of them does.

    `kinds` holds what each claims, CPUs and memory in any unit, and its group, by rank. No group is
    hidden at first. Of a hidden one cells may be added and removed, but none is found.
    """

    def __init__(self, kinds: Sequence[_Kind]) -> None:
        ranks: dict[_Kind, list[int]] = {}
        for rank in range(len(kinds) - 1, -1, -1):
            ranks.setdefault(kinds[rank], []).append(rank)
        # Descending, so that the usual removal, of the first, moves nothing.
        self._leaves = 1 << max(0, len(ranks) - 1).bit_length()
        self._ranks = [ranks[kind] for kind in _spread(list(ranks), self._leaves)]
        self._leaf_of = [0] * len(kinds)
        for leaf, members in enumerate(self._ranks, self._leaves):
            for rank in members:
                self._leaf_of[rank] = leaf
        firsts = [members[-1] for members in self._ranks]
        self._groups: dict[int, list[int]] = {}
        for leaf, first in enumerate(firsts, self._leaves):
            self._groups.setdefault(kinds[first][2], []).append(leaf)
        self._hidden: set[int] = set()
        cpus, memory = ([kinds[rank][axis] for rank in firsts] for axis in (0, 1))
        self._first = self._tree(firsts, min, _NOBODY)
        self._least_cpus = self._tree(cpus, min, math.inf)
        self._least_memory = self._tree(memory, min, math.inf)
        self._most_cpus = self._tree(cpus, max, -math.inf)
        self._most_memory = self._tree(memory, max, -math.inf)

    def first(self) -> int | None:
        """Return the first of all that are not hidden."""
        return _rank(self._first[1])

    def first_within(self, cpus: float, memory: float) -> int | None:
        """Return the first of those that claim at most so much."""
        first, least_cpus, least_memory = self._first, self._least_cpus, self._least_memory
        most_cpus, most_memory = self._most_cpus, self._most_memory
        found = _NOBODY
        nodes = [1] if least_cpus[1] <= cpus and least_memory[1] <= memory else []
        while nodes:
            node = nodes.pop()
            if first[node] >= found:
                continue
            if most_cpus[node] <= cpus and most_memory[node] <= memory:
                found = first[node]
                continue
            # The child that may hold the lower rank is looked at first, that is put last: what is
            # found there is likely to spare looking at the other.
            near = 2 * node
            far = near + 1
            if first[far] < first[near]:
                near, far = far, near
            if first[far] < found and least_cpus[far] <= cpus and least_memory[far] <= memory:
                nodes.append(far)
            if least_cpus[near] <= cpus and least_memory[near] <= memory:
                nodes.append(near)
        return _rank(found)

    def add(self, rank: int) -> None:
        """Have a rank wait that does not."""
        leaf = self._leaf_of[rank]
        ranks = self._ranks[leaf - self._leaves]
        insort(ranks, rank, key=lambda each: -each)
        self._update(leaf)

    def remove(self, rank: int) -> None:
        """Have a rank wait no more that does."""
        leaf = self._leaf_of[rank]
        ranks = self._ranks[leaf - self._leaves]
        if ranks[-1] == rank:
            ranks.pop()
        else:
            del ranks[bisect_left(ranks, -rank, key=lambda each: -each)]
        self._update(leaf)

    def hide(self, group: int) -> None:
        """Have no cell of a group found until it is shown again."""
        self._hidden.update(self._groups[group])
        for leaf in self._groups[group]:
            self._update(leaf)

    def show(self, group: int) -> None:
        """Have the cells of a group found again."""
        self._hidden.difference_update(self._groups[group])
        for leaf in self._groups[group]:
            self._update(leaf)

    def clear(self) -> None:
        """Have none wait."""
        self._first = [_NOBODY] * len(self._first)
        for ranks in self._ranks:
            ranks.clear()

    def _tree(self, leaves: list[T], choose: Callable[[T, T], T], nothing: T) -> list[T]:
        """Return what every node chooses of what its two children have; node 1 is the root."""
        levels: list[list[T]] = [leaves + [nothing] * (self._leaves - len(leaves))]
        while len(levels[-1]) > 1:
            levels.append(list(map(choose, levels[-1][::2], levels[-1][1::2])))
        tree = [nothing]
        for level in reversed(levels):
            tree += level
        return tree

    def _update(self, leaf: int) -> None:
        first, ranks = self._first, self._ranks[leaf - self._leaves]
        node, value = leaf, ranks[-1] if ranks and leaf not in self._hidden else _NOBODY
        while first[node] != value:
            first[node] = value
            if node == 1:
                break
            value = min(value, first[node ^ 1])
            node >>= 1


def _spread(kinds: list[_Kind], leaves: int, axis: int = 0) -> list[_Kind]:
    """Order kinds so that the two halves of the leaves, and theirs, lie apart on one axis each."""
    if len(kinds) < 2:  # noqa: PLR2004 nothing to divide
        return kinds
    kinds = sorted(kinds, key=itemgetter(axis))
    if kinds[0][axis] == kinds[-1][axis]:
        axis = 1 - axis
        kinds.sort(key=itemgetter(axis))
    half = leaves // 2
    return _spread(kinds[:half], half, 1 - axis) + _spread(kinds[half:], half, 1 - axis)


def _rank(found: int) -> int | None:
    return None if found == _NOBODY else found
