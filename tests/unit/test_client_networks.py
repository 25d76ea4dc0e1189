"""Networks and volumes: what is asked of podman, and what is made of its answers."""

from __future__ import annotations

import json

import pytest

from barasync.aiopodman import Conflict, NotFound
from tests.unit.recorded import answering, refusing

pytestmark = pytest.mark.anyio

LABELS = {"barasync.run": "r1", "barasync.pid": "42"}
NETWORK = {
    "name": "n1",
    "id": "181a",
    "driver": "bridge",
    "subnets": [{"subnet": "10.89.0.0/24"}],
    "internal": True,
    "dns_enabled": False,
    "labels": LABELS,
}
VOLUME = {
    "Name": "v1",
    "Driver": "local",
    "Mountpoint": "/graph/volumes/v1/_data",
    "Labels": LABELS,
    "Options": {},
    "MountCount": 0,
}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_networks_are_listed_by_label() -> None:
    service = answering(200, json=[NETWORK])

    async with service.client() as podman:
        (network,) = await podman.networks.list(labels={"barasync.run": None})

    assert (network.name, network.driver, network.internal) == ("n1", "bridge", True)
    assert network.labels == LABELS
    assert service.only.path == "/libpod/networks/json"
    assert service.only.filters == {"label": ["barasync.run"]}


async def test_a_network_is_made_with_its_labels() -> None:
    service = answering(200, json=NETWORK)

    async with service.client() as podman:
        network = await podman.networks.create("n1", labels=LABELS, internal=True)

    assert network.id == "181a"
    assert (service.only.method, service.only.path) == ("POST", "/libpod/networks/create")
    assert json.loads(service.only.body) == {"name": "n1", "labels": LABELS, "internal": True}


async def test_a_network_is_removed_by_name() -> None:
    service = answering(200, json=[{"Name": "n1", "Err": None}])

    async with service.client() as podman:
        await podman.networks.remove("n1")

    assert (service.only.method, service.only.path) == ("DELETE", "/libpod/networks/n1")
    assert service.only.query == {}


async def test_a_network_in_use_is_a_conflict_and_stays() -> None:
    async with refusing(500, "network is being used").client() as podman:
        with pytest.raises(Conflict):
            await podman.networks.remove("n1")


async def test_volumes_are_listed_by_label() -> None:
    service = answering(200, json=[{**VOLUME, "Anonymous": True}])

    async with service.client() as podman:
        (volume,) = await podman.volumes.list(labels={"barasync.run": "r1"})

    assert (volume.name, volume.mountpoint) == ("v1", "/graph/volumes/v1/_data")
    assert volume.anonymous
    assert service.only.path == "/libpod/volumes/json"
    assert service.only.filters == {"label": ["barasync.run=r1"]}


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (None, ["v1", "v2"]),
        ({"barasync.run": "r1", "barasync.pid": "42"}, ["v1"]),
        ({"barasync.run": None, "barasync.pid": None}, ["v1"]),
        ({"barasync.run": "r1", "barasync.pid": "7"}, []),
    ],
    ids=["all", "both values", "both names", "one value of two"],
)
async def test_volumes_carry_every_label_whatever_podman_answers(
    labels: dict[str, str | None] | None, names: list[str]
) -> None:
    found = [VOLUME, {**VOLUME, "Name": "v2", "Labels": {"barasync.run": "r1"}}]

    async with answering(200, json=found).client() as podman:
        assert [volume.name for volume in await podman.volumes.list(labels=labels)] == names


async def test_there_may_be_no_volume_at_all() -> None:
    async with answering(200, json=[]).client() as podman:
        assert await podman.volumes.list() == []


async def test_a_volume_is_made_with_its_labels() -> None:
    service = answering(201, json=VOLUME)

    async with service.client() as podman:
        volume = await podman.volumes.create("v1", labels=LABELS)

    assert volume.labels == LABELS
    assert (service.only.method, service.only.path) == ("POST", "/libpod/volumes/create")
    assert json.loads(service.only.body) == {"Name": "v1", "Label": LABELS}


async def test_a_volume_is_there_or_is_not() -> None:
    service = answering(200, json=VOLUME)
    async with service.client() as podman:
        assert await podman.volumes.exists("v1")
    assert (service.only.method, service.only.path) == ("GET", "/libpod/volumes/v1/json")

    async with refusing(404, "no such volume").client() as podman:
        assert not await podman.volumes.exists("v1")


async def test_a_volume_is_removed_by_name() -> None:
    service = answering(204)

    async with service.client() as podman:
        await podman.volumes.remove("v1")

    assert (service.only.method, service.only.path) == ("DELETE", "/libpod/volumes/v1")


async def test_what_is_missing_may_be_missing_if_the_caller_says_so() -> None:
    async with refusing(404, "no such volume").client() as podman:
        await podman.volumes.remove("v1", missing_ok=True)
        with pytest.raises(NotFound):
            await podman.volumes.remove("v1")
    async with refusing(404, "network not found").client() as podman:
        await podman.networks.remove("n1", missing_ok=True)
        with pytest.raises(NotFound):
            await podman.networks.remove("n1")
