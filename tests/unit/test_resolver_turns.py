"""The resolver of a network and cells that ask too much: what they cost is bounded."""

from __future__ import annotations

import anyio
import pytest

from barasync.networks.upstream import send_message
from tests.unit.dns_zone import LOOPBACK, ask, datagrams_to, question, stream_to
from tests.unit.test_resolver import CLIENT, OTHER, Rules, policy, resolving, texts, zone

# What never comes is not to be waited for until the test's own end.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]


async def test_a_flood_is_dropped_and_others_are_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barasync.networks.resolver._QUERIES_OF_ONE", 3)
    upstream = zone(silent=True)
    async with (
        resolving(policy("www.example.org"), upstream) as (resolver, port),
        resolver.cell(["flood"], [CLIENT], Rules().load),
        resolver.cell(["db"], [OTHER], Rules().load),
    ):
        async with await datagrams_to(port) as udp:
            for _ in range(50):
                await udp.send(question("www.example.org"))
        # It comes after all of those.
        assert texts(await ask(question("flood"), port, client=str(OTHER))) == [LOOPBACK]
        await upstream.wait_for(3)
        assert len(upstream.asked) == 3


async def test_a_cell_that_asks_too_often_waits_and_others_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.networks.resolver_cell._QUESTIONS_A_SECOND", 0.001)
    monkeypatch.setattr("barasync.networks.resolver_cell._QUESTIONS_IN_A_ROW", 3)
    upstream = zone()
    async with (
        resolving(policy("www.example.org"), upstream) as (resolver, port),
        resolver.cell(["often"], [CLIENT], Rules().load),
        resolver.cell(["db"], [OTHER], Rules().load),
    ):
        for _ in range(3):
            assert texts(await ask(question("www.example.org"), port)) == ["198.51.100.7"]
        async with await datagrams_to(port) as udp, await stream_to(port) as stream:
            await udp.send(question("www.example.org"))
            await send_message(stream, question("www.example.org"))
            # It comes after both of those.
            assert texts(await ask(question("often"), port, client=str(OTHER))) == [LOOPBACK]

    assert len(upstream.asked) == 3


async def test_a_name_with_ever_new_addresses_feeds_its_cell_alone_and_slowly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.networks.resolver_cell._FEEDS_A_SECOND", 0.001)
    monkeypatch.setattr("barasync.networks.resolver_cell._FEEDS_IN_A_ROW", 2)
    upstream, often, others = zone(), Rules(), Rules()
    async with (
        resolving(policy("www.example.org"), upstream) as (resolver, port),
        resolver.cell(["often"], [CLIENT], often.load),
        resolver.cell(["db"], [OTHER], others.load),
    ):
        async with await datagrams_to(port) as udp:
            for number in range(1, 9):
                address = f"198.51.100.{number}"
                upstream.answers["www.example.org"] = [("www.example.org", 0, "A", address)]
                await udp.send(question("www.example.org"))
                await upstream.wait_for(number)
            while len(often.loaded) < 2:
                await anyio.lowlevel.checkpoint()
        answer = await ask(question("www.example.org"), port, client=str(OTHER))

    assert texts(answer) == ["198.51.100.8"]
    assert (len(often.loaded), len(others.loaded)) == (2, 1)
