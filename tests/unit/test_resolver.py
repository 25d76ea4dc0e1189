"""The resolver of a network: what it answers to cells, and what their rules have by then."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import count

import anyio
import dns.flags
import dns.message
import dns.rcode
import pytest

from barasync.config.policies import Address, Destination, Policy, Preset
from barasync.errors import BarasyncError
from barasync.networks.asked import RefusedName
from barasync.networks.resolver import Resolver, ResolverError
from barasync.networks.upstream import Server, send_message
from tests.unit.dns_zone import (
    LOOPBACK,
    Records,
    Zone,
    ask,
    ask_over_tcp,
    datagrams_to,
    question,
    serving,
    stream_to,
)

CLIENT = ip_address(LOOPBACK)
OTHER = CLIENT + 65536
PORTS = count(15353)
WWW: Records = [("www.example.org", 60, "A", "198.51.100.7")]


def policy(*allowed: str, base: Preset = Preset.ISOLATED) -> Policy:
    return Policy(
        name="names",
        base=base,
        allow=tuple(Destination(name, name=name) for name in allowed),
    )


@dataclass(slots=True)
class Rules:
    """The rules of a cell: what was loaded, and the error that loading ends with."""

    loaded: list[str] = field(default_factory=list)
    error: BarasyncError | None = None

    async def load(self, text: str) -> None:
        await anyio.lowlevel.checkpoint()
        if self.error is not None:
            raise self.error
        self.loaded.append(text)


# Nothing here takes long; what never comes is not to be waited for until the test's own end.
pytestmark = [pytest.mark.anyio, pytest.mark.timeout(20)]


@asynccontextmanager
async def resolving(
    given: Policy,
    *zones: Zone,
    host: Iterable[Address] = (),
) -> AsyncIterator[tuple[Resolver, int]]:
    """Run a resolver that asks `zones`, and give it with its port; no cell is known to it."""
    port = next(PORTS)
    async with serving(*zones), anyio.create_task_group() as group:
        servers = [zone.server for zone in zones]
        resolver = Resolver(given, listen=[CLIENT], host=lambda: host, servers=servers, port=port)
        await group.start(resolver.serve)
        yield resolver, port
        group.cancel_scope.cancel()


def zone(answers: dict[str, Records] | None = None, **settings: object) -> Zone:
    return Zone(next(PORTS), answers or {"www.example.org": WWW}, **settings)  # type: ignore[arg-type]


def texts(answer: dns.message.Message) -> list[str]:
    return [rdata.to_text() for rrset in answer.answer for rdata in rrset]


async def test_an_answer_comes_when_the_rules_have_its_address() -> None:
    order: list[str] = []

    async def load(text: str) -> None:
        assert "{ 198.51.100.7 timeout 65s }" in text
        await anyio.wait_all_tasks_blocked()
        order.append("loaded")

    async with (
        resolving(policy("www.example.org"), zone()) as (resolver, port),
        resolver.cell(["db"], [CLIENT], load),
    ):
        answer = await ask(question("www.example.org"), port)
        order.append("answered")

    assert texts(answer) == ["198.51.100.7"]
    assert order == ["loaded", "answered"]


async def test_an_address_that_the_host_has_taken_meanwhile_is_not_opened() -> None:
    taken: list[Address] = []
    rules = Rules()
    async with (
        resolving(policy("www.example.org"), zone(), host=taken) as (resolver, port),
        resolver.cell(["db"], [CLIENT], rules.load),
    ):
        taken.append(ip_address("198.51.100.7"))
        answer = await ask(question("www.example.org"), port)

    assert texts(answer) == ["198.51.100.7"]
    assert rules.loaded == []


async def test_a_rule_that_cannot_be_loaded_is_no_answer() -> None:
    rules = Rules(error=BarasyncError("the cell has ended"))
    async with (
        resolving(policy("www.example.org"), zone()) as (resolver, port),
        resolver.cell(["db"], [CLIENT], rules.load),
    ):
        answer = await ask(question("www.example.org"), port)

    assert answer.rcode() == dns.rcode.SERVFAIL
    assert texts(answer) == []


async def test_what_the_rules_hold_long_enough_is_not_loaded_again() -> None:
    upstream, rules = zone(), Rules()
    async with (
        resolving(policy("www.example.org"), upstream) as (resolver, port),
        resolver.cell(["db"], [CLIENT], rules.load),
    ):
        await ask(question("www.example.org"), port)
        upstream.answers["www.example.org"] = [("www.example.org", 30, "A", "198.51.100.7")]
        await ask(question("www.example.org"), port)
        assert len(rules.loaded) == 1
        upstream.answers["www.example.org"] = [("www.example.org", 90, "A", "198.51.100.7")]
        await ask(question("www.example.org"), port)
        assert len(rules.loaded) == 2


async def test_what_is_asked_for_at_once_is_loaded_once() -> None:
    loaded: list[str] = []

    async def load(text: str) -> None:
        loaded.append(text)
        await anyio.wait_all_tasks_blocked()

    async with (
        resolving(policy("www.example.org"), zone()) as (resolver, port),
        resolver.cell(["db"], [CLIENT], load),
        await datagrams_to(port) as udp,
    ):
        for _ in range(5):
            await udp.send(question("www.example.org"))
        answers = [dns.message.from_wire(await udp.receive()) for _ in range(5)]

    assert [texts(answer) for answer in answers] == [["198.51.100.7"]] * 5
    assert len(loaded) == 1


async def test_a_cell_that_takes_anothers_address_has_nothing_of_it() -> None:
    first, second = Rules(), Rules()
    async with resolving(policy("www.example.org"), zone()) as (resolver, port):
        for rules in (first, second):
            async with resolver.cell(["db"], [CLIENT], rules.load):
                await ask(question("www.example.org"), port)

    assert len(first.loaded) == len(second.loaded) == 1


async def test_a_name_of_no_entry_does_not_exist_and_nobody_is_asked() -> None:
    upstream = zone()
    async with (
        resolving(policy("example.net"), upstream) as (resolver, port),
        resolver.cell(["db"], [CLIENT], Rules().load),
    ):
        answer = await ask(question("www.example.org"), port)

    assert answer.rcode() == dns.rcode.NXDOMAIN
    # Without a record of a zone nobody may keep it.
    assert answer.authority == []
    assert upstream.asked == []


async def test_what_is_asked_for_in_vain_is_known_of_each_cell() -> None:
    upstream = zone({"www.example.org": WWW})
    async with resolving(policy("www.example.org", "wwww.example.org"), upstream) as started:
        resolver, port = started
        async with (
            resolver.cell(["db"], [CLIENT], Rules().load) as asked,
            resolver.cell(["app"], [OTHER], Rules().load) as others,
        ):
            for name in ("www.example.org", "wwww.example.org", "Ads.example.net"):
                await ask(question(name), port)
            await ask(question("ads.example.net", "AAAA"), port)
            pointer = ip_address("198.51.100.7").reverse_pointer
            await ask(question(pointer, "PTR"), port)

    assert asked.refused == (RefusedName("ads.example.net", 2),)
    assert asked.absent == ("wwww.example.org",)
    assert (others.refused, others.absent) == ((), ())


async def test_a_name_that_appears_while_the_cell_asks_is_not_missed() -> None:
    upstream = zone({"other.example.org": []})
    async with (
        resolving(policy("www.example.org"), upstream) as (resolver, port),
        resolver.cell(["db"], [CLIENT], Rules().load) as asked,
    ):
        await ask(question("www.example.org"), port)
        assert asked.absent == ("www.example.org",)
        upstream.answers["www.example.org"] = WWW
        await ask(question("www.example.org"), port)

    assert asked.absent == ()


@pytest.mark.parametrize("base", [Preset.PUBLIC, Preset.PRIVATE])
async def test_a_base_with_a_network_resolves_every_name(base: Preset) -> None:
    rules = Rules()
    async with (
        resolving(policy("example.net", base=base), zone()) as (resolver, port),
        resolver.cell(["db"], [CLIENT], rules.load),
    ):
        answer = await ask(question("www.example.org"), port)

    assert texts(answer) == ["198.51.100.7"]
    assert rules.loaded == []


async def test_the_letters_of_a_question_come_back_as_they_were() -> None:
    upstream, rules = zone(), Rules()
    async with (
        resolving(policy("www.example.org"), upstream) as (resolver, port),
        resolver.cell(["db"], [CLIENT], rules.load),
    ):
        wire = question("wWw.eXample.oRg", use_edns=0)
        answer = await ask(wire, port)

    assert upstream.asked == [("udp", "wWw.eXample.oRg A")]
    assert answer.question[0].to_text() == "wWw.eXample.oRg. IN A"
    assert answer.id == dns.message.from_wire(wire).id
    assert answer.edns == 0
    assert "198.51.100.7" in rules.loaded[0]


@pytest.mark.parametrize("kind", ["HTTPS", "SVCB"])
async def test_a_name_of_an_entry_has_no_record_with_addresses_of_its_own(kind: str) -> None:
    records = [("www.example.org", 60, kind, "1 . ipv4hint=198.51.100.7")]
    upstream = zone({"www.example.org": records, "www.example.net": []})
    async with resolving(policy("www.example.org", base=Preset.PUBLIC), upstream) as started:
        resolver, port = started
        async with resolver.cell(["db"], [CLIENT], Rules().load):
            answer = await ask(question("www.example.org", kind), port)
            await ask(question("www.example.net", kind), port)

    assert (answer.rcode(), texts(answer)) == (dns.rcode.NOERROR, [])
    assert upstream.asked == [("udp", f"www.example.net {kind}")]


async def test_the_name_of_a_cell_is_answered_without_a_server() -> None:
    upstream, rules = zone(), Rules()
    addresses = [ip_address("10.89.0.9"), ip_address("fd00::9")]
    async with resolving(policy("db"), upstream) as (resolver, port):
        async with (
            resolver.cell(["app"], [CLIENT], rules.load),
            resolver.cell(["DB", "database"], addresses, Rules().load),
        ):
            assert texts(await ask(question("Db"), port)) == ["10.89.0.9"]
            assert texts(await ask(question("database", "AAAA"), port)) == ["fd00::9"]
            pointer = addresses[0].reverse_pointer
            assert texts(await ask(question(pointer, "PTR"), port)) == ["db."]
        async with resolver.cell(["app"], [CLIENT], rules.load):
            assert (await ask(question("database"), port)).rcode() == dns.rcode.NXDOMAIN

    assert upstream.asked == []
    assert "10.89.0.9" in "".join(rules.loaded)


async def test_an_answer_that_was_cut_short_is_asked_for_over_tcp() -> None:
    upstream, rules = zone(cut=True), Rules()
    async with (
        resolving(policy("www.example.org"), upstream) as (resolver, port),
        resolver.cell(["db"], [CLIENT], rules.load),
    ):
        short = await ask(question("www.example.org"), port)
        wire = question("www.example.org")
        whole, again = await ask_over_tcp(port, wire, wire)

    assert short.flags & dns.flags.TC
    assert texts(whole) == texts(again) == ["198.51.100.7"]
    assert [way for way, _ in upstream.asked] == ["udp", "tcp", "tcp"]
    assert len(rules.loaded) == 1


async def test_a_server_that_fails_is_followed_by_the_next() -> None:
    failing, good = zone(rcode=dns.rcode.SERVFAIL), zone()
    async with (
        resolving(policy("www.example.org"), failing, good) as (resolver, port),
        resolver.cell(["db"], [CLIENT], Rules().load),
    ):
        answer = await ask(question("www.example.org"), port)

    assert texts(answer) == ["198.51.100.7"]
    assert len(failing.asked) == len(good.asked) == 1


async def test_where_all_servers_fail_the_first_ones_error_is_the_answer() -> None:
    first, second = zone(rcode=dns.rcode.REFUSED), zone(rcode=dns.rcode.SERVFAIL)
    async with (
        resolving(policy("www.example.org"), first, second) as (resolver, port),
        resolver.cell(["db"], [CLIENT], Rules().load),
    ):
        answer = await ask(question("www.example.org"), port)

    assert answer.rcode() == dns.rcode.REFUSED
    assert len(first.asked) == len(second.asked) == 1


async def test_a_silent_server_is_asked_last_from_then_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barasync.networks.upstream._SECONDS", 0.05)
    silent, good = zone(silent=True), zone()
    async with (
        resolving(policy("www.example.org"), silent, good) as (resolver, port),
        resolver.cell(["db"], [CLIENT], Rules().load),
    ):
        for _ in range(3):
            answer = await ask(question("www.example.org"), port)
            assert texts(answer) == ["198.51.100.7"]

    assert len(silent.asked) == 1


async def test_servers_that_are_silent_or_not_there_are_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.networks.upstream._SECONDS", 0.05)
    silent = zone(silent=True)
    async with (
        resolving(policy("www.example.org"), silent) as (resolver, port),
        resolver.cell(["db"], [CLIENT], Rules().load),
    ):
        over_udp = await ask(question("www.example.org"), port)
        (over_tcp,) = await ask_over_tcp(port, question("www.example.org"))

    assert over_udp.rcode() == over_tcp.rcode() == dns.rcode.SERVFAIL


async def test_what_others_send_in_a_servers_name_is_passed_over() -> None:
    forged = question("www.example.org")
    upstream = zone(noise=(b"", b"garbage", forged, forged[:2] + b"\x81\x80" + forged[4:]))
    async with (
        resolving(policy("www.example.org"), upstream) as (resolver, port),
        resolver.cell(["db"], [CLIENT], Rules().load),
    ):
        answer = await ask(question("www.example.org"), port)

    assert texts(answer) == ["198.51.100.7"]


async def test_who_is_no_cell_is_not_answered() -> None:
    upstream = zone()
    async with resolving(policy("www.example.org"), upstream) as (resolver, port):
        with pytest.raises(anyio.EndOfStream):
            await ask_over_tcp(port, question("www.example.org"))
        async with resolver.cell(["db"], [ip_address("192.0.2.1")], Rules().load):
            with pytest.raises(anyio.EndOfStream):
                await ask_over_tcp(port, question("www.example.org"))
        async with resolver.cell(["db"], [CLIENT], Rules().load):
            await ask(question("www.example.org"), port)

    assert upstream.asked == [("udp", "www.example.org A")]


async def test_garbage_is_answered_with_an_error_or_not_at_all() -> None:
    async with (
        resolving(policy("www.example.org"), zone()) as (resolver, port),
        resolver.cell(["db"], [CLIENT], Rules().load),
    ):
        async with await datagrams_to(port) as udp:
            for datagram in (b"", b"x", bytes(11), b"\xff" * 1024, bytes(60000)):
                await udp.send(datagram)
        assert texts(await ask(question("www.example.org"), port)) == ["198.51.100.7"]
        (answer,) = await ask_over_tcp(port, bytes(12))
        assert answer.rcode() == dns.rcode.FORMERR
        with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
            await ask_over_tcp(port, bytes(60000))
        assert texts(await ask(question("www.example.org"), port)) == ["198.51.100.7"]


async def test_a_cell_has_only_so_many_connections_at_once() -> None:
    async with (
        resolving(policy("www.example.org"), zone()) as (resolver, port),
        resolver.cell(["db"], [CLIENT], Rules().load),
    ):
        async with anyio.create_task_group() as group:
            ended = anyio.Semaphore(0)

            async def hold() -> None:
                async with await stream_to(port) as stream:
                    with pytest.raises((anyio.EndOfStream, anyio.BrokenResourceError)):
                        await stream.receive()
                    ended.release()

            for _ in range(7):
                group.start_soon(hold)
            for _ in range(3):
                await ended.acquire()
            assert ended.value == 0
            group.cancel_scope.cancel()
        (answer,) = await ask_over_tcp(port, question("www.example.org"))

    assert texts(answer) == ["198.51.100.7"]


async def test_a_connection_that_says_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barasync.networks.resolver._IDLE_SECONDS", 0.05)
    async with (
        resolving(policy("www.example.org"), zone()) as (resolver, port),
        resolver.cell(["db"], [CLIENT], Rules().load),
        await stream_to(port) as stream,
    ):
        await stream.send(b"\x00")
        with pytest.raises(anyio.EndOfStream):
            await stream.receive()


async def test_what_is_going_on_ends_with_the_resolver() -> None:
    upstream = zone(silent=True)
    async with serving(upstream):
        port = next(PORTS)
        for _ in range(2):
            resolver = Resolver(
                policy("www.example.org"),
                listen=[CLIENT],
                host=tuple,
                servers=[upstream.server],
                port=port,
            )
            upstream.asked.clear()
            async with anyio.create_task_group() as group:
                await group.start(resolver.serve)
                async with (
                    resolver.cell(["db"], [CLIENT], Rules().load),
                    await stream_to(port) as stream,
                    await datagrams_to(port) as udp,
                ):
                    await send_message(stream, question("www.example.org"))
                    await udp.send(question("www.example.org"))
                    await upstream.wait_for(2)
                    group.cancel_scope.cancel()


async def test_a_port_that_another_program_has_is_an_error_with_a_hint() -> None:
    taken = zone()
    resolver = Resolver(
        policy("www.example.org"),
        listen=[CLIENT],
        host=tuple,
        servers=[Server(ip_address("192.0.2.53"))],
        port=taken.port,
    )
    async with serving(taken), anyio.create_task_group() as group:
        with pytest.raises(ResolverError, match="cannot listen on") as raised:
            await group.start(resolver.serve)

    assert raised.value.hint is not None
    assert str(taken.port) in raised.value.hint


async def test_addresses_that_are_not_there_yet_are_listened_on() -> None:
    resolver = Resolver(
        policy("www.example.org"),
        listen=[ip_address("192.0.2.53"), ip_address("2001:db8::53")],
        host=tuple,
        servers=[Server(CLIENT)],
        port=next(PORTS),
    )
    async with anyio.create_task_group() as group:
        await group.start(resolver.serve)
        group.cancel_scope.cancel()


def test_a_resolver_never_asks_itself() -> None:
    with pytest.raises(ResolverError, match="no server to be asked"):
        Resolver(policy("a.example.org"), listen=[CLIENT], host=tuple, servers=[Server(CLIENT)])
