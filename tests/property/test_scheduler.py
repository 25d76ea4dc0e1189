"""The scheduler as a state machine: nothing over the limit, nothing lost, nothing run twice."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from barasync.engine.scheduler import Scheduler


class SchedulerMachine(RuleBasedStateMachine):
    """Drives a scheduler as an engine may, in any order of events."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.started: list[str] = []
        self.ended: list[str] = []
        self.dropped: list[str] = []
        self.jobs = 1
        self.scheduler = Scheduler((), jobs=1)

    @initialize(count=st.integers(0, 30), jobs=st.integers(1, 5))
    def plan(self, count: int, jobs: int) -> None:
        self.cells = [f"cell{number}" for number in range(count)]
        self.jobs = jobs
        self.scheduler = Scheduler(self.cells, jobs=jobs)

    @rule()
    def start(self) -> None:
        self.started += self.scheduler.ready()

    @precondition(lambda self: self.scheduler.running)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        cell = data.draw(st.sampled_from(sorted(self.scheduler.running)))
        self.scheduler.finished(cell)
        self.ended.append(cell)

    @rule()
    def stop(self) -> None:
        self.dropped += self.scheduler.stop()

    @invariant()
    def never_over_the_limit(self) -> None:
        assert len(self.scheduler.running) <= self.jobs

    @invariant()
    def no_cell_twice_and_none_invented(self) -> None:
        handed_out = self.started + self.dropped
        assert len(handed_out) == len(set(handed_out))
        assert set(handed_out) <= set(self.cells)

    def teardown(self) -> None:
        """Finish what runs until nothing is left; that has to come to an end."""
        for _ in range(len(self.cells) + 1):
            self.start()
            for cell in self.scheduler.running:
                self.scheduler.finished(cell)
                self.ended.append(cell)
        assert self.scheduler.done
        assert sorted(self.ended + self.dropped) == sorted(self.cells)


TestScheduler = SchedulerMachine.TestCase


def test_cells_start_in_the_order_given() -> None:
    scheduler = Scheduler(["a", "b", "c"], jobs=2)

    assert scheduler.ready() == ("a", "b")
    scheduler.finished("b")
    assert scheduler.ready() == ("c",)


def test_no_job_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Scheduler([], jobs=0)


def test_finishing_a_cell_that_does_not_run_is_an_error() -> None:
    with pytest.raises(KeyError):
        Scheduler(["a"], jobs=1).finished("a")
