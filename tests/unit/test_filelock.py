"""Locks between processes: who has one keeps whom out, and until when."""

from __future__ import annotations

import sys
from pathlib import Path

import anyio
import pytest

from barasync.engine.filelock import locked, locked_at_once

pytestmark = pytest.mark.anyio

HOLDER = r"""
import os
import sys
from pathlib import Path
import anyio
from barasync.engine.filelock import locked

async def main():
    async with locked(Path(sys.argv[1]), key=sys.argv[2], shared=False, on_wait=sys.exit):
        os.write(1, b"held\n")
        sys.stdin.read()

anyio.run(main)
"""


class Waits:
    def __init__(self) -> None:
        self.event = anyio.Event()
        self.times = 0

    def __call__(self) -> None:
        self.times += 1
        self.event.set()


async def test_a_lock_that_is_held_alone_keeps_everybody_else_out(tmp_path: Path) -> None:
    path = tmp_path / "made/on/demand.lock"
    order: list[str] = []
    waits = Waits()

    async def second() -> None:
        async with locked(path, shared=True, on_wait=waits):
            order.append("second")

    async with anyio.create_task_group() as group, locked(path, shared=False, on_wait=waits):
        group.start_soon(second)
        await waits.event.wait()
        order.append("first")

    assert order == ["first", "second"]
    assert waits.times == 1


async def test_shared_locks_are_held_together(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    waits = Waits()

    async with (
        locked(path, shared=True, on_wait=waits),
        locked(path, shared=True, on_wait=waits),
    ):
        assert waits.times == 0


async def test_whoever_is_cancelled_while_waiting_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    waits = Waits()

    async with locked(path, shared=False, on_wait=waits), anyio.create_task_group() as group:

        async def second() -> None:
            async with locked(path, shared=False, on_wait=waits):
                pytest.fail("it was held by two")

        group.start_soon(second)
        await waits.event.wait()
        group.cancel_scope.cancel()
    async with locked(path, shared=False, on_wait=Waits()) as _:
        pass
    assert waits.times == 1


async def test_other_keys_of_a_file_are_other_locks(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    key = "0123456789abcdef" * 4

    async with locked(path, key=key, shared=False, on_wait=Waits()):
        for other in (key[:-1], key[::-1], "x"):
            with anyio.fail_after(5):
                async with locked(path, key=other, shared=False, on_wait=Waits()):
                    pass
            async with locked_at_once(path, key=other) as is_free:
                assert is_free
        async with locked_at_once(path, key=key) as is_free:
            assert not is_free
    async with locked_at_once(path, key=key) as is_free:
        assert is_free
    assert await anyio.Path(path).read_bytes() == b""


@pytest.mark.parametrize("key", ["", "key"])
async def test_the_lock_of_a_killed_process_is_free(tmp_path: Path, key: str) -> None:
    path = tmp_path / "lock"
    waits = Waits()
    command = [sys.executable, "-c", HOLDER, str(path), key]
    async with await anyio.open_process(command) as holder:
        assert holder.stdout is not None
        assert await holder.stdout.receive() == b"held\n"

        async def kill_when_waiting() -> None:
            await waits.event.wait()
            holder.kill()

        with anyio.fail_after(20):
            async with anyio.create_task_group() as group:
                group.start_soon(kill_when_waiting)
                async with locked(path, key=key, shared=False, on_wait=waits):
                    pass

    assert waits.times == 1


async def test_a_lock_that_cannot_be_had_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match="file"):
        async with locked(tmp_path / "file/lock", shared=False, on_wait=Waits()):
            pass
