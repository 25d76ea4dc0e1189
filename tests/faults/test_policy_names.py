"""Networks whose policies name hosts, on the fake: who resolves, and where nobody can."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address

import anyio
import pytest

from barasync.aiopodman import ContainerSpec, Podman
from barasync.config.policies import Destination, Policy, Preset
from barasync.engine.network_specs import with_policy
from barasync.engine.networks import Networks
from barasync.engine.resolvers import Resolvers
from barasync.errors import EngineUnavailable
from tests.fake.service import FakeService

pytestmark = pytest.mark.anyio

# The gateways of all fakes are the same: this process has a port there of its own.
PORT = 20_000 + os.getpid() % 12_000


def policy(*, join: str | None = None) -> Policy:
    allow = (Destination("www.example.org", name="www.example.org"),)
    dns = (ip_address("192.0.2.53"),)
    return Policy(name="ci", base=Preset.LOCAL, allow=allow, dns=dns, join=join)


@asynccontextmanager
async def networks(
    service: FakeService, *, here: bool = True
) -> AsyncIterator[tuple[Podman, Networks]]:
    resolvers = Resolvers(here=here, port=PORT)
    async with Podman(service.endpoint, timeout=5) as podman, anyio.create_task_group() as group:
        group.start_soon(resolvers.serve)
        yield podman, Networks(podman, "run1", {"barasync.run": "run1"}, resolvers)
        group.cancel_scope.cancel()


async def test_the_cells_ask_the_gateway_and_no_resolver_of_podmans_is_there(
    service: FakeService,
) -> None:
    async with networks(service) as (podman, made):
        network = await made.get(policy())
        assert network.name is not None
        found = await podman.networks.inspect(network.name)
        spec = with_policy(ContainerSpec(image="image"), policy(), network, aliases=("a",))

    gateway = found.subnets[0].gateway
    assert not found.dns_enabled
    assert network.resolvers[0] == ip_address(gateway)
    assert (spec.dns_servers, spec.dns_search) == ((gateway,), (".",))


async def test_nothing_is_made_where_the_gateway_is_out_of_reach(service: FakeService) -> None:
    async with networks(service, here=False) as (podman, made):
        with pytest.raises(EngineUnavailable, match="network 'ci' names hosts"):
            await made.get(policy())
        found = await podman.networks.list(labels={"barasync.run": "run1"})

    assert found == []


async def test_a_network_with_podmans_own_resolver_is_not_joined(service: FakeService) -> None:
    async with networks(service) as (podman, made):
        await podman.networks.create("shop", dns=True)
        with pytest.raises(EngineUnavailable, match="on shop podman's own resolver") as raised:
            await made.get(policy(join="shop"))

    assert raised.value.hint == "join a network without DNS, or leave `join` out"


async def test_names_are_not_resolved_on_a_network_whose_gateway_is_somebody_else(
    service: FakeService,
) -> None:
    service.make_network(name="lan", driver="macvlan", network_interface="eth0")
    async with networks(service) as (_, made):
        with pytest.raises(EngineUnavailable, match="lan is a network of the driver 'macvlan'"):
            await made.get(policy(join="lan"))
        network = await made.get(replace(policy(join="lan"), name="plain", allow=()))

    # What is the host's own interface is nobody's bridge.
    assert network.bridge is None


async def test_two_runs_cannot_both_resolve_on_a_network_that_they_join(
    service: FakeService,
) -> None:
    async with networks(service) as (podman, made), networks(service) as (_, other):
        await podman.networks.create("shop", dns=False)
        await other.get(policy(join="shop"))
        with pytest.raises(EngineUnavailable, match="cannot listen on") as raised:
            await made.get(policy(join="shop"))

    assert raised.value.hint is not None
    assert str(PORT) in raised.value.hint
