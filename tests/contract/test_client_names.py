"""What names and marks come to in real podmans: the object that is meant, and no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from barasync.aiopodman import (
    Container,
    Containers,
    ContainerSpec,
    NotFound,
    Podman,
    TransportError,
)
from barasync.aiopodman.containers import CREATION
from tests.contract.running import created, shell

pytestmark = pytest.mark.anyio

NAME = "barasync-test-name"
SECRET = "barasync-test-name-secret"
SNAPSHOT = "localhost/barasync-test-name"

Act = Callable[[Podman, str], Awaitable[None]]

REMOVALS: dict[str, Act] = {
    "containers": lambda podman, name: podman.containers.handle(name).remove(),
    "volumes": lambda podman, name: podman.volumes.remove(name),
    "networks": lambda podman, name: podman.networks.remove(name),
    "pods": lambda podman, name: podman.pods.remove(name),
}


@pytest.mark.parametrize("kind", REMOVALS)
async def test_a_name_with_slashes_and_dots_leads_to_no_other_object(
    podman: Podman, kind: str
) -> None:
    await podman.secrets.create(SECRET, b"x")
    try:
        with pytest.raises(NotFound):
            await REMOVALS[kind](podman, f"x/../../secrets/{SECRET}")
        assert (await podman.secrets.inspect(SECRET)).spec.name == SECRET
    finally:
        await podman.secrets.remove(SECRET, missing_ok=True)


async def test_what_is_done_to_one_container_is_done_to_no_other(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, "true")) as container:
        with pytest.raises(NotFound):
            await podman.containers.handle(f"x/../{container.id}").remove()

        assert (await container.inspect()).state.status == "created"


class Deaf(Containers):
    """Does not hear the first answer to a creation."""

    asked = 0

    async def _ask_for(self, spec: ContainerSpec, mark: str) -> Container:
        container = await super()._ask_for(spec, mark)
        self.asked += 1
        if self.asked == 1:
            raise TransportError("podman died")
        return container


@pytest.mark.parametrize("name", [NAME, None], ids=["named", "nameless"])
async def test_a_container_whose_creation_broke_off_is_found(
    podman: Podman, busybox: str, name: str | None
) -> None:
    containers = Deaf(podman.containers._libpod)
    labels = {NAME: "1"}
    spec = ContainerSpec(image=busybox, command=("true",), name=name, labels=labels)
    try:
        container = await containers.create(spec)

        (found,) = await podman.containers.list(labels=dict(labels), all=True)
        assert (found.id, containers.asked) == (container.id, 1)
    finally:
        for each in await podman.containers.list(labels={NAME: None}, all=True):
            await podman.containers.handle(each.id).remove(force=True, timeout=0)


async def test_an_image_of_a_container_has_no_mark_of_its_creation(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, "true")) as container:
        assert CREATION in (await container.inspect()).config.annotations
        image = await container.commit(repository=SNAPSHOT, tag="1")
        try:
            made = await podman.images.inspect(image)
        finally:
            await podman.images.remove(image)

    assert CREATION not in {**made.annotations, **made.labels}
