"""Values that were received ahead of who takes them."""

from __future__ import annotations

import anyio
import pytest

from barasync.aiopodman.streams import Ahead

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_who_is_cancelled_as_a_value_comes_has_taken_it_or_left_it() -> None:
    ahead = Ahead[int](4)
    taken: list[int] = []

    async def take() -> None:
        taken.append(await ahead.take())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        await ahead.put(1)
        tasks.cancel_scope.cancel()
    if not taken:
        taken.append(await ahead.take())

    assert taken == [1]


async def test_what_there_is_no_room_for_waits() -> None:
    ahead = Ahead[int](2)
    put: list[int] = []

    async def fill() -> None:
        for number in range(5):
            await ahead.put(number)
            put.append(number)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(fill)
        await anyio.wait_all_tasks_blocked()
        assert put == [0, 1]
        assert [await ahead.take() for _ in range(5)] == [0, 1, 2, 3, 4]

    assert put == [0, 1, 2, 3, 4]


async def test_what_is_closed_gives_nothing() -> None:
    ahead = Ahead[int](2)
    await ahead.put(1)
    ahead.close()

    with pytest.raises(anyio.ClosedResourceError):
        await ahead.take()


async def test_who_waits_for_a_value_is_told_of_the_end() -> None:
    ahead = Ahead[int](2)

    async with anyio.create_task_group() as tasks:

        async def take() -> None:
            with pytest.raises(anyio.ClosedResourceError):
                await ahead.take()

        tasks.start_soon(take)
        await anyio.wait_all_tasks_blocked()
        ahead.close()
