"""Schedules on a simulated clock: the scheduler's, and the list schedules it is measured by.

The best list schedule is not known for more than a few cells: there are as many as orders of the
cells, and up to six all of them are carried out. Beyond, what stands for it is the shortest of
many: random ones, longest first, the plan's order, and changes to the best of those. No schedule at
all is shorter than `lower_bound`.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from barasync.engine.claims import Capacity, Claim
from barasync.engine.scheduler import Scheduler, Task

EMULATION = 8.0
GIBIBYTE = 1 << 30
_ALL_ORDERS = 6

RECORDED = Path(__file__).parents[1] / "data" / "durations.txt"

ONE_CPU = (Claim(cpus=1),)
MIXED = tuple(
    Claim(cpus=cpus, memory_bytes=size * GIBIBYTE)
    for cpus in (0.5, 1, 2, 4)
    for size in (0, 1, 2, 4)
)
HALF_FREE = (Claim(cpus=3), Claim(cpus=2), Claim(cpus=1))
LARGE_AND_SMALL = (Claim(cpus=3), Claim(cpus=1))
WHOLE_AND_SMALL = (Claim(cpus=4), *ONE_CPU * 3)


@dataclass(frozen=True, slots=True)
class Load:
    """Cells with the durations they turn out to have, in seconds; `tasks` hold what is expected."""

    tasks: tuple[Task, ...]
    seconds: dict[str, float]


def matrix(cells: int, seed: int, *, claims: Sequence[Claim] = (Claim(cpus=1),)) -> Load:
    """Make durations as a matrix of test suites has them, and expect each to be what it is.

    Log-normal around 20 s: most cells are like each other, a few take ten times as long. A third of
    them is emulated. The claims are dealt at random.
    """
    source = random.Random(seed)
    tasks = []
    for number in range(cells):
        seconds = source.lognormvariate(3.0, 0.8) * (EMULATION if source.random() < 1 / 3 else 1)
        task = Task(id=f"cell{number}", claim=source.choice(claims), expected_seconds=seconds)
        tasks.append(task)
    return Load(tuple(tasks), {task.id: task.expected_seconds for task in tasks})


def recorded(seed: int, *, claims: Sequence[Claim]) -> Load:
    """Take durations that were recorded, one cell a line, with claims dealt at random."""
    source = random.Random(seed)
    lines = RECORDED.read_text(encoding="ascii").splitlines()
    seconds = {
        name: float(duration)
        for duration, name in (line.split() for line in lines if not line.startswith("#"))
    }
    tasks = tuple(
        Task(id=name, claim=source.choice(claims), expected_seconds=duration)
        for name, duration in seconds.items()
    )
    return Load(tasks, seconds)


def all_different(cells: int, seed: int = 1) -> list[Claim]:
    """Return as many claims, of up to 3 CPUs and 6 GiB, no two of them equal."""
    source = random.Random(seed)
    return [
        Claim(cpus=source.uniform(0.1, 3), memory_bytes=round(source.uniform(0, 6 * GIBIBYTE)))
        for _ in range(cells)
    ]


def dealt(cells: int, seed: int, *, claims: Sequence[Claim]) -> Load:
    """Make the durations of `matrix`, with the claims in turn."""
    load = matrix(cells, seed)
    tasks = zip(load.tasks, itertools.cycle(claims), strict=False)
    return Load(tuple(replace(task, claim=claim) for task, claim in tasks), load.seconds)


CASES: dict[str, tuple[Capacity, Sequence[Claim]]] = {
    "1 CPU each, on 2": (Capacity(cpus=2), ONE_CPU),
    "1 CPU each, on 4": (Capacity(cpus=4), ONE_CPU),
    "1 CPU each, on 16": (Capacity(cpus=16), ONE_CPU),
    "4 jobs": (Capacity(jobs=4), (Claim(),)),
    "16 claims, on 4 CPUs, 8 GiB": (Capacity(cpus=4, memory_bytes=8 * GIBIBYTE), MIXED),
    "16 claims, on 16 CPUs, 32 GiB": (Capacity(cpus=16, memory_bytes=32 * GIBIBYTE), MIXED),
    "3 CPUs or 1, on 4": (Capacity(cpus=4), LARGE_AND_SMALL),
    "4 CPUs or 1, on 4": (Capacity(cpus=4), WHOLE_AND_SMALL),
    "3 CPUs, 2 or 1, on 5": (Capacity(cpus=5), HALF_FREE),
    "all different, on 4 CPUs, 8 GiB": (
        Capacity(cpus=4, memory_bytes=8 * GIBIBYTE),
        all_different(2_000),
    ),
}
"""What the length of schedules is judged by: what there is, and what cells claim of it."""


def misjudged(load: Load, spread: float, seed: int) -> Load:
    """Return the same cells with expectations that are off by a log-normal factor."""
    source = random.Random(seed)
    return Load(
        tuple(
            replace(task, expected_seconds=task.expected_seconds * source.lognormvariate(0, spread))
            for task in load.tasks
        ),
        load.seconds,
    )


def makespan(load: Load, capacity: Capacity) -> float:
    """Return when the last cell ends under the scheduler; every cell has to run once."""
    scheduler = Scheduler(load.tasks, capacity)
    ends: list[tuple[float, str]] = []
    now = 0.0
    started = 0
    while not scheduler.done:
        while (cell := scheduler.ready()) is not None:
            scheduler.started(cell)
            heapq.heappush(ends, (now + load.seconds[cell], cell))
            started += 1
        now, cell = heapq.heappop(ends)
        scheduler.finished(cell)
    assert started == len(load.tasks)
    return now


def best_list_schedule(load: Load, capacity: Capacity, *, orders: int, seed: int) -> float:
    """Return the shortest list schedule that is found in so many orders and in changes to them."""
    if len(load.tasks) <= _ALL_ORDERS:
        return min(
            _greedy(list(order), load, capacity) for order in itertools.permutations(load.tasks)
        )
    source = random.Random(seed)
    best_order = list(load.tasks)
    best = _greedy(best_order, load, capacity)
    for number in range(orders):
        # The first half are shuffled, the second half climb from the best of those.
        order = list(best_order)
        if number < orders // 2:
            source.shuffle(order)
        else:
            order.insert(source.randrange(len(order)), order.pop(source.randrange(len(order))))
        length = _greedy(order, load, capacity)
        if length <= best:
            best, best_order = length, order
    return min(best, longest_first(load, capacity))


def longest_first(load: Load, capacity: Capacity) -> float:
    """Return the makespan of the list schedule by duration alone, whatever a cell claims."""
    by_duration = sorted(load.tasks, key=lambda task: -load.seconds[task.id])
    return _greedy(by_duration, load, capacity)


def lower_bound(load: Load, capacity: Capacity) -> float:
    """Return what no schedule is shorter than: its longest cell, and its work by the capacity."""
    bounds = [max(load.seconds.values())]
    for limit, amounts in (
        (capacity.jobs, [1.0] * len(load.tasks)),
        (capacity.cpus, [task.claim.cpus for task in load.tasks]),
        (capacity.memory_bytes, [task.claim.memory_bytes for task in load.tasks]),
    ):
        if limit is not None:
            work = zip(amounts, load.tasks, strict=True)
            bounds.append(sum(amount * load.seconds[task.id] for amount, task in work) / limit)
    return max(bounds)


def _greedy(order: list[Task], load: Load, capacity: Capacity) -> float:
    """Carry out a list schedule: whenever a cell ends, start in order whatever fits."""
    infinity = float("inf")
    free = [
        infinity if limit is None else limit
        for limit in (capacity.jobs, capacity.cpus, capacity.memory_bytes)
    ]
    waiting = order
    ends: list[tuple[float, int, Task]] = []
    now = 0.0
    sequence = 0
    while waiting or ends:
        left = []
        for position, task in enumerate(waiting):
            if free[0] < 1:
                left += waiting[position:]
                break
            if task.claim.cpus <= free[1] and task.claim.memory_bytes <= free[2]:
                _take(free, task, 1)
                sequence += 1
                heapq.heappush(ends, (now + load.seconds[task.id], sequence, task))
            else:
                left.append(task)
        waiting = left
        now, _, task = heapq.heappop(ends)
        _take(free, task, -1)
    return now


def _take(free: list[float], task: Task, times: int) -> None:
    free[0] -= times
    free[1] -= times * task.claim.cpus
    free[2] -= times * task.claim.memory_bytes
