"""Events across deaths of the service: a watch goes on, and tells each once."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from barasync.aiopodman import ConnectError, ContainerSpec, Event, Podman
from tests.fake.images import native_architecture
from tests.fake.service import FakeService

pytestmark = pytest.mark.anyio


async def live(podman: Podman, image: str) -> str:
    container = await podman.containers.create(ContainerSpec(image=image, command=("true",)))
    await container.start()
    await container.wait()
    await container.remove()
    return container.id


async def told(events: AsyncIterator[Event], container: str) -> list[tuple[str, str]]:
    """Return what is told until a container is removed."""
    found = []
    with anyio.fail_after(60):
        async for event in events:
            found.append((event.actor.id, event.action))
            if found[-1] == (container, "remove"):
                break
    return found


async def test_a_watch_goes_on_after_the_service_died_and_came_back(service: FakeService) -> None:
    image = service.busybox(native_architecture())
    async with (
        Podman(service.endpoint, outage=60) as podman,
        podman.watch(filters={"type": ["container"]}) as events,
    ):
        first = await live(podman, image)
        before = await told(events, first)
        await die_and_revive(service)
        unseen = await live(podman, image)
        await die_and_revive(service)
        after = await told(events, unseen)
        last = await live(podman, image)
        after += await told(events, last)

    for container, found in ((first, before), (unseen, after), (last, after)):
        actions = [action for each, action in found if each == container]
        assert len(actions) == len(set(actions))
        assert {"create", "died", "remove"} <= set(actions)
    assert not {each for each, _ in after} & {first}


async def test_a_watch_of_a_service_that_stays_away_ends_with_an_error(
    service: FakeService,
) -> None:
    async with Podman(service.endpoint, outage=0.1) as podman, podman.watch() as events:
        await anyio.to_thread.run_sync(service.die)
        with anyio.fail_after(60), pytest.raises(ConnectError):
            await anext(events)
        await anyio.to_thread.run_sync(service.revive)


async def die_and_revive(service: FakeService) -> None:
    await anyio.to_thread.run_sync(service.die)
    await anyio.to_thread.run_sync(service.revive)
