"""What a cell may reach: a preset, or a policy of the file's tables `[network.NAME]`.

An entry of `allow` and `deny` is a destination, ports, or both with a space between them:
`10.0.0.0/8`, `443/tcp`, `registry.example.org 443/tcp 8000-8100/udp`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Range = ipaddress.IPv4Network | ipaddress.IPv6Network


class Preset(StrEnum):
    """What a policy begins with."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOCAL = "local"
    ISOLATED = "isolated"


ALONE = frozenset({Preset.LOCAL, Preset.ISOLATED})
"""Those that reach nothing beyond the cell, which needs no interface for that."""


class Mode(StrEnum):
    """A network of podman's own, without any rules of ours; that of the host keeps nothing away."""

    NONE = "none"
    BRIDGE = "bridge"
    HOST = "host"


MODES = tuple(Mode)


class Default(StrEnum):
    """What becomes of packets that nothing else decides about."""

    DENY = "deny"
    ACCEPT = "accept"


class Protocol(StrEnum):
    """A protocol with ports, or that of `ping`, which has none."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports of a protocol from `first` to `last`, both inclusive; both 0 for ICMP."""

    protocol: Protocol
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Destination:
    """What an entry of `allow` or `deny` is about.

    At most one of `range` and `name` is given; without both it is every address. Without `ports`
    it is every protocol. `text` is the entry as it was written.
    """

    text: str
    range: Range | None = None
    name: str | None = None
    ports: tuple[Ports, ...] = ()


@dataclass(frozen=True, slots=True)
class PublishedPort:
    """A port of a cell that is reached through a port of the host; 0 for one that is free then.

    `address` is that of the host on which it is, `None` for all of them. `where` is the option that
    it is of, empty for an entry of the policy's own table.
    """

    container: int
    host: int = 0
    protocol: Protocol = Protocol.TCP
    address: Address | None = None
    where: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What the cells of a network may reach, and what reaches them.

    Decided in this order: `deny`, `allow`, what the `base` denies, what it allows, `default`.
    With `log` what was refused is told of cells that passed as well. `ports` are published for each
    cell. `hosts` are names for addresses in `/etc/hosts`, `dns` the servers that names are asked
    of. `subnets` and `internal` are the network's own; without `ipv6` it has no addresses of
    version 6. `join` is the name of a network of podman's that is there already, in place of one of
    the run's own. `where` is its table, such as `barasync.toml: network.shop`.
    """

    name: str
    base: Preset
    allow: tuple[Destination, ...] = ()
    deny: tuple[Destination, ...] = ()
    default: Default = Default.DENY
    log: bool = False
    ports: tuple[PublishedPort, ...] = ()
    hosts: Mapping[str, Address] = field(default_factory=lambda: MappingProxyType({}))
    dns: tuple[Address, ...] = ()
    subnets: tuple[Range, ...] = ()
    internal: bool = False
    ipv6: bool = True
    join: str | None = None
    where: str = field(default="", compare=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The host names that it allows, in order and once each; none are denied."""
        return tuple(dict.fromkeys(entry.name for entry in self.allow if entry.name is not None))

    @property
    def resolves(self) -> bool:
        """Whether names can be resolved: the presets that have a network, and who names any."""
        return self.base in {Preset.PUBLIC, Preset.PRIVATE} or bool(self.names or self.dns)

    @property
    def asks(self) -> bool:
        """Whether the network's resolver may be asked: also where all is accepted but `deny`."""
        return self.resolves or self.default is Default.ACCEPT

    @property
    def needs_network(self) -> bool:
        """Whether anything beyond the cell itself can be reached; else it gets no interface."""
        asked = self.allow or self.ports or self.join or self.subnets or self.dns
        return (
            self.base in {Preset.PUBLIC, Preset.PRIVATE}
            or self.default is Default.ACCEPT
            or bool(asked)
        )

    def as_data(self) -> dict[str, Any]:
        """Return it as dicts, lists, strings, numbers and `None`, entries as they were written.

        The port of the host is `None` where a free one is taken.
        """
        return {
            "name": self.name,
            "base": self.base.value,
            "deny": [entry.text for entry in self.deny],
            "allow": [entry.text for entry in self.allow],
            "default": self.default.value,
            "log": self.log,
            "ports": [
                {
                    "container": port.container,
                    "host": port.host or None,
                    "protocol": port.protocol.value,
                    "address": None if port.address is None else str(port.address),
                }
                for port in self.ports
            ],
            "hosts": {name: str(address) for name, address in self.hosts.items()},
            "dns": list(map(str, self.dns)),
            "subnets": list(map(str, self.subnets)),
            "internal": self.internal,
            "ipv6": self.ipv6,
            "join": self.join,
        }


PRESETS = {preset.value: Policy(name=preset.value, base=preset) for preset in Preset}
"""The policies that need no table, by name."""
