"""What was started is what has the rules: told by the process that they were loaded for."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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

pytestmark = pytest.mark.anyio


@dataclass
class Namespace:
    """A namespace with whatever was loaded; a table that is there cannot be created."""

    lives: bool
    same: bool = True
    loaded: list[str] = field(default_factory=list)

    def unchanged(self) -> bool:
        return self.same

    async def load(self, text: str) -> None:
        if self.loaded and text.startswith("create "):
            raise NamespaceError("File exists")
        self.loaded.append(text)

    async def listing(self) -> bytes:
        return b""


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


@pytest.fixture(autouse=True)
def all_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barasync.engine.enforcement.missing", lambda _rules, _listing: None)


async def confirm(*, lives: bool, same: bool) -> None:
    @asynccontextmanager
    async def enter(_pid: int, _container_id: str) -> AsyncIterator[Namespace]:
        yield Namespace(lives, same)

    container: Any = Container(pid=42)
    async with enforced(PRESETS["local"], CellNetwork(), enter, alias="c") as enforcement:
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
    namespace = Namespace(lives=True)

    @asynccontextmanager
    async def enter(_pid: int, _container_id: str) -> AsyncIterator[Namespace]:
        yield namespace

    container: Any = Container(pid=42)
    async with enforced(PRESETS["local"], CellNetwork(), enter, alias="c") as enforcement:
        await enforcement.apply(container)
        await enforcement.apply(container)

    assert len(namespace.loaded) == 2


GATEWAY = ip_address("10.89.0.1")


def naming(*, log: bool) -> tuple[Policy, CellNetwork]:
    """Return a policy that names a host, and its network with a resolver, which does not serve."""
    entry = Destination("www.example.org", name="www.example.org")
    policy = Policy(name="ci", base=Preset.LOCAL, allow=(entry,), log=log)
    server = Server(ip_address("192.0.2.53"))
    resolver = Resolver(policy, listen=[GATEWAY], host=(), servers=[server])
    return policy, CellNetwork(name="n", resolvers=(GATEWAY,), names=resolver)


@asynccontextmanager
async def entered(_pid: int, _container_id: str) -> AsyncIterator[Namespace]:
    yield Namespace(lives=True)


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("joined", [True, False])
async def test_names_asked_for_in_vain_are_told_when_the_cell_has_ended(
    monkeypatch: pytest.MonkeyPatch, *, log: bool, joined: bool
) -> None:
    monkeypatch.setattr("barasync.engine.enforcement.addresses", lambda _process: (GATEWAY,))
    monkeypatch.setattr("barasync.engine.enforcement.refusals", lambda _listing: ())
    monkeypatch.setattr("barasync.engine.enforcement.refused_packets", lambda _listing: 0)
    policy, network = naming(log=log)
    container: Any = Container(pid=42)
    async with (
        enforced(policy, network, entered, alias="c") as owner,
        enforced(policy, network, entered, alias="c", joins=owner) as joining,
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
    async with enforced(policy, network, entered, alias="c") as enforcement:
        with pytest.raises(NamespaceError, match=r"10\.89\.0\.1, .* is no address of this host"):
            await enforcement.apply(container)
