"""Work that several cells need is done by one of them."""

from __future__ import annotations

import anyio
import pytest

from barasync.engine.once import Once
from barasync.errors import ImageError

pytestmark = pytest.mark.anyio


async def test_a_value_is_made_once_for_everybody_who_asks() -> None:
    made: list[str] = []

    async def make(key: str) -> str:
        made.append(key)
        await anyio.lowlevel.checkpoint()
        return key.upper()

    once = Once(make)
    got: list[str] = []

    async def ask() -> None:
        got.append(await once.get("a"))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(ask)

    assert made == ["a"]
    assert got == ["A", "A", "A"]


async def test_an_error_is_told_to_everybody_and_not_tried_again() -> None:
    made: list[str] = []

    async def make(key: str) -> str:
        made.append(key)
        raise ImageError("no such image")

    once = Once(make)
    for _ in range(2):
        with pytest.raises(ImageError, match="no such image"):
            await once.get("a")

    assert made == ["a"]


async def test_when_the_maker_is_cancelled_the_next_one_makes_it() -> None:
    made: list[str] = []
    making = anyio.Event()

    async def make(key: str) -> str:
        made.append(key)
        if len(made) == 1:
            making.set()
            await anyio.sleep_forever()
        return key

    once = Once(make)
    got: list[str] = []

    async def ask() -> None:
        got.append(await once.get("a"))

    first = anyio.CancelScope()

    async def ask_and_give_up() -> None:
        with first:
            await ask()

    async with anyio.create_task_group() as group:
        group.start_soon(ask_and_give_up)
        await making.wait()
        group.start_soon(ask)
        first.cancel()

    assert (made, got) == (["a", "a"], ["a"])


async def test_a_value_is_forgotten_once_however_many_found_it_stale() -> None:
    made: list[str] = []

    async def make(key: str) -> int:
        made.append(key)
        return len(made)

    once = Once(make)
    stale = await once.get("a")
    once.forget("a", stale)
    fresh = await once.get("a")
    once.forget("a", stale)
    once.forget("b", stale)

    assert (stale, fresh, await once.get("a")) == (1, 2, 2)
