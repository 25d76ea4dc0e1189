"""Events of real podmans, across the death of the service."""

from __future__ import annotations

import datetime as dt
from collections.abc import AsyncIterator, Iterator

import anyio
import anyio.lowlevel
import pytest

from barasync.aiopodman import Event, Podman
from tests.contract.running import created, shell
from tests.contract.test_outages import kill_podman
from tests.rig import services
from tests.rig.busybox import native_architecture
from tests.rig.services import Installation, RigService

pytestmark = pytest.mark.anyio


@pytest.fixture
def mortal(installation: Installation) -> Iterator[RigService]:
    """A service of its own, which may be killed."""
    with services.private_directory() as directory:
        environ = services.isolated_environment(directory, default_ulimits=True)
        service = services.start(installation, environ, directory)
        yield service
        services.stop(service)


async def test_events_are_each_told_once_although_podman_died_between_them(
    mortal: RigService,
) -> None:
    image = mortal.busybox(native_architecture())
    begun = dt.datetime.now(dt.UTC)
    watched: list[Event] = []

    async def until_removed(events: AsyncIterator[Event], container: str) -> None:
        async for event in events:
            watched.append(event)
            if (event.actor.id, event.action) == (container, "remove"):
                return

    async def live(podman: Podman) -> str:
        async with created(podman, shell(image, "exit 3")) as container:
            await container.start()
            await container.wait()
        return container.id

    async def die(podman: Podman) -> None:
        lives = await podman.presence.count()
        kill_podman(mortal)
        while await podman.presence.count() == lives:
            await anyio.lowlevel.checkpoint()
        await podman.system.info()

    filters = {"type": ["container"]}
    async with Podman(mortal.endpoint, outage=60) as podman:
        with anyio.fail_after(120):
            async with podman.watch(filters=filters) as events:
                await until_removed(events, await live(podman))
                await die(podman)
                await until_removed(events, await live(podman))
                await die(podman)
                last = await live(podman)
                await until_removed(events, last)
        async with podman.events(filters=filters, stream=False, since=begun) as events:
            recorded = [event async for event in events]

    # Podman's cleanup after a container may be recorded once it is removed.
    late = [each for each in recorded if each not in watched]
    assert {each.action for each in late} <= {"cleanup"}
    assert {each.actor.id for each in late} <= {last}
    assert all(watched.count(each) == 1 for each in recorded if each not in late)
    assert len(watched) == len(recorded) - len(late)
    assert [each.action for each in watched].count("died") == 3
