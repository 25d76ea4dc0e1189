"""The scheduler as a state machine: nothing over the limits, nothing lost, nothing run twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from barasync.engine.claims import Capacity, Claim
from barasync.engine.exclusion import Uses
from barasync.engine.scheduler import Scheduler, Task
from tests.rig import schedules

claims = st.builds(
    Claim, cpus=st.sampled_from((0.1, 0.5, 1.0, 3.0, 0.0)), memory_bytes=st.integers(0, 5)
)
names = st.frozensets(st.sampled_from("abc"), max_size=2)
uses = st.just(Uses()) | st.builds(
    lambda alone, shared: Uses(alone=alone, shared=shared - alone), names, names
)
capacities = st.builds(
    Capacity,
    jobs=st.none() | st.integers(1, 9),
    cpus=st.none() | st.sampled_from((0.3, 1.0, 4.0)),
    memory_bytes=st.none() | st.integers(1, 12),
)


class SchedulerMachine(RuleBasedStateMachine):
    """Drives a scheduler as an engine may, in any order of events, beside a model of what it owes.

    Nothing is expected of the cells' durations, so the order is that of priorities and the plan.
    """

    def __init__(self) -> None:
        super().__init__()
        self.tasks: dict[str, Task] = {}
        self.order: list[str] = []
        self.runs: Counter[str] = Counter()
        self.owed: Counter[str] = Counter()
        self.ended: set[str] = set()
        self.dropped: list[str] = []
        self.held = False
        self.stopped = False
        self.passed: Counter[str] = Counter()
        self.beside: dict[str, set[str]] = {}
        self.capacity = Capacity()
        self.passes = 0
        self.scheduler = Scheduler((), self.capacity)

    @initialize(
        wanted=st.integers(0, 30).flatmap(
            lambda size: st.lists(
                st.tuples(claims, st.integers(0, 1), uses), min_size=size, max_size=size
            )
        ),
        capacity=capacities,
        passes=st.integers(0, 3),
    )
    def plan(self, wanted: list[tuple[Claim, int, Uses]], capacity: Capacity, passes: int) -> None:
        names = [f"cell{number}" for number in range(len(wanted))]
        self.tasks = {
            name: Task(id=name, claim=claim, priority=priority, uses=uses)
            for name, (claim, priority, uses) in zip(names, wanted, strict=True)
        }
        self.order = sorted(names, key=lambda name: -self.tasks[name].priority)
        self.owed = Counter(names)
        self.capacity = capacity
        self.passes = passes
        self.scheduler = Scheduler(self.tasks.values(), capacity, passes=passes)

    @rule(most=st.just(30) | st.integers(1, 3))
    def start(self, most: int) -> None:
        """Start what is ready, or only the beginning of it."""
        for _ in range(most):
            cell = self.scheduler.ready()
            assert cell == self.scheduler.ready(), "asking changes nothing"
            if cell is not None:
                self._start(cell)

    @precondition(lambda self: self.scheduler.running)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        cell = data.draw(st.sampled_from(sorted(self.scheduler.running)))
        self.scheduler.released(cell)
        for beside in self.beside.values():
            beside.discard(cell)

    @precondition(lambda self: self.scheduler.running or self.scheduler.leaving)
    @rule(data=st.data(), again=st.booleans())
    def finish(self, data: st.DataObject, again: bool) -> None:
        cell = data.draw(st.sampled_from(sorted(self._there())))
        if again and not self.stopped:
            self.owed[cell] += 1
        else:
            self.ended.add(cell)
        self.scheduler.finished(cell, again=again)
        for beside in self.beside.values():
            beside.discard(cell)

    @rule(on=st.booleans())
    def hold(self, on: bool) -> None:
        self.scheduler.hold(on=on)
        self.held = on

    @precondition(lambda self: len(self.ended) > len(self.tasks) // 2)
    @rule()
    def stop(self) -> None:
        waiting = set(self.scheduler.waiting)
        dropped = self.scheduler.stop()
        assert dropped == tuple(cell for cell in self.tasks if cell in waiting)
        self.dropped += dropped
        self.stopped = True

    @invariant()
    def never_over_the_limits_but_alone(self) -> None:
        running = self.scheduler.running
        assert len(running) <= 1 or self._fit(running)

    @invariant()
    def nothing_that_is_used_alone_is_used_twice(self) -> None:
        users: Counter[str] = Counter()
        alone: set[str] = set()
        for cell in self._there():
            users.update(self.tasks[cell].uses.all)
            alone |= self.tasks[cell].uses.alone
        assert all(users[name] == 1 for name in alone)

    @invariant()
    def every_cell_is_in_one_place_and_runs_as_often_as_owed(self) -> None:
        places = [*self._there(), *self.scheduler.waiting, *self.ended, *self.dropped]
        assert self.scheduler.done is not bool(self._there() or self.scheduler.waiting)
        assert sorted(places) == sorted(self.tasks)
        for cell in self.tasks:
            missing = cell in self.scheduler.waiting or cell in self.dropped
            assert self.runs[cell] == self.owed[cell] - missing

    @invariant()
    def there_is_progress(self) -> None:
        ready = self.scheduler.ready()
        if self.held and self.scheduler.running:
            assert ready is None
        elif self.scheduler.waiting and not self.scheduler.running:
            assert ready == next(iter(self._in_line()), None)
            assert ready is not None or self.scheduler.leaving

    @invariant()
    def nothing_is_left_waiting_that_may_start(self) -> None:
        """What is ready comes before all others that fit and may pass over the first."""
        if self.held or not self.scheduler.running:
            return
        waiting = self._in_line()
        may = (cell for cell in waiting if self._fit({*self.scheduler.running, cell}))
        first = waiting[0] if waiting else None
        assert self.scheduler.ready() == next(
            (cell for cell in may if cell == first or self._may_pass(cell, waiting[0])), None
        )

    def teardown(self) -> None:
        """Finish what runs until nothing is left; that has to come to an end."""
        for _ in range(len(self.tasks) + 1):
            while (cell := self.scheduler.ready()) is not None:
                self._start(cell)
            for cell in self._there():
                self.scheduler.finished(cell)
                self.ended.add(cell)
            self.beside.clear()
        assert self.scheduler.done
        self.every_cell_is_in_one_place_and_runs_as_often_as_owed()

    def _start(self, cell: str) -> None:
        first = self._first()
        if cell != first:
            beside = self.beside.setdefault(first, set())
            if not self._fit({*beside, cell, first}):
                self.passed[first] += 1
                assert self.passed[first] <= self.passes
            beside.add(cell)
        self.beside.pop(cell, None)
        del self.passed[cell]
        self.scheduler.started(cell)
        self.runs[cell] += 1

    def _may_pass(self, cell: str, first: str) -> bool:
        beside = self.beside.get(first, set())
        return self.passed[first] < self.passes or self._fit({*beside, cell, first})

    def _there(self) -> tuple[str, ...]:
        """Return the cells that were started and have not finished."""
        return (*self.scheduler.running, *self.scheduler.leaving)

    def _first(self) -> str:
        return self._in_line()[0]

    def _in_line(self) -> list[str]:
        """Return the cells that wait, but not for what started cells use."""
        running = [self.tasks[cell].uses for cell in self._there()]
        return [
            cell
            for cell in self.order
            if cell in self.scheduler.waiting
            and not any(_meet(self.tasks[cell].uses, other) for other in running)
        ]

    def _fit(self, cells: Iterable[str]) -> bool:
        taken = [self.tasks[cell].claim for cell in cells]
        cpus = sum(Fraction(str(claim.cpus)) for claim in taken)
        memory = sum(claim.memory_bytes for claim in taken)
        limits = self.capacity
        return (
            (limits.jobs is None or len(taken) <= limits.jobs)
            and (limits.cpus is None or cpus <= Fraction(str(limits.cpus)))
            and (limits.memory_bytes is None or memory <= limits.memory_bytes)
        )


def _meet(one: Uses, other: Uses) -> bool:
    return bool(one.alone & other.all or other.alone & one.all)


TestScheduler = SchedulerMachine.TestCase


@settings(max_examples=50)
@given(st.lists(st.floats(0, 1e6), max_size=12), capacities, claims)
def test_cells_of_equal_claims_start_longest_first_unless_another_order_ends_sooner(
    expected: list[float], capacity: Capacity, claim: Claim
) -> None:
    tasks = [
        Task(id=str(number), claim=claim, expected_seconds=seconds)
        for number, seconds in enumerate(expected)
    ]
    scheduler = Scheduler(tasks, capacity)
    order = []
    while not scheduler.done:
        while (cell := scheduler.ready()) is not None:
            scheduler.started(cell)
            order.append(int(cell))
        scheduler.finished(next(iter(scheduler.running)))

    longest_first = sorted(range(len(expected)), key=lambda number: (-expected[number], number))
    if order != longest_first:
        load = schedules.Load(tuple(tasks), {task.id: task.expected_seconds for task in tasks})
        usual = schedules.longest_first(load, capacity)
        assert schedules.makespan(load, capacity) < 0.99 * usual


@given(st.lists(st.tuples(claims, st.floats(0, 100), st.integers(0, 1)), max_size=8), capacities)
@settings(max_examples=50)
def test_a_higher_priority_is_first_whatever_ends_sooner(
    wanted: list[tuple[Claim, float, int]], capacity: Capacity
) -> None:
    tasks = [
        Task(id=str(number), claim=claim, expected_seconds=seconds, priority=priority)
        for number, (claim, seconds, priority) in enumerate(wanted)
    ]
    scheduler = Scheduler(tasks, capacity, passes=0)
    first = scheduler.ready()

    highest = max((task.priority for task in tasks), default=0)
    assert first is None or tasks[int(first)].priority == highest


@pytest.mark.parametrize("cells", [6, 20, 60])
@pytest.mark.parametrize("name", schedules.CASES)
def test_a_run_takes_at_most_5_percent_longer_than_the_best_list_schedule(
    name: str, cells: int
) -> None:
    capacity, kinds = schedules.CASES[name]
    for seed in range(180, 184):
        load = schedules.matrix(cells, seed, claims=kinds)
        best = schedules.best_list_schedule(load, capacity, orders=6_000 // cells, seed=seed)

        assert schedules.makespan(load, capacity) <= 1.05 * best


@pytest.mark.parametrize("name", schedules.CASES)
def test_of_recorded_durations_too_a_run_takes_at_most_5_percent_longer(name: str) -> None:
    capacity, kinds = schedules.CASES[name]
    for seed in range(2):
        load = schedules.recorded(seed, claims=kinds)
        best = schedules.best_list_schedule(load, capacity, orders=60, seed=seed)

        assert schedules.makespan(load, capacity) <= 1.05 * best


def test_2000_cells_take_at_most_1_percent_longer_than_any_schedule_has_to() -> None:
    load, capacity = schedules.matrix(2_000, seed=1), Capacity(cpus=16)

    assert schedules.makespan(load, capacity) <= 1.01 * schedules.lower_bound(load, capacity)
