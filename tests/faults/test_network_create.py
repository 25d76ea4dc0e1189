"""What `barasync network` says where podman refuses a network, or cannot have one of the name."""

from __future__ import annotations

import pytest

from barasync.cli.network_actions import network_exists, remove_networks, show_network
from barasync.cli.network_create import Wanted, create_network
from barasync.errors import BarasyncError, ConfigError, EngineUnavailable
from tests.fake.faults import Fault, Refuses
from tests.fake.service import FakeService

pytestmark = pytest.mark.anyio

SHOP = Wanted(name="shop", subnets=(), labels={}, internal=False, ipv6=False, dns=True)
IN_USE = "subnet 10.90.0.0/24 is already used on the host or by another config"
TAKEN = "network already exists"


@pytest.mark.parametrize(
    ("cause", "kind", "said", "hint"),
    [
        (IN_USE, ConfigError, f"--subnet: {IN_USE}", "`ip route` shows the host's own"),
        (TAKEN, ConfigError, f"shop was not made: {TAKEN}", None),
        (
            "could not find free subnet from subnet pools",
            EngineUnavailable,
            "podman has no addresses left for another network",
            "name some with --subnet",
        ),
    ],
    ids=["subnet in use", "name in use", "no subnet left"],
)
async def test_a_network_that_podman_refuses_is_said_with_what_to_do(
    service: FakeService, cause: str, kind: type[BarasyncError], said: str, hint: str | None
) -> None:
    service.inject(Fault("network-create", Refuses(cause)))

    with pytest.raises(kind) as caught:
        await create_network(SHOP, url=service.endpoint.url, environ={})

    assert str(caught.value) == said
    assert (caught.value.hint or "").startswith(hint or "")
    assert service.networks == []


@pytest.mark.parametrize("name", ["", ".."])
async def test_a_name_that_no_network_can_have_is_that_of_none(
    service: FakeService, name: str
) -> None:
    url = service.endpoint.url
    with pytest.raises(ConfigError, match="there is no network"):
        await show_network(name, (), as_json=False, url=url, environ={})
    with pytest.raises(ConfigError, match="there is no network"):
        await remove_networks([name], url=url, environ={})

    assert await network_exists(name, url=url, environ={}) == 1
