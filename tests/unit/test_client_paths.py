"""What a name in a path leads to: the object of that name, whatever the name is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from barasync.aiopodman import InvalidName, Podman
from tests.unit.recorded import ENDPOINT

pytestmark = pytest.mark.anyio

Act = Callable[[Podman, str], Awaitable[Any]]

BY_NAME: dict[str, Act] = {
    "containers": lambda podman, name: podman.containers.handle(name).remove(force=True),
    "volumes": lambda podman, name: podman.volumes.remove(name),
    "secrets": lambda podman, name: podman.secrets.remove(name),
    "networks": lambda podman, name: podman.networks.remove(name),
    "pods": lambda podman, name: podman.pods.remove(name),
}
BY_REFERENCE: dict[str, Act] = {
    "images": lambda podman, name: podman.images.remove(name),
    "manifests": lambda podman, name: podman.manifests.remove(name),
}
NAMES = pytest.mark.parametrize("kind", BY_NAME)
REFERENCES = pytest.mark.parametrize("kind", BY_REFERENCE)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


async def asked_for(act: Act, name: str) -> list[str]:
    """Return the requests that podman gets, as they are on the wire."""
    seen: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        if "/pods/" in request.url.path and request.url.path.endswith("/json"):
            # A pod is asked for its containers before anything is done to it.
            return httpx2.Response(404)
        if request.url.path != "/libpod/_ping":
            path = request.url.raw_path.partition(b"?")[0].decode()
            seen.append(f"{request.method} {path.partition('/libpod/')[2]}")
        reports: object = [] if "/containers/" in request.url.path else {}
        return httpx2.Response(200, json=reports, headers={"Libpod-API-Version": "5.4.2"})

    async with Podman(ENDPOINT, transport=httpx2.MockTransport(handle)) as podman:
        try:
            await act(podman, name)
        finally:
            assert len(seen) <= 1
    return seen


async def test_what_kills_one_container_kills_no_other() -> None:
    def kill(podman: Podman, name: str) -> Awaitable[None]:
        return podman.containers.handle(name).kill()

    assert await asked_for(kill, "a/../b") == ["POST containers/a%2F..%2Fb/kill"]


@NAMES
async def test_a_name_is_one_segment_of_a_path(kind: str) -> None:
    found = await asked_for(BY_NAME[kind], "x/../../secrets/y?z#%2F")

    assert found == [f"DELETE {kind}/x%2F..%2F..%2Fsecrets%2Fy%3Fz%23%252F"]


@NAMES
@pytest.mark.parametrize("name", ["", ".", ".."])
async def test_what_leads_elsewhere_is_refused_and_nobody_is_asked(kind: str, name: str) -> None:
    with pytest.raises(InvalidName, match=f"^{name!r} cannot be the name") as caught:
        await asked_for(BY_NAME[kind], name)

    assert isinstance(caught.value, ValueError)


@REFERENCES
async def test_an_image_reference_keeps_its_slashes(kind: str) -> None:
    found = await asked_for(BY_REFERENCE[kind], "registry.example:5000/a/b:c@sha256:1")

    assert found == [f"DELETE {kind}/registry.example:5000/a/b:c@sha256:1"]


@REFERENCES
@pytest.mark.parametrize(
    "reference", ["", ".", "..", "x/../../secrets/y", "x/..", "../x", "a//b", "/a", "a/", "a/./b"]
)
async def test_a_reference_that_leads_elsewhere_is_refused(kind: str, reference: str) -> None:
    with pytest.raises(InvalidName, match="cannot be the name"):
        await asked_for(BY_REFERENCE[kind], reference)


@pytest.mark.parametrize("name", ["", ".."])
async def test_nothing_exists_under_a_name_that_nothing_can_have(name: str) -> None:
    async def ask(podman: Podman, name: str) -> None:
        for kind in (podman.images, podman.manifests, podman.networks, podman.pods, podman.volumes):
            assert not await kind.exists(name)

    assert await asked_for(ask, name) == []
