"""Runs that want the same workspace layer, one after the other."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from barasync.engine.layers import making_layer

pytestmark = pytest.mark.anyio
KEY = "0123456789abcdef" * 4
OTHER = KEY[:-1] + "0"


def nobody_waits() -> None:
    pytest.fail("there is nobody to wait for")


async def test_who_comes_second_waits_until_the_first_is_done(tmp_path: Path) -> None:
    waiting = anyio.Event()
    order: list[str] = []

    async def second() -> None:
        async with making_layer(tmp_path, KEY, on_wait=waiting.set):
            order.append("second")

    async with (
        anyio.create_task_group() as group,
        making_layer(tmp_path, KEY, on_wait=nobody_waits),
    ):
        group.start_soon(second)
        await waiting.wait()
        order.append("first")

    assert order == ["first", "second"]


async def test_who_waits_can_be_cancelled(tmp_path: Path) -> None:
    async with making_layer(tmp_path, KEY, on_wait=nobody_waits):
        with anyio.CancelScope() as scope:
            async with making_layer(tmp_path, KEY, on_wait=scope.cancel):
                pytest.fail("somebody else makes it")

    assert scope.cancelled_caught


async def test_other_layers_are_not_waited_for(tmp_path: Path) -> None:
    async with (
        making_layer(tmp_path, KEY, on_wait=nobody_waits),
        making_layer(tmp_path, OTHER, on_wait=nobody_waits),
    ):
        files = await to_thread.run_sync(lambda: list(tmp_path.iterdir()))

    assert len(files) == 1, "there would be one for every state of a project"


async def test_without_a_place_for_locks_the_layer_is_made_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    made = False

    async with making_layer(tmp_path / "file" / "locks", KEY, on_wait=nobody_waits):
        made = True

    assert made


async def test_an_error_of_the_making_is_not_taken_for_one_of_the_lock(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        async with making_layer(tmp_path, KEY, on_wait=nobody_waits):
            raise FileNotFoundError("gone")
