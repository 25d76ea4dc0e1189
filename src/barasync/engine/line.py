"""Cells in line, by rank: which is the next to start beside those that run.

What does not fit into the capacity waits, and what comes after it may start meanwhile, within
bounds that keep a large cell from waiting for ever. The *first* cell is the one that would start
next if everything fitted. Another cell passes it over

- freely while it fits beside it: all that have passed it over and still run leave, together, as
  much of the capacity as the first cell claims;
- at most `passes` times where it does not.

So the first cell waits for those that ran when its turn came and for `passes` others at most,
however many small ones there are. A bound on passing of either kind would leave what is free
beside a large cell unused, which no cell gains from.
"""

from __future__ import annotations

from collections.abc import Sequence

from barasync.engine.claims import Load
from barasync.engine.waiting import Waiting

PASSES = 100


class _Turn:
    """What has passed over a cell since it was the first."""

    __slots__ = ("_left", "_room")

    def __init__(self, room: Load, left: int) -> None:
        self._room = room  # what may pass beside it: the capacity less itself and what has passed
        self._left = left  # how many more may pass that do not fit there

    def allows(self, free: Load) -> Load:
        """Return the most that may start now, if so much is free."""
        return free if self._left > 0 else free.common(self._room)

    def passed(self, load: Load) -> None:
        if not load.within(self._room):
            self._left -= 1
        self._room = self._room.minus(load)

    def ended(self, load: Load) -> None:
        self._room = self._room.plus(load)


class Line:
    """The cells that claim `loads`, by rank; all of them wait, and 0 is the first of all.

    `groups` has the group of each, by which cells stand aside: all are of one where it is empty.

    Invariants, held by a property test of `Scheduler`: those running are within `limit`, or it is
    one alone; the first cell is passed over as the module says; when nothing runs and something
    waits, something is next.
    """

    def __init__(
        self,
        loads: Sequence[Load],
        limit: Load,
        *,
        passes: int = PASSES,
        groups: Sequence[int] = (),
    ) -> None:
        self._loads = loads
        self._limit = limit
        self._passes = passes
        self._free = limit
        self._running = 0
        self._waiting = Waiting(
            [
                (load.nano_cpus, load.memory_bytes, group)
                for load, group in zip(loads, groups or [0] * len(loads), strict=True)
            ]
        )
        self._turns: dict[int, _Turn] = {}
        self._passing: dict[int, _Turn] = {}

    def next(self) -> int | None:
        """Return the cell that may start now and comes before all others that may."""
        first = self._waiting.first()
        if first is None or self.has_room(first):
            return first
        allowed = self._turn(first).allows(self._free)
        if allowed.jobs < 1:
            return None
        return self._waiting.first_within(allowed.nano_cpus, allowed.memory_bytes)

    def has_room(self, rank: int) -> bool:
        """Whether a cell fits beside what runs; alone every one does."""
        return not self._running or self._loads[rank].within(self._free)

    def start(self, rank: int) -> None:
        """Have a cell run that waits and for which there is room."""
        load = self._loads[rank]
        first = self._waiting.first()
        assert first is not None, "what is to start waits"
        if first != rank:
            turn = self._turns[first] = self._turn(first)
            turn.passed(load)
            self._passing[rank] = turn
        self._turns.pop(rank, None)
        self._waiting.remove(rank)
        self._running += 1
        self._free = self._free.minus(load)

    def finish(self, rank: int) -> None:
        """Have a cell run no more."""
        load = self._loads[rank]
        self._running -= 1
        self._free = self._free.plus(load)
        turn = self._passing.pop(rank, None)
        if turn is not None:
            turn.ended(load)

    def stand_aside(self, group: int) -> None:
        """Have a group stand aside: none of its cells is next or first until it comes back."""
        self._waiting.hide(group)

    def come_back(self, group: int) -> None:
        """Have a group that stood aside back in line, every cell at its old place."""
        self._waiting.show(group)

    def join(self, rank: int) -> None:
        """Have a cell that has run wait again, at its old place."""
        self._waiting.add(rank)

    def clear(self) -> None:
        """Have no cell wait any more."""
        self._waiting.clear()
        self._turns.clear()

    def _turn(self, rank: int) -> _Turn:
        turn = self._turns.get(rank)
        return turn or _Turn(self._limit.minus(self._loads[rank]), self._passes)
