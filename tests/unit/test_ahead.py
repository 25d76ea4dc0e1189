"""What is read ahead: in order, bounded in bytes, and ended from either side."""

from __future__ import annotations

import anyio
import pytest

from barasync.cli.terminals.ahead import Ahead

pytestmark = pytest.mark.anyio


async def test_many_single_keys_are_a_few_bytes() -> None:
    ahead = Ahead(1000)
    with anyio.fail_after(10):
        for _ in range(1000):
            assert await ahead.put(b"k")

    assert await ahead.take(600) == 600 * b"k"
    ahead.end()
    assert await ahead.take(600) == 400 * b"k"
    assert await ahead.take(600) == b""


async def test_a_piece_waits_for_those_before_it_where_there_is_no_room() -> None:
    ahead = Ahead(0)
    done: list[bytes] = []

    async def put() -> None:
        for piece in (b"one", b"two", b"three"):
            await ahead.put(piece)
            done.append(piece)
        ahead.end()

    async with anyio.create_task_group() as group:
        group.start_soon(put)
        await anyio.wait_all_tasks_blocked()
        assert done == [b"one"]
        taken = []
        while data := await ahead.take(2):
            taken.append(data)

    assert b"".join(taken) == b"onetwothree"


async def test_who_waits_hears_that_nobody_takes_any_more() -> None:
    ahead = Ahead(0)
    heard: list[bool] = []

    async def put() -> None:
        heard.append(await ahead.put(b"one"))
        heard.append(await ahead.put(b"two"))

    async with anyio.create_task_group() as group:
        group.start_soon(put)
        await anyio.wait_all_tasks_blocked()
        ahead.refuse()

    assert heard == [True, False]
