"""A container is given up for want of a monitor only where everything says that it has none."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from typing import cast

import anyio
import pytest

from barasync.aiopodman import (
    Container,
    ContainerInspect,
    ContainerState,
    NotFound,
    PodmanError,
    ServerError,
    TransportError,
)
from barasync.engine.ending import MonitorLost, until_ended
from tests.unit.fake_podman import refused

pytestmark = pytest.mark.anyio

ID = "c0ffee" * 10 + "c0ff"
LOCKED = refused(ServerError, "database is locked")
NO_EXIT_CODE = refused(NotFound, "no such exit code")
ENDLESS = 1000


class Watched:
    """Runs until podman has been asked to wait `lasts` times, each of which it answers so."""

    id = ID

    def __init__(self, answer: PodmanError | None, *, lasts: int, monitor: int = 0) -> None:
        self.waits = 0
        self.answer = answer
        self.lasts = lasts
        self.monitor = monitor

    async def wait(self) -> int:
        await anyio.lowlevel.checkpoint()
        self.waits += 1
        if self.answer is not None:
            raise self.answer
        return 0

    async def inspect(self) -> ContainerInspect:
        ended = self.waits >= self.lasts
        state = ContainerState(
            status="exited" if ended else "running",
            exit_code=3 if ended else 0,
            conmon_pid=self.monitor,
        )
        return ContainerInspect(id=ID, state=state)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_FIRST_PAUSE_SECONDS", "_LONGEST_PAUSE_SECONDS", "_LOOK_PAUSE_SECONDS"):
        monkeypatch.setattr(f"barasync.engine.ending.{name}", 0.001)


@pytest.fixture
def monitor() -> Iterator[int]:
    """A process that names the container as its monitor does."""
    with subprocess.Popen(["sh", "-c", "read x", ID], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def stranger() -> Iterator[int]:
    """A process that has the monitor's ID by chance."""
    with subprocess.Popen(["sh", "-c", "read x"], stdin=subprocess.PIPE) as process:
        yield process.pid
        process.kill()


async def end_of(container: Watched) -> ContainerState:
    with anyio.fail_after(30):
        return (await until_ended(cast("Container", container))).state


async def test_refusals_are_borne_until_it_has_ended() -> None:
    assert (await end_of(Watched(LOCKED, lasts=50))).exit_code == 3


@pytest.mark.parametrize("answer", [None, NO_EXIT_CODE])
async def test_a_monitor_that_is_seen_outweighs_what_podman_says(
    answer: PodmanError | None, monitor: int
) -> None:
    assert (await end_of(Watched(answer, lasts=50, monitor=monitor))).exit_code == 3


@pytest.mark.parametrize(("answer", "times"), [(None, 5), (NO_EXIT_CODE, 1)])
async def test_without_a_monitor_it_is_given_up_when_podman_has_said_so_often_enough(
    answer: PodmanError | None, times: int, stranger: int
) -> None:
    container = Watched(answer, lasts=ENDLESS, monitor=stranger)
    with pytest.raises(MonitorLost):
        await end_of(container)

    assert container.waits == times


async def test_an_answer_at_once_is_no_proof_while_the_end_may_be_on_its_way() -> None:
    assert (await end_of(Watched(None, lasts=4))).exit_code == 3


async def test_a_podman_that_goes_away_is_the_callers_affair() -> None:
    container = Watched(TransportError("podman died"), lasts=ENDLESS)

    assert not (await end_of(container)).ended
    assert container.waits == 1
