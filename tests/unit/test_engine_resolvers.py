"""The resolvers of a run: which policies get one, and how long it answers."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import anyio
import pytest

from barasync.config.policies import Destination, Policy, Preset
from barasync.engine.resolvers import Resolvers
from barasync.errors import EngineUnavailable
from tests.unit.dns_zone import LOOPBACK

pytestmark = pytest.mark.anyio

GATEWAY = ip_address(LOOPBACK)


def policy(*dns: str) -> Policy:
    allow = (Destination("www.example.org", name="www.example.org"),)
    servers = tuple(map(ip_address, dns))
    return Policy(name="ci", base=Preset.LOCAL, allow=allow, dns=servers)


def listens(port: int) -> bool:
    """Tell whether somebody has a port of `LOOPBACK`."""
    with socket.socket() as client:
        return client.connect_ex((LOOPBACK, port)) == 0


async def test_names_are_refused_where_the_networks_are_out_of_reach() -> None:
    with pytest.raises(EngineUnavailable, match="'ci' names hosts") as raised:
        Resolvers(here=False).require(policy())

    Resolvers(here=True).require(policy())

    assert raised.value.hint is not None
    assert "rootful" in raised.value.hint


async def test_a_policy_that_has_only_itself_to_ask_is_refused() -> None:
    async with anyio.create_task_group() as group:
        resolvers = Resolvers(here=True)
        group.start_soon(resolvers.serve)
        with pytest.raises(EngineUnavailable, match="no server to be asked"):
            await resolvers.start(policy(LOOPBACK), [GATEWAY])
        group.cancel_scope.cancel()


async def test_a_network_that_is_made_anew_has_its_resolver_where_the_first_was() -> None:
    port = 15301
    async with anyio.create_task_group() as group:
        resolvers = Resolvers(here=True, port=port)
        group.start_soon(resolvers.serve)
        first = await resolvers.start(policy("192.0.2.53"), [GATEWAY])
        second = await resolvers.start(policy("192.0.2.53"), [GATEWAY])
        assert listens(port)
        group.cancel_scope.cancel()

    assert first is not second


async def test_a_resolver_answers_as_long_as_it_is_served() -> None:
    port = 15300
    async with anyio.create_task_group() as group:
        resolvers = Resolvers(here=True, port=port)
        group.start_soon(resolvers.serve)
        await resolvers.start(policy("192.0.2.53"), [GATEWAY])
        assert listens(port)
        group.cancel_scope.cancel()

    assert not listens(port)
