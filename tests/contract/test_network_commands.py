"""`barasync network` on real podmans, and on the fake."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import anyio
import pytest

from barasync.aiopodman import Podman
from barasync.engine.identity import Identity
from tests.contract.running import created, shell
from tests.rig import networks
from tests.rig.command import Barasync, call
from tests.rig.services import RigService

pytestmark = [pytest.mark.anyio, pytest.mark.also_fake]

NAME = "barasync-test"


@pytest.fixture(autouse=True)
async def nothing_is_left(podman: Podman) -> AsyncIterator[None]:
    yield
    with anyio.move_on_after(30, shield=True):
        for network in await podman.networks.list():
            if network.name.startswith(NAME):
                await podman.networks.remove(network.name)


@pytest.fixture
def subnet(service: RigService) -> ipaddress.IPv4Network:
    """A subnet that nobody else on this host has."""
    place = networks.place_of(service.directory) or networks.Place(0)
    return list(place.pool.subnets(new_prefix=26))[-1]


async def test_a_network_is_made_shown_listed_and_removed(
    barasync: Barasync, subnet: ipaddress.IPv4Network
) -> None:
    options = ("--subnet", str(subnet), "--gateway", str(subnet[9]), "--ipv6", "--internal")

    made = await call(barasync, "network", "create", NAME, *options, "--label", "a=b")
    found = await call(barasync, "network", "exists", NAME)
    shown = await call(barasync, "network", "show", NAME)
    data = json.loads((await call(barasync, "network", "show", NAME, "--json")).out)
    listed = await call(barasync, "network", "list")
    every = json.loads((await call(barasync, "network", "list", "--json")).out)
    names = (await call(barasync, "network", "list", "--names")).out.splitlines()
    removed = await call(barasync, "network", "remove", NAME)
    missing = await call(barasync, "network", "exists", NAME)

    assert (made.code, made.out.startswith(f"{NAME}: made, {subnet}, fd")) == (0, True), made.err
    assert (found.code, found.out, found.err) == (0, "", "")
    assert names == [each["name"] for each in every]
    assert NAME in names
    assert f"subnets    {subnet} (gateway {subnet[9]}), fd" in shown.out
    assert "way out    no, it is internal\nnames      of its containers\n" in shown.out
    assert data["subnets"][0] == {"subnet": str(subnet), "gateway": str(subnet[9])}
    assert (data["internal"], data["ipv6"], data["dns"]) == (True, True, True)
    assert data["labels"] == {"a": "b", "barasync.made": "network create"}
    assert (data["made_by"], data["containers"]) == ("barasync", [])
    table = {line.split()[0]: line.split()[-1] for line in listed.out.splitlines()}
    assert (table[NAME], table["podman"]) == ("barasync", "others")
    assert {**data, "containers": []} == {
        **next(each for each in every if each["name"] == NAME),
        "containers": [],
    }
    assert (removed.code, removed.out) == (0, f"{NAME}: removed\n")
    assert (missing.code, missing.out, missing.err) == (1, "", "")


async def test_podman_chooses_where_nothing_is_said(barasync: Barasync, podman: Podman) -> None:
    made = await call(barasync, "network", "create", NAME, "--no-dns")

    network = await podman.networks.inspect(NAME)
    assert made.out == f"{NAME}: made, {network.subnets[0].subnet}\n"
    assert (network.internal, network.dns_enabled) == (False, False)
    assert network.interface.startswith("bs")


async def test_what_is_taken_is_said_with_the_network_that_has_it(
    barasync: Barasync, subnet: ipaddress.IPv4Network
) -> None:
    await call(barasync, "network", "create", NAME, "--subnet", str(subnet))

    wider = str(subnet.supernet(new_prefix=24))
    overlaps = await call(barasync, "network", "create", f"{NAME}-2", "--subnet", wider)
    again = await call(barasync, "network", "create", NAME)

    assert overlaps.code == again.code == 2
    assert overlaps.err.startswith(
        f"barasync: --subnet: {wider} overlaps {subnet} of the network {NAME}\n"
    )
    assert again.err.startswith(f"barasync: there is a network {NAME} already\n")
    assert overlaps.out == again.out == ""


async def test_a_network_with_containers_stays_and_names_them(
    barasync: Barasync, podman: Podman, busybox: str
) -> None:
    await call(barasync, "network", "create", NAME)
    spec = replace(shell(busybox, "true"), name=f"{NAME}-user", network="bridge")

    async with created(podman, replace(spec, networks={NAME: ()})):
        kept = await call(barasync, "network", "remove", NAME)
        shown = await call(barasync, "network", "show", NAME)

    assert (kept.code, kept.out) == (1, f"{NAME}: kept, in use by {NAME}-user\n")
    assert f"containers  {NAME}-user\n" in shown.out
    assert (await call(barasync, "network", "remove", NAME)).code == 0


async def test_only_what_was_made_so_is_removed(barasync: Barasync, podman: Podman) -> None:
    elsewhere = Identity(host="there", boot="b", namespace="1", pid=1, start=1)
    await podman.networks.create(NAME)
    await podman.networks.create(f"{NAME}-run", labels=elsewhere.labels("run-1"))
    await call(barasync, "network", "create", f"{NAME}-made")

    foreign = await call(barasync, "network", "remove", f"{NAME}-made", NAME)
    of_a_run = await call(barasync, "network", "remove", f"{NAME}-run")
    misspelt = await call(barasync, "network", "remove", f"{NAME}-mad")
    shown = await call(barasync, "network", "show", f"{NAME}-mad")

    assert {each.code for each in (foreign, of_a_run, misspelt, shown)} == {2}
    assert f"{NAME} is a network that barasync did not make\n" in foreign.err
    assert f"`podman network rm {NAME}` removes it" in foreign.err
    assert f"{NAME}-run is a network of the run run-1, which removes it\n" in of_a_run.err
    for each in (misspelt, shown):
        assert f"there is no network {NAME}-mad; did you mean '{NAME}-made'?\n" in each.err
    assert await podman.networks.exists(f"{NAME}-made")


async def test_clean_leaves_what_was_made_so(barasync: Barasync, podman: Podman) -> None:
    await call(barasync, "network", "create", NAME)

    cleaned = await call(barasync, "clean")

    assert NAME not in cleaned.out + cleaned.err
    assert await podman.networks.exists(NAME)


async def test_a_preset_is_shown_in_words_and_as_rules(barasync: Barasync) -> None:
    words = await call(barasync, "network", "show", "local")
    rules = await call(barasync, "network", "show", "local", "--rules")
    mode = await call(barasync, "network", "show", "none")
    not_one = await call(barasync, "network", "show", "loca", "--rules")
    without = await call(barasync, "network", "show", "none", "--rules")

    assert "base          local: 127.0.0.0/8 and ::1\n" in words.out
    assert "table inet barasync {\n" in rules.out
    assert mode.out == "no network at all\n"
    assert (not_one.code, not_one.out) == (2, "")
    assert "loca is no preset and no table of a barasync.toml here, and has no rules" in not_one.err
    assert "; did you mean 'local'?" in not_one.err
    assert (without.code, without.out) == (2, "")
    assert "none is podman's own, and has no rules of ours" in without.err
