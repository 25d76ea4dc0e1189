"""What each key of a table `[network.NAME]` can say, and what it means."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import combinations
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec import UNSET

from barasync.config.bounds import BadValue
from barasync.config.destinations import (
    parse_address,
    parse_entry,
    parse_name,
    parse_range,
    within,
)
from barasync.config.policies import (
    MODES,
    Address,
    Default,
    Destination,
    Preset,
    PublishedPort,
    Range,
)
from barasync.config.publishing import clash, parse_published
from barasync.config.ranges import PRIVATE
from barasync.config.schema import NetworkTable
from barasync.config.spelling import did_you_mean

_T = TypeVar("_T")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_LEAST_HOSTS = 4
"""Addresses of a network: its own, the gateway, a cell's and the broadcast's."""
_MOST_ENTRIES = 1000


def parse_table(table: NetworkTable) -> dict[str, Any]:
    """Return the values of a policy that a table gives, by their keys.

    Raises:
        BadValue: one of them cannot be meant; `keys` begins with its key.
    """
    return {
        key: _named(key, partial(parse, value))
        for key, parse in _PARSERS.items()
        if (value := getattr(table, key)) is not UNSET
    }


def parse_network_name(text: str) -> str:
    """Return the name of a network as it is.

    Raises:
        BadValue: no network can be called that, of podman's or of a table.
    """
    if _NAME.fullmatch(text) is None:
        raise BadValue(
            f"{text!r} cannot name a network",
            hint="up to 63 letters, digits, '.', '_' and '-', the first a letter or a digit",
        )
    return text


def parse_subnets(texts: list[str]) -> tuple[Range, ...]:
    """Return the subnets of a network, at most one of each version.

    Raises:
        BadValue: one of them cannot be; `keys` has its index.
    """
    subnets = _each(texts, parse_range)
    for index, subnet in enumerate(subnets):
        if subnet.num_addresses < _LEAST_HOSTS:
            raise BadValue(
                f"{subnet} has no room for a gateway and a cell",
                index,
                hint="give it more addresses, such as '10.90.0.0/24' or 'fd00:90::/64' has",
            )
        if not any(within(subnet, own) for own in PRIVATE):
            # The presets take everything else for the internet, or for nobody's.
            raise BadValue(
                f"{subnet} is no range of private addresses, which a network's cells have",
                index,
                hint=f"take one in {', '.join(map(str, PRIVATE))}",
            )
        if any(subnet.version == other.version for other in subnets[:index]):
            raise BadValue(f"a network has one subnet of IPv{subnet.version}, not two", index)
    return subnets


def _named(key: str | int, parse: Callable[[], _T]) -> _T:
    """Return what `parse` returns; a bad value gets the key that it lies at."""
    try:
        return parse()
    except BadValue as error:
        raise BadValue(str(error), key, *error.keys, hint=error.hint) from None


def _each(texts: Iterable[str], parse: Callable[[str], _T]) -> tuple[_T, ...]:
    return tuple(_named(index, partial(parse, text)) for index, text in enumerate(texts))


def _base(name: str) -> Preset:
    known = [preset.value for preset in Preset]
    if name not in known:
        raise BadValue(
            f"there is no preset {name!r}{did_you_mean(name, known)}",
            hint=f"a base is one of {', '.join(known)}, and 'local' where none is given",
        )
    return Preset(name)


def _entries(texts: list[str]) -> tuple[Destination, ...]:
    if len(texts) > _MOST_ENTRIES:
        raise BadValue(
            f"there are more than {_MOST_ENTRIES} entries", hint="write networks for addresses"
        )
    entries = _each(texts, parse_entry)
    known: dict[object, int] = {}
    for index, entry in enumerate(entries):
        first = known.setdefault((entry.range, entry.name, frozenset(entry.ports)), index)
        if first != index:
            raise BadValue(f"{entry.text!r} is there already, as entry [{first}]", index)
    return entries


def _denied(texts: list[str]) -> tuple[Destination, ...]:
    entries = _entries(texts)
    for index, entry in enumerate(entries):
        if entry.name is not None:
            # Its addresses are known only for as long as a cell's last question says, and are open
            # before, afterwards, by their numbers and by another name.
            raise BadValue(
                f"{entry.text!r} is a host name, and a name cannot be denied: a cell reaches its"
                " addresses without asking for it",
                index,
                hint="deny the addresses themselves, or take a base that allows no others and"
                " allow what is needed",
            )
    return entries


def _ports(texts: list[str]) -> tuple[PublishedPort, ...]:
    ports = _each(texts, parse_published)
    for (first, one), (second, other) in combinations(enumerate(ports), 2):
        if one == other or clash(one, other):
            raise BadValue(
                f"{texts[second]!r} takes the port of the host that entry [{first}] has"
                if other.host
                else f"{texts[second]!r} is there already, as entry [{first}]",
                second,
            )
    return ports


def _hosts(addresses: Mapping[str, str]) -> Mapping[str, Address]:
    hosts: dict[str, Address] = {}
    for name, text in addresses.items():
        host = _named(name, partial(parse_name, name))
        if host in hosts:
            raise BadValue(f"{host} has an address already", name)
        hosts[host] = _named(name, partial(_address, text))
    return MappingProxyType(hosts)


def _dns(texts: list[str]) -> tuple[Address, ...]:
    servers = _each(texts, _address)
    for index, server in enumerate(servers):
        if server.is_loopback:
            raise BadValue(
                f"{server} is the cell itself, where no server answers",
                index,
                hint="name the server by an address that the cell can reach",
            )
        if server.is_unspecified or server.is_multicast:
            raise BadValue(f"{server} is no server's address", index)
        if server in servers[:index]:
            raise BadValue(f"{server} is there already", index)
    return servers


def _address(text: str) -> Address:
    try:
        return parse_address(text)
    except BadValue as error:
        hint = error.hint or "write an address, such as '10.0.0.53' or 'fd00::53'"
        raise BadValue(str(error), hint=hint) from None


def _join(name: str) -> str:
    if name in MODES:
        raise BadValue(
            f"'{name}' is a mode of podman's, and no network to join",
            hint=f"give the cells `network = '{name}'` instead",
        )
    return parse_network_name(name)


_PARSERS: Mapping[str, Callable[[Any], object]] = {
    "base": _base,
    "allow": _entries,
    "deny": _denied,
    "default": Default,
    "log": bool,
    "ports": _ports,
    "hosts": _hosts,
    "dns": _dns,
    "subnets": parse_subnets,
    "internal": bool,
    "ipv6": bool,
    "join": _join,
}
assert tuple(_PARSERS) == NetworkTable.__struct_fields__, "every key of a network has a parser"
