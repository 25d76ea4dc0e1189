"""Cells get the caller's proxies only where their policy lets them be reached on purpose."""

from __future__ import annotations

import socket
from ipaddress import ip_address, ip_network

import pytest

from barasync.config.destinations import parse_entry
from barasync.config.policies import PRESETS, Default, Destination, Policy, Ports, Preset, Protocol
from barasync.engine.proxies import Passed, passed

pytestmark = pytest.mark.anyio

ADDRESSES = {"proxy.example": ("10.0.0.1", "fd00::1"), "other.example": ("10.0.0.2",)}
PROXY = {"http_proxy": "http://me:word@10.0.0.1:3128/", "no_proxy": "localhost"}
OPENED = Destination(
    "10.0.0.1 3128/tcp",
    range=ip_network("10.0.0.1/32"),
    ports=(Ports(Protocol.TCP, 3128, 3128),),
)


def table(
    base: Preset,
    *allow: str,
    deny: tuple[str, ...] = (),
    default: Default = Default.DENY,
    ipv6: bool = True,
) -> Policy:
    return Policy(
        name="own",
        base=base,
        allow=tuple(map(parse_entry, allow)),
        deny=tuple(map(parse_entry, deny)),
        default=default,
        ipv6=ipv6,
    )


@pytest.fixture(autouse=True)
def names(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names that this host knows."""

    async def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        if host not in ADDRESSES:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(0, 0, 0, "", (address, port)) for address in ADDRESSES[host]]

    monkeypatch.setattr("anyio.getaddrinfo", getaddrinfo)


@pytest.mark.parametrize("preset", ["private", "local", "isolated"])
async def test_a_preset_that_has_no_internet_passes_none(preset: str) -> None:
    assert await passed(PRESETS[preset], PROXY) == Passed()


async def test_public_opens_the_address_and_the_port_of_the_proxy_and_no_more() -> None:
    assert await passed(PRESETS["public"], PROXY) == Passed(PROXY, (OPENED,))


@pytest.mark.parametrize(
    "entry", ["10.0.0.1", "10.0.0.0/8 3128/tcp", "3000-4000/tcp", "10.0.0.1 443/tcp 3128/tcp"]
)
@pytest.mark.parametrize("base", list(Preset))
async def test_an_entry_that_covers_it_passes_it(base: Preset, entry: str) -> None:
    assert await passed(table(base, entry), PROXY) == Passed(PROXY)


@pytest.mark.parametrize("entry", ["10.0.0.2", "10.0.0.1 443/tcp", "3128/udp", "www.example.org"])
async def test_an_entry_of_something_else_does_not(entry: str) -> None:
    assert await passed(table(Preset.PRIVATE, entry), PROXY) == Passed()


async def test_a_name_that_is_allowed_is_passed_without_an_address() -> None:
    named = {"HTTPS_PROXY": "http://Proxy.example.invalid:3128"}

    assert await passed(table(Preset.LOCAL, "proxy.example.invalid 3128/tcp"), named) == Passed(
        named
    )
    assert await passed(table(Preset.LOCAL, "proxy.example.invalid 443/tcp"), named) == Passed()


async def test_a_name_stands_for_the_addresses_that_it_has() -> None:
    named = {"http_proxy": "http://proxy.example:3128"}

    opened = (await passed(PRESETS["public"], named)).opened
    covered = await passed(table(Preset.PRIVATE, "10.0.0.1 3128/tcp"), named)

    assert [each.text for each in opened] == ["10.0.0.1 3128/tcp", "fd00::1 3128/tcp"]
    assert covered == Passed(named)
    assert await passed(table(Preset.PRIVATE, "10.0.0.2"), named) == Passed()


async def test_one_proxy_may_be_passed_without_the_other() -> None:
    both = {**PROXY, "https_proxy": "http://other.example:80"}

    assert await passed(table(Preset.PRIVATE, "10.0.0.1"), both) == Passed(PROXY)


async def test_what_is_accepted_by_default_is_passed() -> None:
    assert await passed(table(Preset.LOCAL, default=Default.ACCEPT), PROXY) == Passed(PROXY)


@pytest.mark.parametrize("default", list(Default))
@pytest.mark.parametrize("entry", ["1-65535/tcp", "3128/tcp", "10.0.0.2"])
@pytest.mark.parametrize("base", [Preset.PRIVATE, Preset.LOCAL])
async def test_this_host_is_meant_by_neither_ports_alone_nor_a_default(
    base: Preset, entry: str, default: Default
) -> None:
    host = [ip_address("10.0.0.1")]

    assert await passed(table(base, entry, default=default), PROXY, host) == Passed()
    assert await passed(table(base, "10.0.0.1", default=default), PROXY, host) == Passed(PROXY)


@pytest.mark.parametrize("default", list(Default))
async def test_public_opens_what_its_own_range_denies_whatever_the_default(
    default: Default,
) -> None:
    policy = table(Preset.PUBLIC, "3128/tcp", default=default)
    host = [ip_address("10.0.0.1")]

    assert await passed(table(Preset.PUBLIC, default=default), PROXY) == Passed(PROXY, (OPENED,))
    assert await passed(policy, PROXY, host) == Passed(PROXY, (OPENED,))


@pytest.mark.parametrize("entry", ["10.0.0.0/8", "1-65535/tcp", "10.0.0.1 3128/tcp"])
@pytest.mark.parametrize("base", [Preset.PUBLIC, Preset.LOCAL])
async def test_what_is_denied_is_not_passed_whatever_else_is(base: Preset, entry: str) -> None:
    policy = table(base, "10.0.0.1", deny=(entry,), default=Default.ACCEPT)

    assert await passed(policy, PROXY) == Passed()


@pytest.mark.parametrize(
    "value",
    [
        "http://127.0.0.1:3128",
        "http://[::1]:3128",
        "http://169.254.169.254:80",
        "http://10.0.0.1:99999",
        "http://10.0.0.1:x",
        "http://[10.0.0.1",
        "socks5://10.0.0.1",
        "http://",
        "http://proxy.invalid:3128",
    ],
)
async def test_one_that_no_cell_can_or_should_reach_is_not_passed(value: str) -> None:
    assert await passed(PRESETS["public"], {"http_proxy": value, "no_proxy": "a"}) == Passed()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("10.0.0.1:3128", "10.0.0.1 3128/tcp"),
        ("http://10.0.0.1", "10.0.0.1 80/tcp"),
        ("https://10.0.0.1/", "10.0.0.1 443/tcp"),
        ("http://[fd00::1]:8080", "fd00::1 8080/tcp"),
    ],
)
async def test_places_are_written_in_several_ways(value: str, text: str) -> None:
    given = await passed(PRESETS["public"], {"http_proxy": value, "https_proxy": value})

    assert [each.text for each in given.opened] == [text]
    assert set(given.variables) == {"http_proxy", "https_proxy"}


async def test_without_ipv6_one_that_has_no_other_address_is_not_passed() -> None:
    policy = table(Preset.PUBLIC, ipv6=False)

    assert await passed(policy, {"http_proxy": "http://[fd00::1]:8080"}) == Passed()
