"""Which cells start now: a state machine without I/O and without a clock.

The engine tells it what happened (`started`, `finished`, `stop`, `hold`) and asks what may start
(`ready`). Cells go by priority, then by weight, then in the plan's order. Among cells of equal
claims the longest expected weighs most. Where claims differ a cell weighs what it takes of the
host, duration × share, so that large cells are not left to the end, where they would run alone;
and one that is long against the whole run weighs its duration whatever it claims, because it
decides when the run ends. In 100 cases of mixed claims, longest first alone made 16 schedules more
than 5 % longer than the best known, this weight made one (`script/bench scheduler`).

What does not fit into the capacity waits, and what comes after it may start meanwhile, within
bounds that keep a large cell from waiting for ever. The *first* cell is the one that would start
next if everything fitted. Another cell passes it over

- freely while it fits beside it: all that have passed it over and still run leave, together, as
  much of the capacity as the first cell claims;
- at most `PASSES` times where it does not.

So the first cell waits for those that ran when its turn came and for `PASSES` others at most,
however many small ones there are. A bound on passing of either kind would leave what is free
beside a large cell unused, which no cell gains from.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace

from barasync.engine.claims import NOTHING, Capacity, Claim, Load

PASSES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A cell as the scheduler sees it; a higher `priority` goes first, whatever is expected."""

    id: str
    claim: Claim = field(default_factory=Claim)
    expected_seconds: float = 0.0
    priority: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.expected_seconds < math.inf:
            raise ValueError(f"{self.id} cannot be expected to take {self.expected_seconds} s")


class _Turn:
    """What has passed over a cell since it was the first."""

    __slots__ = ("_beside", "_first", "_left", "_limit")

    def __init__(self, first: Load, limit: Load, left: int, beside: Load = NOTHING) -> None:
        self._first = first
        self._limit = limit
        self._left = left  # how many more may pass that do not fit beside it
        self._beside = beside  # what those take that passed and still run

    def copy(self) -> _Turn:
        return _Turn(self._first, self._limit, self._left, self._beside)

    def may_pass(self, load: Load) -> bool:
        return self._left > 0 or self._leaves_room(load)

    def passed(self, load: Load) -> None:
        if not self._leaves_room(load):
            self._left -= 1
        self._beside = self._beside.plus(load)

    def ended(self, load: Load) -> None:
        self._beside = self._beside.minus(load)

    def _leaves_room(self, load: Load) -> bool:
        return self._beside.plus(load).plus(self._first).within(self._limit)


class _Queue:
    """The waiting cells by their rank (0 is the first of all), those of equal claims together.

    Cells of equal claims fit or do not fit alike, so only the first of each kind has to be looked
    at: a question costs what there are kinds of claims, not what there are cells.
    """

    def __init__(self, loads: list[Load]) -> None:
        self._loads = loads
        self._kinds: dict[Load, list[int]] = {}
        for rank in reversed(range(len(loads))):
            self._kinds.setdefault(loads[rank], []).append(rank)

    def first(self) -> int | None:
        return min((ranks[-1] for ranks in self._kinds.values()), default=None)

    def add(self, rank: int) -> None:
        # Descending, so that the usual removal, of the first, moves nothing.
        insort(self._kinds.setdefault(self._loads[rank], []), rank, key=lambda each: -each)

    def remove(self, rank: int) -> None:
        load = self._loads[rank]
        ranks = self._kinds[load]
        if ranks[-1] == rank:
            ranks.pop()
        else:
            del ranks[bisect_left(ranks, -rank, key=lambda each: -each)]
        if not ranks:
            del self._kinds[load]

    def clear(self) -> None:
        self._kinds.clear()

    def kinds(self) -> Iterator[Iterator[int]]:
        """Yield the ranks of each kind, first one first; valid until something changes."""
        for ranks in self._kinds.values():
            yield reversed(ranks)


