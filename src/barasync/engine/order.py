"""The order in which cells are to start, from how long each is expected to take.

Priority comes first, then it is longest first, in a form that heeds claims: a cell weighs what it
takes of the host, duration × share, so that large cells are not left to the end, where they would
run alone; one that is long against the whole run weighs its duration whatever it claims, because it
decides when the run ends. What weighs the same stays in the plan's order.

No weights pack a few cells of different claims well every time. So other orders are tried in a
simulation, and the best is taken if it ends the run sooner by `_WORTHWHILE`: other weights; the
order in which cells end when time is turned round, again and again while that gains
(forward-backward improvement: Tormos and Lova, 2001); then small changes to the best, at random but
the same every time. That is over with an order that no other can beat by much, or when
`_MOST_STARTS` cells have been started in simulations. Many cells are not tried at all: the more
there are, the less is left to gain (`script/bench scheduler`).
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from barasync.engine.claims import Load
from barasync.engine.line import Line

_MOST_STARTS = 8_000
_FEWEST_ORDERS = 4
_WORTHWHILE = 0.01


@dataclass(frozen=True, slots=True)
class Case:
    """Cells by their place in the plan: what each claims, its priority, and the seconds expected.

    `limit` and `passes` are those of the line that they are to stand in.
    """

    loads: Sequence[Load]
    priorities: Sequence[int]
    seconds: Sequence[float]
    limit: Load
    passes: int


def in_order(case: Case) -> list[int]:
    """Return the places of the cells in the order that they are to start in."""
    bound = shortest(case)
    weights = _weights(case, bound)
    usual = _by_weight(case, weights[0])
    if not bound or len(case.loads) * _FEWEST_ORDERS > _MOST_STARTS:
        return usual
    search = _Search(case, bound)
    found = [search.simulate(usual)]
    # Each only if those before it were not good enough.
    found += (search.simulate(_by_weight(case, each)) for each in weights[1:] if search.goes_on)
    for schedule in found:
        search.improve(schedule)
    search.vary()
    gain = 1 - search.best.makespan / found[0].makespan
    return search.best.order if gain > _WORTHWHILE else usual


def shortest(case: Case) -> float:
    """Return what no schedule is shorter than, in seconds.

    That is the longest cell; all that the cells take, over what there is; and the sum of those that
    claim more than half of something, since no two of them run at once.
    """
    bound = max(case.seconds, default=0.0)
    for index, whole in enumerate(case.limit):
        if whole == math.inf:
            continue
        taken = apart = 0.0
        for load, seconds in zip(case.loads, case.seconds, strict=True):
            part = min(1.0, load[index] / whole)
            taken += part * seconds
            apart += seconds if 2 * load[index] > whole else 0.0
        bound = max(bound, taken, apart)
    return bound


@dataclass(frozen=True, slots=True)
class _Schedule:
    """What became of an order: when every cell ended, by place, and the last of them."""

    order: list[int]
    ends: list[float]
    makespan: float


class _Search:
    """Simulates orders and keeps the best."""

    def __init__(self, case: Case, bound: float) -> None:
        self.best = _Schedule([], [], math.inf)
        self._case = case
        self._enough = bound * (1 + _WORTHWHILE)
        self._left = _MOST_STARTS
        self._random = random.Random(len(case.loads))  # noqa: S311 it picks changes, not secrets

    @property
    def goes_on(self) -> bool:
        """Whether a better order is to be looked for."""
        return self._left > 0 and self.best.makespan > self._enough

    def simulate(self, order: Sequence[int]) -> _Schedule:
        """Return what becomes of an order, within the priorities."""
        case = self._case
        order = sorted(order, key=lambda place: -case.priorities[place])
        line = Line([case.loads[place] for place in order], case.limit, passes=case.passes)
        ends = [0.0] * len(order)
        running: list[tuple[float, int]] = []
        now = 0.0
        for _ in order:
            while (rank := line.next()) is None:
                now, ended = heapq.heappop(running)
                line.finish(ended)
            line.start(rank)
            place = order[rank]
            ends[place] = now + case.seconds[place]
            heapq.heappush(running, (ends[place], rank))
        self._left -= len(order)
        schedule = _Schedule(order, ends, max(ends))
        if schedule.makespan <= self.best.makespan:
            self.best = schedule
        return schedule

    def improve(self, schedule: _Schedule) -> None:
        """Turn time round, twice, while that gains."""
        while self.goes_on:
            turned = self.simulate(_last_first(schedule))
            again = self.simulate(_last_first(turned))
            if again.makespan >= schedule.makespan:
                return
            schedule = again

    def vary(self) -> None:
        """Change the best, a little at a time."""
        pick = self._random.choice
        places = range(len(self.best.order))
        while self.goes_on:
            order = list(self.best.order)
            for _ in range(pick((1, 1, 2, 3))):
                one, other = pick(places), pick(places)
                if pick((True, False)):
                    order[one], order[other] = order[other], order[one]
                else:
                    order.insert(one, order.pop(other))
            self.simulate(order)


def _last_first(schedule: _Schedule) -> list[int]:
    return sorted(schedule.order, key=lambda place: -schedule.ends[place])


_Weigh = Callable[[int], float]


def _weights(case: Case, bound: float) -> tuple[_Weigh, ...]:
    """Return what a cell weighs, by its place: usually, and what is better now and then."""
    shares = {load: load.share(case.limit) for load in set(case.loads)}
    share = [shares[load] for load in case.loads]
    seconds = case.seconds
    return (
        lambda place: seconds[place] * max(share[place], seconds[place] / bound if bound else 0.0),
        lambda place: share[place],
        lambda place: seconds[place],
        lambda place: seconds[place] * share[place],
    )


def _by_weight(case: Case, weigh: _Weigh) -> list[int]:
    def key(place: int) -> tuple[int, float, float]:
        return -case.priorities[place], -weigh(place), -case.seconds[place]

    return sorted(range(len(case.loads)), key=key)
