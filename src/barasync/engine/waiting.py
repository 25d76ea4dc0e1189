"""The cells that wait, found by what they claim.

The question is always the same: which is the first in order that claims at most so many CPUs and so
much memory? Cells of equal claims are one *kind*, of which only the first has to be looked at, its
*head*. A k-d tree divides the kinds by their claims into buckets; a bucket has its heads in order,
and every node of the tree knows the first head below it and the least claims. A node whose first
head fits answers with it, one whose least claims do not fit is passed over, and of a bucket only
what comes before its answer is looked at. So a question looks into some √buckets at worst (Lee and
Wong, 1977), however many cells there are.

Cells may also be of one *group*, which is hidden and shown as a whole: kinds are told apart by it,
so that this costs no more than log kinds for each kind in it, however many cells they are of.
"""

from __future__ import annotations

import math
import sys
from bisect import bisect_left, insort
from collections.abc import Sequence
from operator import itemgetter, neg
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
        self._kinds = kinds
        # Descending, so that the usual removal, of the first, moves nothing.
        self._ranks: dict[_Kind, list[int]] = {}
        for rank in range(len(kinds) - 1, -1, -1):
            self._ranks.setdefault(kinds[rank], []).append(rank)
        self._groups: dict[int, list[_Kind]] = {}
        for kind in self._ranks:
            self._groups.setdefault(kind[2], []).append(kind)
        self._hidden: set[int] = set()
        # Some √kinds / 2: a step in a bucket takes far less time than one in the tree.
        self._leaves = 1 << max(0, len(self._ranks).bit_length() // 2 - 1)
        buckets = _divided(list(self._ranks), self._leaves)
        self._leaf_of = {
            kind: leaf for leaf, bucket in enumerate(buckets, self._leaves) for kind in bucket
        }
        self._heads = [sorted(self._head(kind) for kind in bucket) for bucket in buckets]
        self._first = _tree([min(heads, default=_NOBODY) for heads in self._heads])
        self._least_cpus, self._least_memory = (
            _tree([min((kind[axis] for kind in bucket), default=math.inf) for bucket in buckets])
            for axis in (0, 1)
        )

    def first(self) -> int | None:
        """Return the first of all that are not hidden."""
        return _rank(self._first[1])

    def first_within(self, cpus: float, memory: float) -> int | None:
        """Return the first of those that claim at most so much."""
        kinds, first = self._kinds, self._first
        least_cpus, least_memory = self._least_cpus, self._least_memory
        found = _NOBODY
        nodes = [1] if least_cpus[1] <= cpus and least_memory[1] <= memory else []
        while nodes:
            node = nodes.pop()
            if first[node] >= found:
                continue
            kind = kinds[first[node]]
            if kind[0] <= cpus and kind[1] <= memory:
                found = first[node]
                continue
            if node >= self._leaves:
                found = self._first_of(node, cpus, memory, found)
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
        kind = self._kinds[rank]
        head = self._head(kind)
        insort(self._ranks[kind], rank, key=neg)
        if rank < head and kind[2] not in self._hidden:
            self._replace(kind, head, rank)

    def remove(self, rank: int) -> None:
        """Have a rank wait no more that does."""
        kind = self._kinds[rank]
        ranks = self._ranks[kind]
        if ranks[-1] != rank:
            del ranks[bisect_left(ranks, -rank, key=neg)]
            return
        ranks.pop()
        if kind[2] not in self._hidden:
            self._replace(kind, rank, self._head(kind))

    def hide(self, group: int) -> None:
        """Have no cell of a group found until it is shown again."""
        if group not in self._hidden:
            self._hidden.add(group)
            for kind in self._groups[group]:
                self._replace(kind, self._head(kind), _NOBODY)

    def show(self, group: int) -> None:
        """Have the cells of a group found again."""
        if group in self._hidden:
            self._hidden.remove(group)
            for kind in self._groups[group]:
                self._replace(kind, _NOBODY, self._head(kind))

    def clear(self) -> None:
        """Have none wait."""
        self._first = [_NOBODY] * len(self._first)
        for ranks in (*self._ranks.values(), *self._heads):
            ranks.clear()

    def _head(self, kind: _Kind) -> int:
        ranks = self._ranks[kind]
        return ranks[-1] if ranks else _NOBODY

    def _first_of(self, leaf: int, cpus: float, memory: float, before: int) -> int:
        """Return the first head in a bucket that claims at most so much, or `before` if lower."""
        kinds = self._kinds
        for head in self._heads[leaf - self._leaves]:
            if head >= before:
                break
            kind = kinds[head]
            if kind[0] <= cpus and kind[1] <= memory:
                return head
        return before

    def _replace(self, kind: _Kind, old: int, new: int) -> None:
        """Have another head of a kind found, or none; before, it was `old`, or none was."""
        node = self._leaf_of[kind]
        heads = self._heads[node - self._leaves]
        if old != _NOBODY:
            del heads[bisect_left(heads, old)]
        if new != _NOBODY:
            insort(heads, new)
        first, value = self._first, heads[0] if heads else _NOBODY
        while first[node] != value:
            first[node] = value
            if node == 1:
                break
            value = min(value, first[node ^ 1])
            node >>= 1


def _divided(kinds: list[_Kind], leaves: int, axis: int = 0) -> list[list[_Kind]]:
    """Divide kinds so that the halves of the buckets, and theirs, lie apart on one axis each."""
    if leaves == 1:
        return [kinds]
    kinds = sorted(kinds, key=itemgetter(axis))
    if kinds[0][axis] == kinds[-1][axis]:
        axis = 1 - axis
        kinds.sort(key=itemgetter(axis))
    half, leaves, axis = len(kinds) // 2, leaves // 2, 1 - axis
    return _divided(kinds[:half], leaves, axis) + _divided(kinds[half:], leaves, axis)


def _tree(leaves: list[T]) -> list[T]:
    """Return the least of what is below every node; 1 is the root, and 2 n and 2 n + 1 are below n.

    What is at 0 says nothing.
    """
    tree = leaves * 2
    for node in range(len(leaves) - 1, 0, -1):
        tree[node] = min(tree[2 * node], tree[2 * node + 1])
    return tree


def _rank(found: int) -> int | None:
    return None if found == _NOBODY else found