class Scheduler:
    """Says which cells may start, so that those running never take more than the capacity.

    Invariants, held by a stateful property test: the running cells are within the capacity, or it
    is one alone; a cell runs once, and again only when `finished` asked for it; the first cell is
    passed over as the module says; when nothing runs and something waits, something is ready.

    `passes` is the bound that the module calls `PASSES`. `running` and `waiting` are live views:
    copy them to iterate while telling what happens.

    Raises:
        ValueError: two tasks have one id.
    """

    def __init__(self, tasks: Iterable[Task], capacity: Capacity, *, passes: int = PASSES) -> None:
        plan = list(tasks)
        self._limit = Load.limit(capacity)
        ranked = _ranked(plan, self._limit)
        self._plan = tuple(task.id for task in plan)
        self._names = tuple(task.id for task in ranked)
        self._ranks = {name: rank for rank, name in enumerate(self._names)}
        if len(self._ranks) != len(plan):
            raise ValueError("two cells have one id")
        self._loads = [Load.of(task.claim) for task in ranked]
        self._queue = _Queue(self._loads)
        self._waiting = dict.fromkeys(self._plan)
        self._running: dict[str, None] = {}
        self._load = NOTHING
        self._passes = passes
        self._turns: dict[int, _Turn] = {}
        self._passing: dict[str, _Turn] = {}
        self._held = False
        self._stopped = False

    @property
    def running(self) -> AbstractSet[str]:
        """The cells that were started and have not finished."""
        return self._running.keys()

    @property
    def waiting(self) -> AbstractSet[str]:
        """The cells that are still to be started, or to be started again."""
        return self._waiting.keys()

    @property
    def done(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self._waiting and not self._running

    def ready(self, most: int | None = None) -> tuple[str, ...]:
        """Return the cells that may start now, all of them together, in the order to start them in.

        Changes nothing: a cell counts as running from `started` on. `most` bounds the answer, and
        with it the cost of asking, for who starts a few at a time.
        """
        found: list[str] = []
        if most is None or most > 0:
            for rank in self._admissible():
                found.append(self._names[rank])
                if len(found) == most:
                    break
        return tuple(found)

    def started(self, cell: str) -> None:
        """Take note that a cell which is ready has been started.

        Raises:
            KeyError: the cell does not wait.
            ValueError: it does not fit beside what runs.
        """
        if cell not in self._waiting:
            raise KeyError(cell)
        rank = self._ranks[cell]
        load = self._loads[rank]
        if self._running and not self._load.plus(load).within(self._limit):
            raise ValueError(f"{cell} does not fit beside the cells that run")
        first = self._queue.first()
        assert first is not None, "what waits is in the queue"
        if first != rank:
            turn = self._turns[first] = self._turn(first)
            turn.passed(load)
            self._passing[cell] = turn
        self._turns.pop(rank, None)
        self._queue.remove(rank)
        del self._waiting[cell]
        self._running[cell] = None
        self._load = self._load.plus(load)

    def finished(self, cell: str, *, again: bool = False) -> None:
        """Take note that a running cell has ended, however it ended.

        With `again` it waits once more, at its old place; after `stop` nothing does.

        Raises:
            KeyError: the cell is not running.
        """
        del self._running[cell]
        rank = self._ranks[cell]
        self._load = self._load.minus(self._loads[rank])
        if cell in self._passing:
            self._passing.pop(cell).ended(self._loads[rank])
        if again and not self._stopped:
            self._queue.add(rank)
            self._waiting[cell] = None

    def stop(self) -> tuple[str, ...]:
        """Drop what waits and return it, in the plan's order; running cells stay until they finish.

        A second call finds nothing to drop.
        """
        self._stopped = True
        dropped = tuple(cell for cell in self._plan if cell in self._waiting)
        self._waiting.clear()
        self._queue.clear()
        self._turns.clear()
        return dropped

    def hold(self, *, on: bool) -> None:
        """Admit nothing while `on`, or one cell when none runs, so that a run always goes on."""
        self._held = on

    def _admissible(self) -> Iterator[int]:
        """Yield the ranks that may start, each as if those before it had been started."""
        load = self._load
        turn: _Turn | None = None
        kinds = [(next(ranks), ranks) for ranks in self._queue.kinds()]
        heapify(kinds)
        while kinds and not (self._held and load.jobs):
            rank, others = kinds[0]
            mine = self._loads[rank]
            fits = not load.jobs or load.plus(mine).within(self._limit)
            if fits and (turn is None or turn.may_pass(mine)):
                yield rank
                load = load.plus(mine)
                if turn is not None:
                    turn.passed(mine)
                after = next(others, None)
                if after is None:
                    heappop(kinds)
                else:
                    heapreplace(kinds, (after, others))
                continue
            if turn is None:  # then this is the first of what is left
                turn = self._turn(rank).copy()
            # The load only grows from here on, so the rest of its kind may not start either.
            heappop(kinds)

    def _turn(self, rank: int) -> _Turn:
        return self._turns.get(rank) or _Turn(self._loads[rank], self._limit, self._passes)


def _ranked(plan: list[Task], limit: Load) -> list[Task]:
    """Sort cells by priority and weight; what is equal stays in the plan's order."""
    shares = {claim: Load.of(claim).share(limit) for claim in {task.claim for task in plan}}
    shortest = _shortest(plan, limit)

    def key(task: Task) -> tuple[int, float, float]:
        seconds = task.expected_seconds
        weight = seconds * max(shares[task.claim], seconds / shortest) if shortest else 0.0
        return -task.priority, -weight, -seconds

    return sorted(plan, key=key)


def _shortest(plan: list[Task], limit: Load) -> float:
    """Return what no schedule is shorter than: its longest cell, and its work over the host."""
    work = [0.0, 0.0, 0.0]
    for task in plan:
        for index, amount in enumerate(Load.of(task.claim)):
            work[index] += task.expected_seconds * amount
    spread = (amount / whole for amount, whole in zip(work, limit, strict=True))
    return max(0.0, *spread, *(task.expected_seconds for task in plan))
