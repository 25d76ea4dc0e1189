"""What is removed is gone, whatever became of podman's first answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from barasync.aiopodman import Conflict, Podman
from tests.unit.recorded import CONTAINER, ENDPOINT, ID

pytestmark = pytest.mark.anyio

Act = Callable[[Podman], Awaitable[Any]]

ACTS: dict[str, Act] = {
    "container": lambda podman: podman.containers.handle(ID).remove(force=True),
    "dependents": lambda podman: podman.containers.handle(ID).remove(dependents=True),
    "volume": lambda podman: podman.volumes.remove(ID),
    "secret": lambda podman: podman.secrets.remove(ID),
    "pod": lambda podman: podman.pods.remove(ID),
    "network": lambda podman: podman.networks.remove(ID),
    "image": lambda podman: podman.images.remove(ID),
    "manifest": lambda podman: podman.manifests.remove(ID),
}


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Service:
    """Breaks off its first answer to a DELETE; says of the second that there is no such object.

    `stays` is whether it still shows the container then. `read_timeouts` are how long it was waited
    for, in seconds.
    """

    def __init__(self, *, breaks: bool = True, stays: bool = False) -> None:
        self.asked: list[str] = []
        self.read_timeouts: list[float] = []
        self._breaks = breaks
        self._stays = stays

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": "5.4.2"})
        self.asked.append(request.method)
        self.read_timeouts.append(request.extensions["timeout"]["read"])
        if request.method == "GET" and self._stays:
            return httpx2.Response(200, json={"Id": ID})
        if not self._breaks:
            return httpx2.Response(200, json=[{"Id": ID}])
        if request.method == "DELETE" and self.asked.count("DELETE") == 1:
            raise httpx2.ReadError("broke off")
        return httpx2.Response(404, json={"cause": "no such thing", "message": "no such thing"})

    def client(self) -> Podman:
        return Podman(ENDPOINT, timeout=5, outage=20, transport=httpx2.MockTransport(self.handle))


@pytest.mark.parametrize("kind", ACTS)
async def test_what_was_removed_although_the_answer_broke_off_is_removed(kind: str) -> None:
    service = Service()

    async with service.client() as podman:
        await ACTS[kind](podman)

    assert service.asked.count("DELETE") == 2


async def test_a_container_is_looked_for_where_one_in_its_namespaces_was_not_found() -> None:
    service = Service(stays=True)

    async with service.client() as podman:
        with pytest.raises(Conflict, match=rf"was not removed .*DELETE {CONTAINER}"):
            await podman.containers.handle(ID).remove(dependents=True)

    assert service.asked == ["DELETE", "DELETE", "GET"]


class EndingContainer:
    """A podman that finds the container ended only when it was to kill it so many times before."""

    def __init__(self, version: str, refusals: int) -> None:
        self.removals = 0
        self._version = version
        self._refusals = refusals

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": self._version})
        self.removals += 1
        if self.removals > self._refusals:
            return httpx2.Response(200, json=[{"Id": ID}])
        cause = "container state improper"
        message = f"cannot remove container {ID} as it could not be stopped: {cause}: stopped"
        return httpx2.Response(500, json={"cause": cause, "message": message})

    def client(self) -> Podman:
        return Podman(ENDPOINT, timeout=5, transport=httpx2.MockTransport(self.handle))


async def test_removal_meets_the_end__podman_4_is_asked_again() -> None:
    service = EndingContainer("4.3.1", refusals=1)

    async with service.client() as podman:
        await podman.containers.handle(ID).remove(force=True)

    assert service.removals == 2


@pytest.mark.parametrize(
    ("version", "force", "removals"), [("4.3.1", True, 3), ("4.3.1", False, 1), ("5.4.2", True, 1)]
)
async def test_removal_meets_the_end__what_podman_refuses_on_is_an_error(
    version: str, removals: int, *, force: bool
) -> None:
    service = EndingContainer(version, refusals=9)

    async with service.client() as podman:
        with pytest.raises(Conflict, match="could not be stopped"):
            await podman.containers.handle(ID).remove(force=force)

    assert service.removals == removals


@pytest.mark.parametrize(
    ("force", "grace", "waits"),
    [(True, None, 15), (True, 0, 5), (True, 30, 35), (False, None, 5)],
)
async def test_podmans_time_until_sigkill_is_borne_before_a_removal_is_given_up(
    *, force: bool, grace: int | None, waits: float
) -> None:
    service = Service(breaks=False)

    async with service.client() as podman:
        await podman.containers.handle(ID).remove(force=force, timeout=grace)

    assert service.read_timeouts == [waits]
