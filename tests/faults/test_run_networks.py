"""The networks of a run when podman fails at them: said, and nothing left that is not said."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address, ip_network

import anyio
import pytest

from barasync.aiopodman import Podman, Subnet
from barasync.config.policies import PRESETS, Policy, Preset
from barasync.engine.networks import Networks
from barasync.engine.resolvers import Resolvers
from barasync.errors import EngineUnavailable
from barasync.matrix.outcome import Status
from tests.fake.faults import Dies, Fault, Hangs, Prunes, Refuses
from tests.fake.kernel import Kernel
from tests.fake.service import FakeService
from tests.faults.world import run

pytestmark = pytest.mark.anyio

PRIVATE = PRESETS["private"]
NAME = "barasync-run1-private"
LABELS = {"barasync.run": "run1"}


@asynccontextmanager
async def networks(service: FakeService) -> AsyncIterator[tuple[Podman, Networks]]:
    async with Podman(service.endpoint, timeout=5) as podman:
        yield podman, Networks(podman, "run1", LABELS, Resolvers(here=False))


async def names(service: FakeService) -> list[str]:
    async with Podman(service.endpoint, timeout=5) as podman:
        return [each.name for each in await podman.networks.list(labels={"barasync.run": None})]


async def test_cells_of_a_policy_share_a_network_that_is_gone_with_the_run(
    service: FakeService,
) -> None:
    seen: list[list[str]] = []

    async def look() -> None:
        seen.append(await names(service))

    kernel = Kernel(after={"load": look})
    scripts = dict.fromkeys("abcd", "true")

    ran = await run(service, scripts, policy=PRIVATE, enter=kernel.enter)

    assert ran.result.exit_code == 0, ran.result.problem
    assert seen == [[NAME]] * 4
    assert await names(service) == []


async def test_a_network_is_labelled_and_is_what_its_policy_says(service: FakeService) -> None:
    policy = Policy(
        name="own", base=Preset.PRIVATE, subnets=(ip_network("10.77.0.0/24"),), internal=True
    )
    async with networks(service) as (podman, made):
        network = await made.get(policy)
        again = await made.get(policy)
        (found,) = await podman.networks.list(labels=dict(LABELS))

    assert network is again
    assert (found.name, found.internal, found.dns_enabled) == ("barasync-run1-own", True, True)
    assert found.subnets[0].subnet == "10.77.0.0/24"
    assert [str(each) for each in network.resolvers] == [
        each.gateway for each in found.subnets if each.gateway
    ]


async def test_the_subnets_of_a_network_are_other_containers_also_where_it_is_joined(
    service: FakeService,
) -> None:
    subnets = (Subnet(subnet="203.0.113.0/24"), Subnet(subnet="2001:db8:7::/64"))
    policy = Policy(name="team", base=Preset.PUBLIC, join="routed")
    kernel = Kernel()
    async with networks(service) as (podman, made):
        await podman.networks.create("routed", subnets=subnets)
        network = await made.get(policy)

    ran = await run(service, "true", policy=policy, enter=kernel.enter)

    assert network.links == (ip_network("203.0.113.0/24"), ip_network("2001:db8:7::/64"))
    assert ran.outcome().passed
    (loaded,) = kernel.loaded
    denied = re.findall(r"set base_deny_ip6? \{[^}]*elements = \{([^}]*)", loaded)
    assert "203.0.113.0/24" in denied[0]
    assert "2001:db8:7::/64" in denied[1]


async def test_whoever_podman_has_the_cells_ask_for_names_may_be_asked(
    service: FakeService,
) -> None:
    dns = (ip_address("10.0.0.53"),)
    own = Policy(name="own", base=Preset.PRIVATE, dns=dns)
    async with networks(service) as (podman, made):
        named = await podman.networks.create("named", dns=True)
        await podman.networks.create("nameless")
        alone = await made.get(own)
        with_names = await made.get(replace(own, name="with", join="named"))
        without = await made.get(replace(own, name="without", join="nameless"))

    gateway = ip_address(named.subnets[0].gateway)
    assert (alone.resolvers, without.resolvers) == (dns, dns)
    # On podman 5 the resolver of the network is asked, which asks the others.
    assert with_names.resolvers == (*dns, gateway)


async def test_public_cells_reach_the_proxy_of_who_started_the_run_and_private_ones_have_none(
    service: FakeService,
) -> None:
    proxies = {"http_proxy": "http://10.9.9.9:3128"}
    script = "echo $http_proxy"
    opened = "tcp dport @allow1_tcp accept"
    kernels = Kernel(), Kernel()

    public = await run(
        service, script, policy=PRESETS["public"], proxies=proxies, enter=kernels[0].enter
    )
    private = await run(service, script, policy=PRIVATE, proxies=proxies, enter=kernels[1].enter)

    assert (public.stdout(), private.stdout()) == (b"http://10.9.9.9:3128\n", b"\n")
    assert "10.9.9.9" in kernels[0].loaded[0]
    assert [opened in kernel.loaded[0] for kernel in kernels] == [True, False]


async def test_a_policy_that_reaches_nothing_beyond_the_cell_needs_no_network(
    service: FakeService,
) -> None:
    async with networks(service) as (_, made):
        assert (await made.get(PRESETS["local"])).name is None
        assert await made.remove() == ()

    assert await names(service) == []


async def test_a_network_that_podman_refuses_starts_no_cell_and_is_asked_for_once(
    service: FakeService,
) -> None:
    service.inject(Fault("network-create", Refuses("netavark is out of order")))
    kernel = Kernel()

    ran = await run(service, {"a": "true", "b": "true"}, policy=PRIVATE, enter=kernel.enter)

    assert ran.result.exit_code == 4
    for cell in ("a", "b"):
        assert ran.outcome(cell).status is Status.INFRASTRUCTURE_ERROR
        assert "network 'private' cannot be made" in ran.outcome(cell).reason
    assert kernel.entered == []


async def test_a_subnet_that_is_taken_is_told_with_its_key_and_whose_it_is(
    service: FakeService,
) -> None:
    policy = Policy(
        name="own",
        base=Preset.PRIVATE,
        subnets=(ip_network("fd00:77::/64"), ip_network("10.77.0.0/24")),
        where="barasync.toml: network.own",
    )
    async with networks(service) as (podman, made):
        for labels, whose in ((LABELS, "other of the run run1"), ({}, "other")):
            await podman.networks.create(
                "other", labels=labels, subnets=[Subnet(subnet="10.77.0.0/25")]
            )
            with pytest.raises(EngineUnavailable) as caught:
                await made.get(replace(policy, name=whose.replace(" ", "")))
            await podman.networks.remove("other")

            assert str(caught.value) == (
                "barasync.toml: network.own.subnets[1]: 10.77.0.0/24 is taken as part of"
                f" 10.77.0.0/25 by the network {whose}"
            )
            assert caught.value.hint is not None
            assert "leave `subnets` out" in caught.value.hint
            assert ("`barasync clean`" in caught.value.hint) == bool(labels)


@pytest.mark.parametrize(
    ("refusal", "said", "advised"),
    [
        (
            "subnet 10.77.0.0/24 is already used on the host or by another config",
            "barasync.toml: network.own.subnets: 10.77.0.0/24 is taken by an interface or a route",
            "leave `subnets` out",
        ),
        (
            "could not find free subnet from subnet pools",
            "network 'own' cannot be made: podman has no addresses left for another network",
            "`barasync clean`",
        ),
    ],
)
async def test_addresses_that_podman_does_not_give_are_told_with_what_to_do(
    service: FakeService, refusal: str, said: str, advised: str
) -> None:
    policy = Policy(
        name="own",
        base=Preset.PRIVATE,
        subnets=(ip_network("10.77.0.0/24"),),
        where="barasync.toml: network.own",
    )
    service.inject(Fault("network-create", Refuses(refusal)))

    ran = await run(service, "true", policy=policy, enter=Kernel().enter)

    assert ran.result.exit_code == 4
    assert ran.outcome().reason == said
    assert advised in (ran.outcome().hint or "")


@pytest.mark.parametrize("effect", [Refuses("database is locked"), Dies(comes_back=True)])
async def test_a_failure_that_may_pass_is_no_answer_for_all_cells(
    service: FakeService, effect: Refuses | Dies
) -> None:
    service.inject(Fault("network-create", effect, times=1))
    scripts = {"a": "true", "b": "true"}

    ran = await run(service, scripts, policy=PRIVATE, enter=Kernel().enter, outage=10.0)

    assert ran.result.exit_code == 0, ran.outcome().reason
    assert await names(service) == []


async def test_a_network_that_was_made_without_an_answer_is_taken(service: FakeService) -> None:
    service.inject(Fault("network-create", Hangs(performed=True, seconds=0.0), times=1))

    ran = await run(service, "true", policy=PRIVATE, enter=Kernel().enter)

    assert ran.outcome().passed, ran.outcome().reason
    assert await names(service) == []


async def test_a_network_that_is_pruned_between_two_cells_is_made_anew(
    service: FakeService,
) -> None:
    for cell in "abc":
        service.inject(Fault("create", Prunes(), labels={"barasync.cell": cell}, times=1))
    kernel = Kernel()

    ran = await run(
        service, dict.fromkeys("abc", "true"), jobs=1, policy=PRIVATE, enter=kernel.enter
    )

    assert ran.result.exit_code == 0, ran.result.problem
    assert len(kernel.loaded) == 3
    assert await names(service) == []


@pytest.mark.parametrize("operation", ["create", "attach"])
async def test_cells_that_find_their_network_gone_have_it_made_once(
    service: FakeService, operation: str
) -> None:
    gone = Refuses("network not found")
    for cell in "abcd":
        service.inject(Fault(operation, gone, labels={"barasync.cell": cell}, times=1))

    ran = await run(service, dict.fromkeys("abcd", "true"), policy=PRIVATE, enter=Kernel().enter)

    assert ran.result.exit_code == 0, ran.result.problem
    assert await names(service) == []


async def test_a_network_that_goes_again_and_again_is_told_in_podmans_words(
    service: FakeService,
) -> None:
    service.inject(Fault("create", Refuses("network not found")))

    ran = await run(service, "true", policy=PRIVATE, enter=Kernel().enter)

    assert ran.result.exit_code == 1
    assert ran.outcome().status is Status.INFRASTRUCTURE_ERROR
    assert ran.outcome().reason.startswith("podman: network not found")


async def test_a_network_to_join_that_is_pruned_is_missed(service: FakeService) -> None:
    service.make_network(name="shop")
    service.inject(Fault("create", Prunes()))

    team = replace(PRIVATE, name="team", join="shop", where="barasync.toml: network.team")
    ran = await run(service, "true", policy=team, enter=Kernel().enter)

    assert ran.outcome().reason == (
        "barasync.toml: network.team.join: there is no network shop to join"
    )
    assert ran.result.exit_code == 4


async def test_a_network_that_podman_may_make_yet_is_said(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.engine.networks._CREATE_SECONDS", 0.2)
    service.inject(Fault("network-create", Hangs()))
    async with networks(service) as (_, made):
        with pytest.raises(EngineUnavailable, match="podman does not answer"):
            await made.get(PRIVATE)
        service.heal()

        (said,) = await made.remove()

    assert said == (
        f"network {NAME} may be made yet: podman was asked for it and did not answer;"
        f" `podman network rm {NAME}`, or later `barasync clean`"
    )


async def test_a_network_that_stays_is_said_with_what_removes_it(service: FakeService) -> None:
    service.inject(Fault("network-delete", Refuses("it is nailed down")))

    ran = await run(service, "true", policy=PRIVATE, enter=Kernel().enter)

    assert ran.outcome().passed
    assert ran.result.exit_code == 1
    assert ran.result.problem is not None
    assert f"network {NAME} could not be removed" in ran.result.problem
    assert f"`podman network rm {NAME}`, or later `barasync clean`" in ran.result.problem


async def test_a_podman_that_does_not_answer_a_removal_is_not_waited_for(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.engine.networks._REMOVE_SECONDS", 0.1)
    async with networks(service) as (_, made):
        await made.get(PRIVATE)
        service.inject(Fault("network-delete", Hangs()))
        (said,) = await made.remove()
        service.heal()

    assert said.startswith(f"network {NAME} could not be removed: podman did not answer in time")


async def test_a_network_whose_making_nobody_confirmed_is_removed(
    service: FakeService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.engine.networks._CREATE_SECONDS", 0.2)
    service.inject(Fault("network-create", Hangs(performed=True)))
    async with networks(service) as (_, made):
        with pytest.raises(EngineUnavailable, match="podman does not answer"):
            await made.get(PRIVATE)
        service.heal()
        assert await names(service) == [NAME]

        assert await made.remove() == ()

    assert await names(service) == []


async def test_a_run_that_is_cancelled_from_outside_leaves_no_network(
    service: FakeService,
) -> None:
    async with anyio.create_task_group() as group:

        async def cancel() -> None:
            group.cancel_scope.cancel()

        kernel = Kernel(after={"load": cancel})
        await run(service, "sleep 1000", policy=PRIVATE, enter=kernel.enter)

    assert len(kernel.loaded) == 1
    assert kernel.open == 0
    assert service.containers == {}
    assert await names(service) == []
