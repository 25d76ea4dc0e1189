"""Which of the caller's proxies cells under a policy get: those that it lets be reached on purpose.

Who reaches a proxy reaches what the proxy does. So `private`, whose ranges most proxies are in, is
no reason to name one to a cell; an entry of `allow` or `default = "accept"` that opens its address
is. The preset `public` is made for what proxies are there for, and is opened to theirs alone.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from types import MappingProxyType
from urllib.parse import urlsplit

import anyio

from barasync.config.destinations import covers, within
from barasync.config.policies import (
    Address,
    Default,
    Destination,
    Policy,
    Ports,
    Preset,
    Protocol,
    Range,
)
from barasync.networks.addresses import may_be_named, only
from barasync.networks.groups import spelled
from barasync.networks.presets import guarded

_PORTS = {"http": 80, "https": 443}
_IPV4 = 4
_RESOLVE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Passed:
    """The variables that cells get, and what has to be allowed to them besides their policy."""

    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    opened: tuple[Destination, ...] = ()


async def passed(
    policy: Policy, proxies: Mapping[str, str], host: Sequence[Address] = ()
) -> Passed:
    """Return what cells of a policy get of the variables of the caller that name proxies.

    `host` has the addresses of this host, which only an entry with an address opens. A proxy whose
    name has no address within 5 s is none of theirs, nor is one on loopback.
    """
    variables: dict[str, str] = {}
    opened: dict[Destination, None] = {}
    if not (policy.base is Preset.PUBLIC or policy.allow or policy.default is Default.ACCEPT):
        return Passed()
    known: dict[tuple[str, int], tuple[Address, ...]] = {}
    kept = guarded(host)
    for variable, value in proxies.items():
        place = _place(value)
        if variable.lower() == "no_proxy" or place is None:
            continue
        if place not in known:
            known[place] = await _addresses(*place)
        ways = _ways(policy, *place, known[place], kept)
        if ways is not None:
            variables[variable] = value
            opened |= dict.fromkeys(ways)
    if variables:
        variables |= {name: proxies[name] for name in ("no_proxy", "NO_PROXY") if name in proxies}
    return Passed(MappingProxyType(variables), tuple(opened))


def _ways(
    policy: Policy,
    host: str,
    port: int,
    addresses: tuple[Address, ...],
    kept: Sequence[Range],
) -> tuple[Destination, ...] | None:
    """Return what to open for a proxy, which may be nothing; `None` where it is not to be had."""
    ports = (Ports(Protocol.TCP, port, port),)
    name = Destination(host, name=spelled(host), ports=ports)
    if any(entry.name is not None and covers(entry, name) for entry in policy.allow):
        return ()
    places = [
        Destination(f"{address} {port}/tcp", range=only(address), ports=ports)
        for address in addresses
        if may_be_named(address) and (policy.ipv6 or address.version == _IPV4)
    ]
    left = [each for each in places if not any(covers(one, each) for one in policy.deny)]
    meant = [each for each in left if not any(within(each.range, one) for one in kept)]
    for entry in policy.allow:
        opened = left if entry.range is not None else meant
        if any(covers(entry, each) for each in opened):
            return ()
    if policy.base is Preset.PUBLIC:
        return tuple(left) or None
    return () if meant and policy.default is Default.ACCEPT else None


def _place(value: str) -> tuple[str, int] | None:
    """Return the host and the port of a proxy, `None` where they cannot be told."""
    try:
        url = urlsplit(value if "://" in value else f"http://{value}")
        port = url.port or _PORTS.get(url.scheme)
    except ValueError:
        return None
    return None if not url.hostname or port is None else (url.hostname, port)


async def _addresses(host: str, port: int) -> tuple[Address, ...]:
    try:
        return (ip_address(host),)
    except ValueError:
        pass
    found: dict[Address, None] = {}
    with anyio.move_on_after(_RESOLVE_SECONDS):
        try:
            for *_, place in await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM):
                found[ip_address(place[0])] = None
        except (OSError, UnicodeError):
            return ()
    return tuple(found)
