"""The resolver of a network and what nobody has foreseen: a question is lost, and no run."""

from __future__ import annotations

import anyio
import dns.rcode
import pytest

from barasync.networks.resolver import Resolver, ResolverError
from tests.unit.dns_zone import ask, ask_over_tcp, datagrams_to, question
from tests.unit.test_resolver import CLIENT, Rules, policy, resolving, texts, zone

# What never comes is not to be waited for until the test's own end.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]

POINTER = CLIENT.reverse_pointer


def fails(*_: object, **__: object) -> None:
    raise RuntimeError("nobody\nknew")


@pytest.mark.parametrize("name", ["x" * 64, "a..b", "end.", ".begin", "-a", "a-", "a b", ""])
async def test_a_cell_whose_name_is_no_host_name_has_none(name: str) -> None:
    async with (
        resolving(policy("www.example.org"), zone()) as (resolver, port),
        resolver.cell([name], [CLIENT], Rules().load) as asked,
    ):
        answer = await ask(question(POINTER, "PTR"), port)
        assert texts(await ask(question("www.example.org"), port)) == ["198.51.100.7"]

    assert (answer.rcode(), texts(answer)) == (dns.rcode.NXDOMAIN, [])
    assert asked.failed == 0


async def test_a_cell_of_several_labels_has_its_name() -> None:
    async with (
        resolving(policy("www.example.org"), zone()) as (resolver, port),
        resolver.cell(["amd64-a_b.c"], [CLIENT], Rules().load),
    ):
        assert texts(await ask(question(POINTER, "PTR"), port)) == ["amd64-a_b.c."]


@pytest.mark.parametrize("step", ["read_query", "Names.treatment", "lifetimes"])
async def test_what_goes_wrong_over_a_question_costs_that_one(step: str) -> None:
    async with (
        resolving(policy("www.example.org"), zone()) as (resolver, port),
        resolver.cell(["db"], [CLIENT], Rules().load) as asked,
    ):
        wire = question("www.example.org", use_edns=0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(f"barasync.networks.resolver.{step}", fails)
            answers = [await ask(wire, port), *await ask_over_tcp(port, wire, wire)]
        assert texts(await ask(wire, port)) == ["198.51.100.7"]

    for answer in answers:
        assert answer.rcode() == dns.rcode.SERVFAIL
        assert answer.question[0].to_text() == "www.example.org. IN A"
    assert asked.failed == 3
    assert asked.failure == "RuntimeError: nobody knew"


async def test_a_resolver_that_dies_is_told_to_its_cells_and_takes_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with (
        resolving(policy("www.example.org"), zone()) as (resolver, port),
        await datagrams_to(port) as udp,
    ):
        async with resolver.cell(["db"], [CLIENT], Rules().load) as asked:
            monkeypatch.setattr(Resolver, "_admits", fails)
            await udp.send(question("www.example.org"))
            while not asked.failed:
                await anyio.lowlevel.checkpoint()
        with pytest.raises(ResolverError, match=r"'names' has ended: RuntimeError: nobody knew"):
            await resolver.cell(["app"], [CLIENT], Rules().load).__aenter__()

    assert asked.failure == "the resolver has ended: RuntimeError: nobody knew"
