"""The containers of steps: each is removed while the next step goes on, and none is left."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from barasync.errors import ImageError
from tests.fake.faults import Fault, Hangs, Keeps
from tests.faults.building import Site, run, until

pytestmark = pytest.mark.anyio


async def test_a_step_goes_on_while_the_container_of_the_one_before_is_removed(site: Site) -> None:
    site.service.inject(Fault("delete", Hangs(seconds=1.0), times=1))

    built = await site.build(run("echo one"), run("echo two"))

    asked = [each for each in site.service.requests if each in {"create", "delete"}]
    assert asked[:3] == ["create", "create", "delete"]
    assert built.executed == 2
    assert site.service.containers == {}


async def test_a_container_that_is_removed_is_gone_when_the_next_step_has_failed(
    site: Site,
) -> None:
    site.service.inject(Fault("delete", Hangs(seconds=1.0), times=1))

    with pytest.raises(ImageError, match="RUN exit 3 failed with exit code 3"):
        await site.build(run("echo one"), run("exit 3"))

    assert site.service.containers == {}
    assert site.nameless == []


async def test_a_container_that_is_removed_is_gone_when_the_build_is_given_up(site: Site) -> None:
    site.service.inject(Fault("delete", Hangs(seconds=1.0), times=1))

    async with anyio.create_task_group() as group:
        group.start_soon(site.build, run("echo one"), run("echo two; sleep 60"))
        await until(lambda: "two" in site.printed)
        group.cancel_scope.cancel()

    assert site.service.containers == {}


async def test_a_container_that_is_not_removed_is_said_and_ends_nothing(site: Site) -> None:
    site.service.inject(Fault("delete", Keeps("device is busy")))

    built = await site.build(run("echo one"))

    assert built.executed == 1
    assert len(site.service.containers) == 1
    assert "could not be removed; `barasync clean` does that later" in site.said[-1]


async def test_a_container_goes_while_another_process_makes_the_next_step(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That may take as long as a step takes: hours."""
    waits = []

    @asynccontextmanager
    async def held_by_another(
        _locks: Path, _key: str, *, on_wait: Callable[[], None]
    ) -> AsyncIterator[None]:
        on_wait()
        await until(lambda: not site.service.containers)
        waits.append(on_wait)
        yield

    monkeypatch.setattr("barasync.engine.build.making_layer", held_by_another)

    await site.build(run("echo one"), run("echo two"))

    assert len(waits) == 2
