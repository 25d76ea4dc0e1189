"""What was started is what has the rules: told by the process that they were loaded for."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

import pytest

from barasync.aiopodman import Attachment, ContainerInspect, ContainerState, NetworkSettings
from barasync.config.policies import PRESETS, Destination, Policy, Preset
from barasync.engine.ended import Ended
from barasync.engine.enforcement import enforced
from barasync.engine.networks import CellNetwork
from barasync.networks.asked import RefusedName
from barasync.networks.namespace import NamespaceError
from barasync.networks.resolver import Resolver
from barasync.networks.upstream import Server
from tests.fake.kernel import Kernel

pytestmark = pytest.mark.anyio


@dataclass
class Container:
    """A container whose first process podman tells."""

    pid: int
    id: str = "c"

    async def inspect(self) -> ContainerInspect:
        return ContainerInspect(
            id=self.id,
            state=ContainerState(pid=self.pid),
            network_settings=NetworkSettings(networks={"n": Attachment(ipv4="10.89.0.2")}),
        )


async def confirm(*, lives: bool, same: bool) -> None:
    kernel = Kernel(lives=lives, unchanged=lambda _container: same)
    container: Any = Container(pid=42)
    async with enforced(PRESETS["local"], CellNetwork(), kernel.enter, alias="c") as enforcement:
        await enforcement.apply(container)
        await enforcement.confirm()


async def test_a_process_that_lives_is_the_one_with_the_rules() -> None:
    await confirm(lives=True, same=False)


async def test_a_command_may_have_ended_by_then() -> None:
    await confirm(lives=False, same=True)


async def test_a_container_that_was_made_anew_is_without_rules_though_it_has_ended() -> None:
    with pytest.raises(NamespaceError, match="'local' is not known to have been enforced"):
        await confirm(lives=False, same=False)


async def test_rules_of_an_earlier_try_are_replaced() -> None:
    kernel = Kernel()
    container: Any = Container(pid=42)
    async with enforced(PRESETS["local"], CellNetwork(), kernel.enter, alias="c") as enforcement:
        await enforcement.apply(container)
        await enforcement.apply(container)

    assert len(kernel.loaded) == 2


GATEWAY = ip_address("10.89.0.1")


def naming(*, log: bool) -> tuple[Policy, CellNetwork]:
    """Return a policy that names a host, and its network with a resolver, which does not serve."""
    entry = Destination("www.example.org", name="www.example.org")
    policy = Policy(name="ci", base=Preset.LOCAL, allow=(entry,), log=log)
    server = Server(ip_address("192.0.2.53"))
    resolver = Resolver(policy, listen=[GATEWAY], host=(), servers=[server])
    return policy, CellNetwork(name="n", resolvers=(GATEWAY,), names=resolver)


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("joined", [True, False])
async def test_names_asked_for_in_vain_are_told_when_the_cell_has_ended(
    monkeypatch: pytest.MonkeyPatch, *, log: bool, joined: bool
) -> None:
    monkeypatch.setattr("barasync.engine.enforcement.addresses", lambda _process: (GATEWAY,))
    policy, network = naming(log=log)
    kernel = Kernel(namespace_of=lambda _container: "one")
    container: Any = Container(pid=42)
    async with (
        enforced(policy, network, kernel.enter, alias="c") as owner,
        enforced(policy, network, kernel.enter, alias="c", joins=owner) as joining,
    ):
        cell = joining if joined else owner
        await owner.apply(container)
        await joining.apply(container)
        assert cell.asked is not None
        cell.asked.find("www.example.org", exists=False)
        cell.asked.refuse("ads.example.net")
        ended = await cell.settle(Ended())

    assert ended.refused_names == ((RefusedName("ads.example.net", 1),) if log else ())
    assert ended.notes == (
        "network 'ci' names www.example.org, and there is no such name: is it misspelt?",
    )


async def test_a_resolver_whose_address_is_not_this_hosts_starts_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.engine.enforcement.addresses", lambda _process: ())
    policy, network = naming(log=False)
    container: Any = Container(pid=42)
    async with enforced(policy, network, Kernel().enter, alias="c") as enforcement:
        with pytest.raises(NamespaceError, match=r"10\.89\.0\.1, .* is no address of this host"):
            await enforcement.apply(container)
