"""Which cells start now: a state machine without I/O and without a clock.

The engine tells it what happened (`started`, `released`, `finished`, `stop`, `hold`) and asks what
may start (`ready`). Cells stand in line in the `order` that their expected durations give; `line`
says which of them is next, and how a large one is kept from waiting for ever.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from barasync.engine.claims import Capacity, Claim, Load
from barasync.engine.exclusion import Exclusion, Uses
from barasync.engine.line import PASSES, Line
from barasync.engine.order import Case, in_order


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A cell as the scheduler sees it; a higher `priority` goes first, whatever is expected.

    `uses` names what it cannot use beside every other cell.
    """

    id: str
    claim: Claim = field(default_factory=Claim)
    uses: Uses = field(default_factory=Uses)
    expected_seconds: float = 0.0
    priority: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.expected_seconds < math.inf:
            raise ValueError(f"{self.id} cannot be expected to take {self.expected_seconds} s")


class Scheduler:
    """Says which cells may start, so that those running never take more than the capacity.

    Invariants, held by a stateful property test: the running cells are within the capacity, or it
    is one alone, and none uses what another uses alone; a cell runs once, and again only when
    `finished` asked for it; the first cell that `exclusion` does not keep out is passed over as
    `line` says; when nothing runs or is leaving and something waits, something is ready.

    A cell that is `leaving` has given back what it claimed, and has not finished: its container has
    ended, and its artifacts are still on their way. Of other cells it keeps out those only that use
    what it uses alone, or the other way round: its artifacts may lie there.

    `passes` is how many may pass over a cell that they keep waiting. `running`, `leaving` and
    `waiting` are live views: copy them to iterate while telling what happens.

    Raises:
        ValueError: two tasks have one id.
    """

    def __init__(self, tasks: Iterable[Task], capacity: Capacity, *, passes: int = PASSES) -> None:
        plan = list(tasks)
        self._plan = tuple(task.id for task in plan)
        if len(set(self._plan)) != len(plan):
            raise ValueError("two cells have one id")
        case = Case(
            loads=[Load.of(task.claim) for task in plan],
            priorities=[task.priority for task in plan],
            seconds=[task.expected_seconds for task in plan],
            limit=Load.limit(capacity),
            passes=passes,
        )
        order = in_order(case)
        self._names = [self._plan[place] for place in order]
        self._ranks = {name: rank for rank, name in enumerate(self._names)}
        groups: dict[Uses, int] = {}
        self._groups = [groups.setdefault(plan[place].uses, len(groups)) for place in order]
        self._exclusion = Exclusion(list(groups))
        loads = [case.loads[place] for place in order]
        self._line = Line(loads, case.limit, passes=passes, groups=self._groups)
        self._waiting = dict.fromkeys(self._plan)
        self._running: dict[str, None] = {}
        self._leaving: dict[str, None] = {}
        self._held = False
        self._stopped = False

    @property
    def running(self) -> AbstractSet[str]:
        """The cells that were started and hold what they claimed."""
        return self._running.keys()

    @property
    def leaving(self) -> AbstractSet[str]:
        """The cells that were released and have not finished."""
        return self._leaving.keys()

    @property
    def waiting(self) -> AbstractSet[str]:
        """The cells that are still to be started, or to be started again."""
        return self._waiting.keys()

    @property
    def done(self) -> bool:
        """Whether nothing runs, is leaving or waits."""
        return not (self._waiting or self._running or self._leaving)

    def ready(self) -> str | None:
        """Return the cell that is to start now, if any; it counts as running from `started` on."""
        if self._held and self._running:
            return None
        rank = self._line.next()
        return None if rank is None else self._names[rank]

    def started(self, cell: str) -> None:
        """Take note that a cell which is ready has been started.

        Raises:
            KeyError: the cell does not wait.
            ValueError: it does not fit beside what runs, or is kept out by it.
        """
        if cell not in self._waiting:
            raise KeyError(cell)
        rank = self._ranks[cell]
        group = self._groups[rank]
        if self._exclusion.keeps_out(group) or not self._line.has_room(rank):
            raise ValueError(f"{cell} does not fit beside the cells that run")
        self._line.start(rank)
        del self._waiting[cell]
        self._running[cell] = None
        for other in self._exclusion.started(group):
            if self._exclusion.keeps_out(other):
                self._line.stand_aside(other)

    def released(self, cell: str) -> None:
        """Take note that a running cell takes nothing of the host any more, but has not finished.

        Raises:
            KeyError: the cell is not running.
        """
        del self._running[cell]
        self._line.finish(self._ranks[cell])
        self._leaving[cell] = None

    def finished(self, cell: str, *, again: bool = False) -> None:
        """Take note that a cell which was running or leaving has ended, however it ended.

        With `again` it waits once more, at its old place; after `stop` nothing does.

        Raises:
            KeyError: the cell is neither running nor leaving.
        """
        if cell not in self._leaving:
            self.released(cell)
        del self._leaving[cell]
        rank = self._ranks[cell]
        if again and not self._stopped:
            self._line.join(rank)
            self._waiting[cell] = None
        for other in self._exclusion.finished(self._groups[rank]):
            if not self._exclusion.keeps_out(other):
                self._line.come_back(other)

    def stop(self) -> tuple[str, ...]:
        """Drop what waits and return it, in the plan's order; running cells stay until they finish.

        A second call finds nothing to drop.
        """
        self._stopped = True
        dropped = tuple(cell for cell in self._plan if cell in self._waiting)
        self._waiting.clear()
        self._line.clear()
        return dropped

    def hold(self, *, on: bool) -> None:
        """Admit nothing while `on`, or one cell when none runs, so that a run always goes on."""
        self._held = on
