"""Cells that are held back while their host runs short of memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from barasync.artifacts.place import below
from barasync.engine.memory import Shortage
from barasync.events import AnyEvent, ContainerStarted
from barasync.matrix.outcome import Status
from tests.unit.archives import member, pack
from tests.unit.fake_podman import Script
from tests.unit.world import World

pytestmark = pytest.mark.anyio


async def test_a_container_that_has_ended_holds_nobody_back_while_it_is_collected(
    tmp_path: Path,
) -> None:
    started: list[str] = []
    second = anyio.Event()

    async def until_another_starts() -> AsyncIterator[bytes]:
        await second.wait()
        yield pack(member("out", b"x"))

    def watch(event: AnyEvent) -> None:
        if isinstance(event, ContainerStarted):
            started.append(event.cell)
            if len(started) > 1:
                second.set()

    world = World(
        {name: Script(archive=until_another_starts) for name in "ab"},
        artifacts=("out",),
        look_at_memory=lambda: Shortage(reason="none is left"),
    )
    world.recorder.on_event = watch
    with below(tmp_path) as world.recorder.root, anyio.fail_after(10):
        assert await world.statuses() == {"a": Status.PASSED, "b": Status.PASSED}

    with anyio.fail_after(5):
        # Waits unless each was taken out of the count once: the memory is short still.
        await world.run._session.gates.admitted()
