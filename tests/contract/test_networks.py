"""Networks and volumes of real podmans."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import anyio
import pytest

from barasync.aiopodman import Conflict, Mount, NotFound, Podman
from tests.contract.running import created, shell
from tests.rig import libpod
from tests.rig.services import RigService

pytestmark = pytest.mark.anyio

NAME = "barasync-test"
LABELS = {"test.a": "1", "test.b": "2"}


@pytest.fixture(autouse=True)
async def nothing_is_left(podman: Podman) -> AsyncIterator[None]:
    yield
    with anyio.move_on_after(30, shield=True):
        for suffix in ("", "-2"):
            await podman.networks.remove(NAME + suffix, missing_ok=True)
            await podman.volumes.remove(NAME + suffix, missing_ok=True)


async def test_a_network_is_made_found_by_its_labels_and_removed(podman: Podman) -> None:
    made = await podman.networks.create(NAME, labels=LABELS, internal=True)
    await podman.networks.create(f"{NAME}-2", labels={"test.a": "1"})

    by_name = await podman.networks.list(labels={"test.a": None})
    by_both = await podman.networks.list(labels={"test.a": "1", "test.b": "2"})
    other = await podman.networks.list(labels={"test.a": "2"})
    await podman.networks.remove(NAME)

    assert {network.name for network in by_name} == {NAME, f"{NAME}-2"}
    assert [(found.id, found.internal, found.labels) for found in by_both] == [
        (made.id, True, LABELS)
    ]
    assert other == []
    assert NAME not in [network.name for network in await podman.networks.list()]


async def test_a_volume_is_made_found_by_its_labels_and_removed(podman: Podman) -> None:
    await podman.volumes.create(NAME, labels=LABELS)
    await podman.volumes.create(f"{NAME}-2", labels={"test.a": "1"})

    by_name = await podman.volumes.list(labels={"test.a": None})
    by_both = await podman.volumes.list(labels={"test.a": "1", "test.b": "2"})
    other = await podman.volumes.list(labels={"test.a": "2"})
    assert await podman.volumes.exists(NAME)
    await podman.volumes.remove(NAME)
    assert not await podman.volumes.exists(NAME)

    assert {volume.name for volume in by_name} == {NAME, f"{NAME}-2"}
    assert [(found.name, found.labels) for found in by_both] == [(NAME, LABELS)]
    assert other == []
    assert NAME not in [volume.name for volume in await podman.volumes.list()]


async def test_a_name_can_be_used_once(podman: Podman) -> None:
    await podman.networks.create(NAME)
    await podman.volumes.create(NAME)

    with pytest.raises(Conflict):
        await podman.networks.create(NAME)
    with pytest.raises(Conflict):
        await podman.volumes.create(NAME)


async def test_a_volume_that_a_container_uses_is_not_removed(podman: Podman, busybox: str) -> None:
    await podman.volumes.create(NAME)
    spec = replace(shell(busybox, "true"), mounts=(Mount(NAME, "/cache"),))

    async with created(podman, spec):
        with pytest.raises(Conflict):
            await podman.volumes.remove(NAME)

    await podman.volumes.remove(NAME)


async def test_a_network_that_a_container_uses_is_not_removed(
    podman: Podman, service: RigService, busybox: str
) -> None:
    socket_path = service.endpoint.socket_path
    body = {"image": busybox, "command": ["true"], "netns": {"nsmode": "bridge"}}
    await podman.networks.create(NAME)
    container = libpod.request(
        socket_path, "POST", "containers/create", body={**body, "Networks": {NAME: {}}}
    )["Id"]

    try:
        with pytest.raises(Conflict):
            await podman.networks.remove(NAME)
    finally:
        libpod.remove_container(socket_path, container)

    await podman.networks.remove(NAME)


async def test_what_is_missing_is_not_found(podman: Podman) -> None:
    with pytest.raises(NotFound):
        await podman.networks.remove(NAME)
    with pytest.raises(NotFound):
        await podman.volumes.remove(NAME)
    await podman.networks.remove(NAME, missing_ok=True)
    await podman.volumes.remove(NAME, missing_ok=True)
