"""Tables `[network.NAME]`: what they make, and what is said of those that cannot be meant."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from barasync.config.load import parse
from barasync.config.networks import parse_policies
from barasync.config.origin import Origin
from barasync.config.policies import (
    PRESETS,
    Default,
    Destination,
    Policy,
    Ports,
    Preset,
    Protocol,
    PublishedPort,
)
from barasync.errors import ConfigError

TCP, UDP = Protocol.TCP, Protocol.UDP

WHOLE = """
[network.build]
base = "private"
allow = ["203.0.113.0/24", "Registry.Example.org 443/tcp 8000-8100/udp", "2001:db8::1 icmp"]
deny = ["10.0.0.0/8 22/tcp", "2001:db8::2 icmp"]
default = "accept"
log = true
ports = ["8080:80", "127.0.0.1:53:53/udp", "[::1]::443", "9000"]
hosts = { "Db.example" = "10.9.8.7", cache = "fd00::7" }
dns = ["10.0.0.53", "fd00::53"]
subnets = ["10.90.0.0/24", "fd00:90::/64"]
internal = true
ipv6 = true
"""


def policies(text: str) -> dict[str, Policy]:
    return dict(parse_policies(parse(text, Origin()), Origin()))


def problem(text: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse(text, Origin())
    return caught.value


def test_a_table_says_all_that_a_policy_has() -> None:
    assert policies(WHOLE)["build"] == Policy(
        name="build",
        base=Preset.PRIVATE,
        allow=(
            Destination("203.0.113.0/24", range=ip_network("203.0.113.0/24")),
            Destination(
                "Registry.Example.org 443/tcp 8000-8100/udp",
                name="registry.example.org",
                ports=(Ports(TCP, 443, 443), Ports(UDP, 8000, 8100)),
            ),
            Destination(
                "2001:db8::1 icmp",
                range=ip_network("2001:db8::1/128"),
                ports=(Ports(Protocol.ICMP),),
            ),
        ),
        deny=(
            Destination(
                "10.0.0.0/8 22/tcp", range=ip_network("10.0.0.0/8"), ports=(Ports(TCP, 22, 22),)
            ),
            Destination(
                "2001:db8::2 icmp",
                range=ip_network("2001:db8::2/128"),
                ports=(Ports(Protocol.ICMP),),
            ),
        ),
        default=Default.ACCEPT,
        log=True,
        ports=(
            PublishedPort(80, 8080),
            PublishedPort(53, 53, UDP, ip_address("127.0.0.1")),
            PublishedPort(443, 0, TCP, ip_address("::1")),
            PublishedPort(9000),
        ),
        hosts={"db.example": ip_address("10.9.8.7"), "cache": ip_address("fd00::7")},
        dns=(ip_address("10.0.0.53"), ip_address("fd00::53")),
        subnets=(ip_network("10.90.0.0/24"), ip_network("fd00:90::/64")),
        internal=True,
    )


def test_an_empty_table_allows_loopback_and_nothing_else() -> None:
    assert policies("[network.x]\n")["x"] == Policy(name="x", base=Preset.LOCAL)


def test_the_presets_are_there_without_any_table() -> None:
    assert policies("") == PRESETS


def test_a_network_of_podmans_is_joined_by_its_name() -> None:
    joined = policies('[network.x]\nbase = "private"\njoin = "shop"\n')["x"]

    assert joined == Policy(name="x", base=Preset.PRIVATE, join="shop")
