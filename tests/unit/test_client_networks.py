"""Networks and volumes: what is asked of podman, and what is made of its answers."""

from __future__ import annotations

import json

import pytest

from barasync.aiopodman import Conflict, HostPort, NetworkAttachment, NotFound, Subnet
from tests.unit.recorded import ID, answering, refusing

pytestmark = pytest.mark.anyio

LABELS = {"barasync.run": "r1", "barasync.pid": "42"}
NETWORK = {
    "name": "n1",
    "id": "181a",
    "driver": "bridge",
    "network_interface": "b1",
    "subnets": [{"subnet": "10.89.0.0/24", "gateway": "10.89.0.1"}],
    "ipv6_enabled": False,
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


async def test_a_network_is_inspected_by_name() -> None:
    service = answering(200, json={**NETWORK, "labels": None})

    async with service.client() as podman:
        network = await podman.networks.inspect("n1")

    assert network.interface == "b1"
    assert network.subnets == [Subnet(subnet="10.89.0.0/24", gateway="10.89.0.1")]
    assert network.labels == {}
    assert service.only.path == "/libpod/networks/n1/json"


async def test_a_network_is_there_or_is_not() -> None:
    service = answering(204)
    async with service.client() as podman:
        assert await podman.networks.exists("n1")
    assert (service.only.method, service.only.path) == ("GET", "/libpod/networks/n1/exists")

    async with refusing(404, "network not found").client() as podman:
        assert not await podman.networks.exists("n1")


async def test_a_network_is_made_with_all_that_is_asked_for() -> None:
    service = answering(200, json=NETWORK)

    async with service.client() as podman:
        network = await podman.networks.create(
            "n1",
            labels=LABELS,
            subnets=(
                Subnet(subnet="10.89.0.0/24"),
                Subnet(subnet="fd00:1::/64", gateway="fd00:1::9"),
            ),
            internal=True,
            ipv6=True,
            dns=True,
            interface="b1",
        )

    assert network.id == "181a"
    assert (service.only.method, service.only.path) == ("POST", "/libpod/networks/create")
    assert json.loads(service.only.body) == {
        "name": "n1",
        "labels": LABELS,
        "internal": True,
        "ipv6_enabled": True,
        "dns_enabled": True,
        "subnets": [
            {"subnet": "10.89.0.0/24"},
            {"subnet": "fd00:1::/64", "gateway": "fd00:1::9"},
        ],
        "network_interface": "b1",
    }


async def test_by_default_podman_chooses_the_subnet_and_the_interface() -> None:
    service = answering(200, json=NETWORK)

    async with service.client() as podman:
        await podman.networks.create("n1")

    asked = json.loads(service.only.body)
    assert asked["subnets"] == []
    assert "network_interface" not in asked


async def test_interface_names_are_not_checked__one_that_is_too_long_is_refused_before() -> None:
    async with answering(200, json=NETWORK).client() as podman:
        await podman.networks.create("n1", interface="fifteen-letters")
        with pytest.raises(ValueError, match="sixteen--letters has over 15 characters"):
            await podman.networks.create("n1", interface="sixteen--letters")


async def test_a_network_is_removed_by_name() -> None:
    service = answering(200, json=[{"Name": "n1", "Err": None}])

    async with service.client() as podman:
        await podman.networks.remove("n1")

    assert (service.only.method, service.only.path) == ("DELETE", "/libpod/networks/n1")
    assert service.only.query == {}


async def test_a_container_tells_its_addresses_and_its_published_ports() -> None:
    told = {
        "Ports": {"80/tcp": [{"HostIp": "0.0.0.0", "HostPort": "46821"}], "81/udp": None},
        "Networks": {
            "n1": {
                "Gateway": "10.89.0.1",
                "IPAddress": "10.89.0.2",
                "IPv6Gateway": "fd00:1::1",
                "GlobalIPv6Address": "fd00:1::2",
                "Aliases": ["db"],
            },
            "n2": {"Gateway": "", "IPAddress": "10.90.0.2", "GlobalIPv6Address": ""},
        },
    }
    answer = {"Id": ID, "State": {"Pid": 4711}, "NetworkSettings": told}

    async with answering(200, json=answer).client() as podman:
        found = await podman.containers.handle(ID).inspect()

    assert found.state.pid == 4711
    both, other = found.network_settings.networks.values()
    assert [str(address) for address in both.addresses] == ["10.89.0.2", "fd00:1::2"]
    assert other == NetworkAttachment(ipv4="10.90.0.2")
    assert found.network_settings.ports == {"80/tcp": [HostPort(address="0.0.0.0", port="46821")]}


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


async def test_a_volume_is_made_by_a_driver_and_its_options() -> None:
    options = {"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}
    service = answering(201, json={**VOLUME, "Driver": "local", "Options": options})

    async with service.client() as podman:
        volume = await podman.volumes.create("v1", driver="local", options=options)

    assert (volume.driver, volume.options) == ("local", options)
    assert json.loads(service.only.body) == {
        "Name": "v1",
        "Label": {},
        "Driver": "local",
        "Options": options,
    }


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
