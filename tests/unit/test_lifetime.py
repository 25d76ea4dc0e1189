"""Requests whose answer nobody may miss."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import cast

import anyio
import pytest

from barasync.aiopodman import (
    Conflict,
    Container,
    Containers,
    ContainerSpec,
    NotFound,
    PodmanError,
    ServerError,
    answered,
    remove_persistently,
    temporary,
)

pytestmark = pytest.mark.anyio

LONG = 1000.0
SHORT = 0.02


async def never() -> int:
    await anyio.sleep_forever()
    raise AssertionError


async def one() -> int:
    return 1


async def refused() -> int:
    raise Conflict(status=409, cause="in use", message="", method="POST", path="/x")


async def begun_and_cancelled(
    request: Callable[[], Awaitable[int]], *, cancelled: float
) -> tuple[list[int], anyio.CancelScope]:
    """Cancel a wait that has begun, then let `request` go on.

    Return what was heard of it, and the cancelled scope.
    """
    heard: list[int] = []
    go_on = anyio.Event()
    async with anyio.create_task_group() as group:
        scope = anyio.CancelScope()

        async def held() -> int:
            await go_on.wait()
            return await request()

        async def ask() -> None:
            with scope:
                heard.append(await answered(held, within=LONG, cancelled=cancelled))
                await anyio.lowlevel.checkpoint()

        group.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        scope.cancel()
        await anyio.wait_all_tasks_blocked()
        go_on.set()
    return heard, scope


async def test_an_answer_is_returned_and_a_refusal_raised_as_it_is() -> None:
    assert await answered(one, within=LONG, cancelled=LONG) == 1
    with pytest.raises(Conflict):
        await answered(refused, within=LONG, cancelled=LONG)


async def test_without_an_answer_the_wait_ends() -> None:
    with pytest.raises(TimeoutError):
        await answered(never, within=SHORT, cancelled=LONG)


async def test_an_answer_that_comes_after_cancellation_is_heard_before_that_counts() -> None:
    heard, scope = await begun_and_cancelled(one, cancelled=LONG)

    assert (heard, scope.cancelled_caught) == ([1], True)


async def test_an_answer_that_comes_in_the_moment_of_cancellation_is_heard() -> None:
    heard: list[int] = []

    async def last() -> int:
        scope.cancel()
        return 1

    with anyio.CancelScope() as scope:
        heard.append(await answered(last, within=LONG, cancelled=LONG))

    assert heard == [1]


async def test_after_cancellation_an_answer_is_waited_for_for_a_shorter_time() -> None:
    with anyio.fail_after(10):
        heard, scope = await begun_and_cancelled(never, cancelled=SHORT)

    assert (heard, scope.cancelled_caught) == ([], True)


async def test_whoever_was_cancelled_hears_of_no_failure() -> None:
    heard, scope = await begun_and_cancelled(refused, cancelled=LONG)

    assert (heard, scope.cancelled_caught) == ([], True)


async def test_whoever_was_cancelled_before_asks_for_nothing() -> None:
    asked: list[int] = []

    async def ask() -> int:
        asked.append(1)
        return 1

    with anyio.CancelScope() as scope:
        scope.cancel()
        await answered(ask, within=LONG, cancelled=LONG)

    assert (asked, scope.cancelled_caught) == ([], True)


class Podmans:
    """A container that podman answers for, one answer after the other; `None` is that it went."""

    id = "1f3a" * 16

    def __init__(self, *answers: PodmanError | None) -> None:
        self.answers = list(answers)

    async def remove(self, **_how: object) -> None:
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer

    async def inspect(self) -> None:
        """Answer as long as it is there, which it is until the last answer."""
        if not self.answers:
            raise GONE


def failed(kind: type[ServerError | NotFound], cause: str) -> PodmanError:
    return kind(status=500, cause=cause, message="", method="DELETE", path="/x")


GONE = failed(NotFound, "no such container")
BUSY = failed(ServerError, "container is in use")
FULL = failed(ServerError, "write /db.sql: no space left on device")


async def test_removal_of_dependents_races__so_that_it_is_gone_is_looked_at() -> None:
    podmans = Podmans(GONE, None)

    await remove_persistently(cast("Container", podmans))

    assert not podmans.answers


@pytest.mark.parametrize("answers", [(None,), (GONE,), (BUSY, None), (BUSY, GONE), (FULL, None)])
async def test_a_container_that_podman_has_removed_or_does_not_know_is_gone(
    answers: tuple[PodmanError | None, ...],
) -> None:
    podmans = Podmans(*answers)

    await remove_persistently(cast("Container", podmans))

    assert podmans.answers == []


async def test_one_that_podman_forgot_for_want_of_space_is_not() -> None:
    with pytest.raises(ServerError, match="no space left"):
        await remove_persistently(cast("Container", Podmans(FULL, GONE)))


class Making:
    """Containers of which the next one is `made`."""

    def __init__(self, made: Podmans) -> None:
        self._made = made

    async def create(self, _spec: ContainerSpec) -> Podmans:
        return self._made


def lasting(*answers: PodmanError | None) -> AbstractAsyncContextManager[Container]:
    """A temporary container whose removal podman answers like that."""
    making = Making(Podmans(*answers))
    return temporary(cast("Containers", making), ContainerSpec(image="1f3a"))


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr("barasync.aiopodman.lifetime._REMOVE_PAUSES", (0.0, 0.0))


STAYS = f"container {Podmans.id} was not removed: .*container is in use.*podman rm --force"


async def test_a_temporary_container_that_is_gone_is_no_error() -> None:
    async with lasting(None) as container:
        assert container.id == Podmans.id


@pytest.mark.usefixtures("hasty")
async def test_a_temporary_container_that_stays_is_an_error_with_its_id() -> None:
    with pytest.raises(PodmanError, match=STAYS):
        async with lasting(BUSY, BUSY):
            pass


@pytest.mark.usefixtures("hasty")
async def test_a_temporary_container_that_stays_is_noted_on_what_went_wrong_before() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        async with lasting(BUSY, BUSY):
            raise ZeroDivisionError

    (note,) = caught.value.__notes__
    assert re.match(STAYS, note)


async def test_what_goes_wrong_is_not_noted_on_where_the_container_is_gone() -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        async with lasting(None):
            raise ZeroDivisionError

    assert not hasattr(caught.value, "__notes__")


async def test_a_container_that_podman_does_not_remove_in_time_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.aiopodman.lifetime.REMOVE_SECONDS", SHORT)

    class Stuck(Podmans):
        async def remove(self, **_how: object) -> None:
            await anyio.sleep_forever()

    with pytest.raises(PodmanError, match="was not removed: podman took more than"):
        async with temporary(cast("Containers", Making(Stuck())), ContainerSpec(image="1f3a")):
            pass
