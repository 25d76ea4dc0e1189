"""What was started is what has the rules: told by the process that they were loaded for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from barasync.aiopodman import ContainerInspect, ContainerState, NetworkAttachment, NetworkSettings
from barasync.config.policies import PRESETS, Address, Destination, Policy, Preset
from barasync.engine.ended import Ended
from barasync.engine.enforcement import enforced
from barasync.engine.networks import CellNetwork
from barasync.engine.once import Once
from barasync.networks.asked import RefusedName
from barasync.networks.namespace import NamespaceError
from barasync.networks.resolver import Resolver, ResolverError
from barasync.networks.upstream import Server
from tests.fake.kernel import Kernel
from tests.unit.dns_zone import LOOPBACK, Zone, datagrams_to, question, serving

pytestmark = pytest.mark.anyio


@dataclass
class Container:
    """A container whose first process podman tells."""

    pid: int
    id: str = "c"
    address: str = "10.89.0.2"
    runtime: str = "crun"

    async def inspect(self) -> ContainerInspect:
        return ContainerInspect(
            id=self.id,
            oci_runtime=self.runtime,
            state=ContainerState(pid=self.pid),
            network_settings=NetworkSettings(networks={"n": NetworkAttachment(ipv4=self.address)}),
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


@pytest.mark.parametrize("runtime", ["crun", "runc", "/usr/local/bin/crun", "crun-1.21"])
async def test_runtimes_whose_processes_send_through_the_namespace_are_held(runtime: str) -> None:
    kernel, container = Kernel(), cast("Any", Container(pid=42, runtime=runtime))
    async with enforced(PRESETS["local"], CellNetwork(), kernel.enter, alias="c") as enforcement:
        await enforcement.apply(container)

    assert len(kernel.loaded) == 1


@pytest.mark.parametrize(
    "runtime", ["kata", "runsc", "/usr/bin/kata-runtime", "crun-vm", "krun", ""]
)
async def test_a_runtime_whose_containers_have_a_kernel_of_their_own_starts_nothing(
    runtime: str,
) -> None:
    kernel, container = Kernel(), cast("Any", Container(pid=42, runtime=runtime))
    async with enforced(PRESETS["local"], CellNetwork(), kernel.enter, alias="c") as enforcement:
        with pytest.raises(NamespaceError, match="known that packets of its containers"):
            await enforcement.apply(container)

    assert kernel.loaded == []


async def test_rules_of_an_earlier_try_are_replaced() -> None:
    kernel = Kernel()
    container: Any = Container(pid=42)
    async with enforced(PRESETS["local"], CellNetwork(), kernel.enter, alias="c") as enforcement:
        await enforcement.apply(container)
        await enforcement.apply(container)

    assert len(kernel.loaded) == 2


async def test_cells_of_a_network_have_one_object_of_rules() -> None:
    network, container = CellNetwork(), cast("Any", Container(pid=42))
    async with (
        enforced(PRESETS["local"], network, Kernel().enter, alias="a") as one,
        enforced(PRESETS["local"], network, Kernel().enter, alias="b") as other,
    ):
        await one.apply(container)
        await other.apply(container)

    assert one.rules is not None
    assert one.rules is other.rules


GATEWAY = ip_address("10.89.0.1")
CLIENT = ip_address(LOOPBACK)
PORT = 15310


def naming(
    *,
    log: bool,
    gateway: Address = GATEWAY,
    server: Server = Server(ip_address("192.0.2.53")),  # noqa: B008 - immutable
) -> tuple[Policy, CellNetwork]:
    """Return a policy that names a host, and its network with a resolver, which does not serve."""
    entry = Destination("www.example.org", name="www.example.org")
    policy = Policy(name="ci", base=Preset.LOCAL, allow=(entry,), log=log)
    resolver = Resolver(policy, listen=[gateway], host=tuple, servers=[server], port=PORT)
    return policy, CellNetwork(name="n", resolvers=(gateway,), names=resolver)


@pytest.mark.timeout(20)
async def test_a_question_of_an_earlier_try_has_ended_before_its_namespace_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.engine.enforcement.addresses", lambda _process: (CLIENT,))
    loading, open_by_then = anyio.Event(), []

    async def feeds_slowly() -> None:
        if kernel.loaded[-1].startswith("add element"):
            loading.set()
            try:
                await anyio.sleep_forever()
            finally:
                open_by_then.append(kernel.open)

    kernel = Kernel(after={"load": feeds_slowly})
    zone = Zone(PORT + 1, {"www.example.org": [("www.example.org", 60, "A", "198.51.100.7")]})
    policy, network = naming(log=False, gateway=CLIENT, server=zone.server)
    container: Any = Container(pid=42, address=LOOPBACK)
    async with serving(zone), anyio.create_task_group() as group:
        assert network.names is not None
        await group.start(network.names.serve)
        async with (
            enforced(policy, network, kernel.enter, alias="c") as enforcement,
            await datagrams_to(PORT) as udp,
        ):
            await enforcement.apply(container)
            await udp.send(question("www.example.org"))
            await loading.wait()
            await enforcement.apply(container)
        group.cancel_scope.cancel()

    assert open_by_then == [1]


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


@pytest.mark.parametrize(("failed", "questions"), [(1, "1 question,"), (2, "2 questions,")])
async def test_questions_over_which_the_resolver_failed_are_told_once(
    monkeypatch: pytest.MonkeyPatch, failed: int, questions: str
) -> None:
    monkeypatch.setattr("barasync.engine.enforcement.addresses", lambda _process: (GATEWAY,))
    policy, network = naming(log=False)
    container: Any = Container(pid=42)
    async with enforced(policy, network, Kernel().enter, alias="c") as enforcement:
        await enforcement.apply(container)
        assert enforcement.asked is not None
        for _ in range(failed):
            enforcement.asked.fail("LabelTooLong: so it is")
        ended = await enforcement.settle(Ended())

    (note,) = ended.notes
    assert note == (
        f"the resolver of network 'ci' failed over {questions} which belongs into a report:"
        " LabelTooLong: so it is"
    )


async def test_a_resolver_that_has_died_starts_nothing_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.engine.enforcement.addresses", lambda _process: (GATEWAY,))
    policy, network = naming(log=False)
    names = SimpleNamespace(cell=raises(ResolverError("the resolver has ended")))
    dead = replace(network, names=cast("Resolver", names))
    kernel = Kernel()
    container: Any = Container(pid=42)
    async with enforced(policy, dead, kernel.enter, alias="c") as enforcement:
        with pytest.raises(NamespaceError, match="was not started: the resolver has ended"):
            await enforcement.apply(container)

    assert kernel.open == 0


def raises(error: Exception) -> Callable[..., None]:
    def call(*_: object) -> None:
        raise error

    return call


@pytest.mark.parametrize("closed", [True, False])
async def test_a_resolver_that_is_not_there_is_told_and_no_cell_waits_for_it(
    monkeypatch: pytest.MonkeyPatch, *, closed: bool
) -> None:
    looked: list[object] = []

    async def look(address: Address) -> bool:
        looked.append(address)
        return closed

    network = CellNetwork(name="n", bridge="bs1", resolvers=(GATEWAY,), unheard=Once(look))
    monkeypatch.setattr("barasync.engine.enforcement.addresses", lambda _process: (GATEWAY,))
    monkeypatch.setattr("barasync.engine.enforcement.keep_address", lambda _bridge: None)
    container: Any = Container(pid=42)
    for _ in range(2):
        async with enforced(PRESETS["private"], network, Kernel().enter, alias="c") as enforcement:
            await enforcement.apply(container)
            ended = await enforcement.settle(Ended())

    assert looked == [GATEWAY]
    assert enforcement.around.resolvers == (() if closed else (GATEWAY,))
    assert [note for note in ended.notes if "aardvark-dns" in note] == list(ended.notes)
    assert len(ended.notes) == closed
