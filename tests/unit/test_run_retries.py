"""Attempts of a cell after the first: when there are any, and what the last one leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from barasync.aiopodman import ServerError, Stream
from barasync.artifacts.place import below
from barasync.config.schema import RetryOn
from barasync.engine.memory import Shortage
from barasync.engine.run import RunResult
from barasync.events import (
    AdmissionHeld,
    AnyEvent,
    CellFinished,
    CellRetried,
    ContainerStarted,
)
from barasync.matrix.outcome import Status
from tests.unit.archives import member, pack
from tests.unit.fake_podman import FOREVER, Script, refused
from tests.unit.world import World

pytestmark = pytest.mark.anyio


async def test_a_cell_that_passes_at_a_later_attempt_is_flaky() -> None:
    world = World(
        {"a": Script(exit_code=3, again=Script()), "b": Script()},
        retries=2,
        retry_on=(RetryOn.FAILED,),
    )
    result = await world.result()

    assert result.outcomes["a"].passed
    assert result.outcomes["a"].flaky
    assert not result.outcomes["b"].flaky
    assert result.exit_code == 0
    retried = [event for event in world.recorder.events if isinstance(event, CellRetried)]
    assert [(event.cell, event.attempt, event.outcome.exit_code) for event in retried] == [
        ("a", 1, 3)
    ]


async def test_a_cell_is_tried_again_so_often_and_no_more() -> None:
    world = World({"a": Script(exit_code=3)}, retries=2, retry_on=(RetryOn.FAILED,))
    result = await world.result()

    assert result.outcomes["a"].status is Status.FAILED
    assert [spec.name for spec in world.podman.created] == [
        f"barasync-run1-a-{attempt}" for attempt in (1, 2, 3)
    ]


@pytest.mark.parametrize(
    ("script", "kind"),
    [
        (Script(exit_code=3), RetryOn.INFRA),
        (Script(refuses=refused(ServerError, "no space left")), RetryOn.FAILED),
        (Script(sticks=True), RetryOn.INFRA),
    ],
)
async def test_other_failures_are_not_tried_again(script: Script, kind: RetryOn) -> None:
    world = World({"a": script}, retries=2, retry_on=(kind,))
    await world.result()

    assert len(world.podman.created) == 1


async def test_fail_fast_waits_for_the_last_attempt() -> None:
    flaky = Script(exit_code=1, again=Script())
    world = World(
        {"a": flaky, "b": Script()}, fail_fast=True, retries=1, retry_on=(RetryOn.FAILED,)
    )

    assert await world.statuses() == {"a": Status.PASSED, "b": Status.PASSED}


def assert_failed_and_was_not_tried_again(world: World, result: RunResult) -> None:
    outcome = result.outcomes["a"]
    assert (outcome.status, outcome.exit_code) == (Status.FAILED, 3)
    assert outcome.output.stdout_bytes == 3
    assert outcome.reason == (
        "not tried again: the run was interrupted; before that: failed (exit code 3)"
    )
    (last,) = (
        event
        for event in world.recorder.events
        if isinstance(event, CellFinished) and event.cell == "a"
    )
    assert last.attempt == 1
    assert last.seconds > 0
    assert [spec.name for spec in world.podman.created].count("barasync-run1-a-2") == 0


async def test_a_cell_that_would_be_tried_again_keeps_its_failure_once_the_run_is_stopped() -> None:
    scripts = {"a": Script(output=((Stream.STDOUT, b"why"),), exit_code=3), "b": Script()}
    world = World(scripts, jobs=1, retries=5, retry_on=(RetryOn.FAILED,))

    def interrupt(event: AnyEvent) -> None:
        if isinstance(event, CellRetried):
            world.run.interrupt()

    world.recorder.on_event = interrupt
    result = await world.result()

    assert_failed_and_was_not_tried_again(world, result)
    assert result.outcomes["b"].status is Status.CANCELLED
    assert result.outcomes["b"].reason == "not started: the run was interrupted"
    assert result.exit_code == 130


async def test_a_cell_that_waits_to_be_tried_again_keeps_its_failure_when_it_is_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.engine.run._LOOK_SECONDS", 0.001)
    happened: list[AnyEvent] = []

    def look() -> Shortage | None:
        """Keep the cell that has failed waiting, and interrupt the run meanwhile."""
        if any(isinstance(event, CellRetried) for event in happened):
            anyio.from_thread.run_sync(world.run.interrupt)
        both_run = sum(isinstance(event, ContainerStarted) for event in happened) > 1
        return Shortage(reason="none is left") if both_run else None

    def end_a(event: AnyEvent) -> None:
        happened.append(event)
        if isinstance(event, AdmissionHeld):
            (container,) = (
                each
                for each in world.podman.present.values()
                if each.spec.labels["barasync.cell"] == "a"
            )
            container.exit_code = 3
            container.ended.set()

    scripts = {
        "a": Script(output=((Stream.STDOUT, b"why"),), exit_code=FOREVER),
        "b": Script(exit_code=FOREVER),
    }
    world = World(scripts, jobs=2, retries=5, retry_on=(RetryOn.FAILED,), look_at_memory=look)
    world.recorder.on_event = end_a
    with anyio.fail_after(30):
        result = await world.result()

    assert_failed_and_was_not_tried_again(world, result)
    assert result.outcomes["b"].status is Status.CANCELLED


async def test_a_cell_that_is_tried_again_waits_for_its_turn_like_others(tmp_path: Path) -> None:
    """It gave its place away when its artifacts began to be collected."""
    both: list[str] = []

    async def watched() -> AsyncIterator[bytes]:
        both.append("archive")
        yield pack(member("out", b"x"))

    failing = Script(exit_code=3, archive=watched, again=Script(archive=watched))
    world = World(
        {"a": failing, "b": Script(archive=watched)},
        jobs=1,
        artifacts=("out",),
        retries=1,
        retry_on=(RetryOn.FAILED,),
    )

    with below(tmp_path) as world.recorder.root:
        assert set((await world.statuses()).values()) == {Status.PASSED}
    assert both == ["archive"] * 3
