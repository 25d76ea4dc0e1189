"""Networks and volumes of real podmans."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import anyio
import pytest

from barasync.aiopodman import (
    Conflict,
    ContainerSpec,
    Mount,
    NetworkInspect,
    NoFreeSubnet,
    NotFound,
    Podman,
    PortInUse,
    PublishedPort,
    ServerError,
    Subnet,
    SubnetInUse,
    quirks,
    remove_persistently,
)
from barasync.config.capabilities import DROPPED
from tests.contract.conftest import Rig
from tests.contract.running import created, printed, run, shell
from tests.rig import libpod, networks, services
from tests.rig.services import RigService

pytestmark = pytest.mark.anyio

Subnets = tuple[ipaddress.IPv4Network, ...]

NAME = "barasync-test"
LABELS = {"test.a": "1", "test.b": "2"}


@pytest.fixture(autouse=True)
async def nothing_is_left(podman: Podman) -> AsyncIterator[None]:
    yield
    with anyio.move_on_after(30, shield=True):
        for network in await podman.networks.list():
            if network.name.startswith(NAME):
                await podman.networks.remove(network.name)
        for suffix in ("", "-2"):
            await podman.volumes.remove(NAME + suffix, missing_ok=True)


@pytest.fixture
def subnets(service: RigService) -> Subnets:
    """Subnets that nobody else on this host has, and that podman would choose last."""
    place = networks.place_of(service.directory) or networks.Place(0)
    return tuple(place.pool.subnets(new_prefix=27))[::-1]


def on(image: str, script: str, *aliases: str) -> ContainerSpec:
    """A container on the network of the tests, that runs a script."""
    return replace(shell(image, script), network="bridge", networks={NAME: aliases})


@pytest.mark.also_fake
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


@pytest.mark.also_fake
async def test_a_network_that_a_container_uses_is_not_removed(podman: Podman, busybox: str) -> None:
    await podman.networks.create(NAME)

    async with created(podman, on(busybox, "true")):
        with pytest.raises(Conflict):
            await podman.networks.remove(NAME)

    await podman.networks.remove(NAME)


@pytest.mark.also_fake
async def test_a_container_on_a_network_that_is_gone_is_not_made(
    podman: Podman, busybox: str
) -> None:
    await podman.networks.create(NAME)
    await podman.networks.remove(NAME)

    with pytest.raises(NotFound) as caught:
        await podman.containers.create(on(busybox, "true"))

    # What the engine goes by: images can be missing as well.
    assert caught.value.cause == "network not found"


@pytest.mark.also_fake
async def test_a_network_is_all_that_was_asked_for(podman: Podman, subnets: Subnets) -> None:
    ipv4, other, *_ = subnets
    ipv6 = ipaddress.ip_network((0xFD00 << 112 | int(other.network_address) << 64, 64))
    wanted = [
        Subnet(subnet=str(ipv4), gateway=str(ipv4[9])),
        Subnet(subnet=str(other), gateway=str(other[1])),
        Subnet(subnet=str(ipv6), gateway=str(ipv6[5])),
    ]
    assert not await podman.networks.exists(NAME)

    await podman.networks.create(
        NAME, labels=LABELS, subnets=wanted, internal=True, ipv6=True, dns=True, interface="bstest"
    )
    found = await podman.networks.inspect(NAME)

    assert await podman.networks.exists(NAME)
    assert found.subnets == wanted
    assert (found.interface, found.labels) == ("bstest", LABELS)
    assert (found.internal, found.ipv6_enabled, found.dns_enabled) == (True, True, True)
    assert found in await podman.networks.list()


@pytest.mark.also_fake
async def test_podman_chooses_subnets_of_both_versions(podman: Podman) -> None:
    one = await podman.networks.create(NAME, ipv6=True)
    two = await podman.networks.create(f"{NAME}-2")

    assert [":" in subnet.subnet for subnet in one.subnets] == [False, True]
    assert [":" in subnet.subnet for subnet in two.subnets] == [False]
    assert one.subnets[0].subnet != two.subnets[0].subnet
    assert all(subnet.gateway for subnet in one.subnets + two.subnets)


@pytest.mark.also_fake
async def test_an_overlapping_subnet_is_refused(podman: Podman, subnets: Subnets) -> None:
    first, *_ = subnets
    await podman.networks.create(NAME, subnets=[Subnet(subnet=str(first))])

    for wrong in (first, first.supernet(new_prefix=24), "127.0.0.0/8"):
        with pytest.raises(SubnetInUse):
            await podman.networks.create(f"{NAME}-2", subnets=[Subnet(subnet=str(wrong))])


async def test_there_are_only_so_many_subnets(podman: Podman, subnets: Subnets) -> None:
    async def use_up() -> None:
        for number in range(len(subnets)):
            await podman.networks.create(f"{NAME}-{number}")

    with pytest.raises(NoFreeSubnet):
        await use_up()


@pytest.mark.also_fake
async def test_the_name_of_an_interface_is_used_once(podman: Podman) -> None:
    await podman.networks.create(NAME, interface="bstest")

    with pytest.raises(Conflict, match="bridge name bstest already in use"):
        await podman.networks.create(f"{NAME}-2", interface="bstest")


async def test_interface_names_are_not_checked__the_network_cannot_be_used(
    podman: Podman, busybox: str, service: RigService
) -> None:
    body = {"name": NAME, "network_interface": "sixteen--letters"}
    libpod.request(service.endpoint.socket_path, "POST", "networks/create", body=body)

    async with created(podman, on(busybox, "true")) as container:
        with pytest.raises(ServerError):
            await container.init()


@pytest.mark.also_fake
async def test_a_container_has_a_process_and_addresses_before_it_starts(
    podman: Podman, busybox: str
) -> None:
    network = await podman.networks.create(NAME, ipv6=True)

    async with created(podman, on(busybox, "true")) as container:
        before = await container.inspect()
        await container.init()
        ready = await container.inspect()

    assert ready.state.pid > 0
    place = ready.network_settings.networks[NAME]
    assert all(
        address in ipaddress.ip_network(subnet.subnet)
        for address, subnet in zip(place.addresses, network.subnets, strict=True)
    )
    assert before.state.pid == 0
    assert before.network_settings.networks[NAME].addresses == ()


async def test_what_a_container_tells_of_its_network_is_what_it_has(
    podman: Podman, busybox: str
) -> None:
    network = await podman.networks.create(NAME, ipv6=True, dns=True)

    async with created(
        podman, on(busybox, "ip addr show dev eth0; cat /etc/resolv.conf")
    ) as container:
        await container.init()
        place = (await container.inspect()).network_settings.networks[NAME]
        output = b"".join((await printed(container)).values()).decode()

    assert [address.version for address in place.addresses] == [4, 6]
    assert all(f" {address}/" in output for address in place.addresses)
    assert f"nameserver {network.subnets[0].gateway}\n" in output


async def test_containers_find_each_other_by_name_and_by_what_they_are_called(
    podman: Podman, busybox: str
) -> None:
    await podman.networks.create(NAME, dns=True)
    server = replace(on(busybox, "echo ready; sleep 60", "db", "cache"), name=f"{NAME}-server")
    script = f"for name in db cache {NAME}-server; do nslookup $name || exit; done"

    async with created(podman, server) as container, container.start_attached() as chunks:
        await anext(chunks)
        place = (await container.inspect()).network_settings.networks[NAME]
        result = await run(podman, on(busybox, script))

    assert result.state.state.exit_code == 0, result.stdout.decode()
    assert result.stdout.decode().count(f"Address: {place.ipv4}\n") == len(("db", "cache", NAME))


async def test_joined_container_stays__it_is_removed_with_who_has_joined_it(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, "sleep 60")) as owner:
        await owner.start()
        spec = replace(shell(busybox, "sleep 60"), network=f"container:{owner.id}")
        async with created(podman, spec) as guest:
            await guest.start()
            with pytest.raises(ServerError, match="has dependent containers"):
                await owner.remove(force=True, timeout=0)
            await remove_persistently(owner)
            for each in (owner, guest):
                with pytest.raises(NotFound):
                    await each.inspect()


async def test_network_removal_waits__the_containers_go_first(podman: Podman, busybox: str) -> None:
    await podman.networks.create(NAME)

    async with created(podman, on(busybox, "trap '' TERM; echo ready; sleep 60")) as container:
        async with container.start_attached() as chunks:
            await anext(chunks)
        with anyio.fail_after(8):
            await container.remove(force=True, timeout=0)
            await podman.networks.remove(NAME)


async def test_interfaces_are_counted_apart__two_services_name_theirs_alike(rig: Rig) -> None:
    named: list[set[str]] = []
    async with AsyncExitStack() as stack:
        for installation in (services.host_podman(), services.trixie_podman()):
            podman = await stack.enter_async_context(Podman(rig.service(installation).endpoint))
            names = [f"{NAME}-{number}" for number in range(4)]
            made = [await stack.enter_async_context(_network(podman, name)) for name in names]
            named.append({network.interface for network in made})

    # One that other tests have up at the moment is passed over.
    one, two = named
    assert one & two


@asynccontextmanager
async def _network(podman: Podman, name: str) -> AsyncIterator[NetworkInspect]:
    network = await podman.networks.create(name)
    try:
        yield network
    finally:
        with anyio.CancelScope(shield=True):
            await podman.networks.remove(name)


async def test_dns_servers_go_to_the_resolver__without_names_they_are_the_containers_own(
    podman: Podman, busybox: str
) -> None:
    await podman.networks.create(NAME, dns=True)
    await podman.networks.create(f"{NAME}-2")
    spec = replace(on(busybox, "cat /etc/resolv.conf"), dns_servers=("192.0.2.53",))
    told = "nameserver 192.0.2.53"

    with_names = (await run(podman, spec)).stdout.decode()
    without = (await run(podman, replace(spec, networks={f"{NAME}-2": ()}))).stdout.decode()

    has_quirk = quirks.DNS_SERVERS_GO_TO_THE_RESOLVER in quirks.active(podman.version)
    assert (told in with_names, told in without) == (not has_quirk, True)


async def test_a_container_joins_the_network_of_another(podman: Podman, busybox: str) -> None:
    await podman.networks.create(NAME)

    async with created(podman, on(busybox, "echo ready; sleep 60")) as owner:
        async with owner.start_attached() as chunks:
            await anext(chunks)
        theirs = (await owner.inspect()).network_settings.networks[NAME]
        spec = replace(shell(busybox, "ip addr"), network=f"container:{owner.id}")
        result = await run(podman, spec)

    assert f" {theirs.ipv4}/" in result.stdout.decode()


async def test_names_resolvers_and_capabilities_are_as_asked_for(
    podman: Podman, busybox: str
) -> None:
    await podman.networks.create(NAME)
    script = "cat /etc/hosts /etc/resolv.conf; grep CapEff /proc/self/status"
    spec = replace(
        on(busybox, script),
        extra_hosts={"mirror": "192.0.2.9", "mirror6": "2001:db8::9"},
        dns_servers=("192.0.2.53",),
        cap_add=("SYS_TIME",),
        cap_drop=DROPPED,
    )

    output = (await run(podman, spec)).stdout.decode()

    assert {"192.0.2.9\tmirror", "2001:db8::9\tmirror6"} <= set(output.splitlines())
    assert "nameserver 192.0.2.53\n" in output
    capabilities = int(output.rpartition("CapEff:")[2], 16)
    # linux/capability.h: DAC_READ_SEARCH, NET_ADMIN, NET_RAW, SYS_MODULE, SYS_RAWIO, SYS_ADMIN, BPF
    assert [capabilities >> bit & 1 for bit in (2, 12, 13, 16, 17, 21, 39)] == [0] * len(DROPPED)
    assert capabilities >> 25 & 1


async def test_a_port_is_published_where_nobody_listens(podman: Podman, busybox: str) -> None:
    await podman.networks.create(NAME)
    spec = replace(on(busybox, "true"), publish=(PublishedPort(80, address="127.0.0.1"),))

    async with created(podman, spec) as container:
        (published,) = (await container.inspect()).network_settings.ports["80/tcp"]
        await container.init()
    assert published.address == "127.0.0.1"

    with socket.create_server(("127.0.0.1", 0)) as listener:
        clash = PublishedPort(80, listener.getsockname()[1], address="127.0.0.1")
        async with created(podman, replace(spec, publish=(clash,))) as container:
            with pytest.raises(PortInUse):
                await container.init()


async def test_what_is_missing_is_not_found(podman: Podman) -> None:
    with pytest.raises(NotFound):
        await podman.networks.remove(NAME)
    with pytest.raises(NotFound):
        await podman.volumes.remove(NAME)
    await podman.networks.remove(NAME, missing_ok=True)
    await podman.volumes.remove(NAME, missing_ok=True)
