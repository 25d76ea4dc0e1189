"""Policies of which every kind of test of their rules makes use."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

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
from barasync.networks.rules import Surroundings

GOLDEN = Path(__file__).parent / "data" / "networks"
"""Where the rules of each of `POLICIES` are, by name."""

AROUND = Surroundings(
    resolvers=(ipaddress.ip_address("10.89.0.1"), ipaddress.ip_address("fd00:1::1")),
    host=(
        ipaddress.ip_address("192.168.7.7"),
        ipaddress.ip_address("203.0.113.50"),
        ipaddress.ip_address("2001:db8:5::1"),
    ),
    links=(ipaddress.ip_network("203.0.113.128/26"), ipaddress.ip_network("2001:db8:6::/64")),
)

WEB = (Ports(Protocol.TCP, 80, 80), Ports(Protocol.TCP, 443, 443), Ports(Protocol.UDP, 443, 443))
HIGH = (Ports(Protocol.TCP, 1024, 2047), Ports(Protocol.UDP, 0, 65535))
PING = (Ports(Protocol.ICMP),)


def at(address: str, *ports: Ports) -> Destination:
    """An entry for a range."""
    return Destination(address, range=ipaddress.ip_network(address), ports=ports)


def named(name: str, *ports: Ports) -> Destination:
    """An entry for a host name."""
    return Destination(name, name=name, ports=ports)


def everywhere(*ports: Ports) -> Destination:
    """An entry of ports alone."""
    return Destination("everywhere", ports=ports)


RICH = Policy(
    name="rich",
    base=Preset.PRIVATE,
    deny=(
        at("10.66.0.0/16"),
        at("198.51.100.0/24"),
        at("0.0.0.0/0", Ports(Protocol.TCP, 25, 25)),
    ),
    allow=(
        at("198.51.100.0/24", *WEB),
        at("2001:db8:7::/48", *WEB),
        named("Registry.example.org.", *WEB),
        everywhere(*PING),
        at("203.0.113.0/25", *HIGH),
        at("203.0.113.128/25", *HIGH),
        at("::ffff:192.0.2.0/120"),
    ),
    log=True,
    ports=(
        PublishedPort(8080),
        PublishedPort(8081),
        PublishedPort(53, protocol=Protocol.UDP),
    ),
)

OPEN = Policy(
    name="open",
    base=Preset.LOCAL,
    default=Default.ACCEPT,
    deny=(at("10.0.0.0/8"), at("::/0", *HIGH), everywhere(*PING)),
    ipv6=False,
)

POLICIES: Mapping[str, tuple[Policy, Surroundings]] = {
    **{name: (policy, AROUND) for name, policy in PRESETS.items()},
    "rich": (RICH, AROUND),
    "open": (OPEN, AROUND),
    "services": (replace(PRESETS["isolated"], log=True), Surroundings(loopback=True)),
}
