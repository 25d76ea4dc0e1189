"""A reader of what the command of a run prints: when they leave it is ended, and only then."""

from __future__ import annotations

import errno

import anyio
import pytest
from anyio import to_thread

from barasync.cli.reader import Reader
from barasync.engine.run import RunResult
from barasync.matrix.outcome import Outcome, Status

pytestmark = pytest.mark.anyio

CANCELLED = Outcome(status=Status.CANCELLED)


def result(exit_code: int = 1) -> RunResult:
    return RunResult(outcomes={}, exit_code=exit_code, problem=None, seconds=0.0)


class Stopped:
    """Stands for a run that can be stopped, or cannot any more."""

    def __init__(self, *, can_be: bool = True) -> None:
        self.reasons: list[str] = []
        self._can_be = can_be

    def stop(self, reason: str) -> bool:
        self.reasons.append(reason)
        return self._can_be


async def test_one_that_leaves_ends_the_run_from_whatever_thread_finds_that() -> None:
    run, reader = Stopped(), Reader()

    with anyio.fail_after(30), reader.ends(run.stop):
        await to_thread.run_sync(reader.is_missed)

    assert run.reasons == ["nobody reads its output any more"]
    assert reader.exit_code(CANCELLED, result()) == 141


async def test_a_command_that_has_ended_or_was_interrupted_keeps_its_own_code() -> None:
    run, reader = Stopped(), Reader()
    with reader.ends(run.stop):
        reader.has_left()

    assert reader.exit_code(Outcome(status=Status.FAILED, exit_code=3), result()) is None
    assert reader.exit_code(Outcome(status=Status.PASSED, exit_code=0), result(0)) is None
    assert reader.exit_code(CANCELLED, result(130)) is None


async def test_a_run_that_is_stopped_for_another_reason_keeps_that() -> None:
    run, reader = Stopped(can_be=False), Reader()
    with reader.ends(run.stop):
        reader.has_left()

    assert reader.exit_code(CANCELLED, result()) is None


async def test_before_and_after_a_run_nothing_is_ended() -> None:
    run, reader = Stopped(), Reader()

    reader.has_left()
    with reader.ends(run.stop):
        pass
    reader.has_left(OSError(errno.ENOSPC, "no space"))

    assert run.reasons == []
    assert reader.exit_code(CANCELLED, result()) is None
