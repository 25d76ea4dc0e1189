"""The networks that a cell may have: presets, tables `[network.NAME]`, podman's own modes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from ipaddress import ip_network
from itertools import combinations
from types import MappingProxyType
from typing import Any, TypeVar

from msgspec import UNSET

from barasync.config.bounds import BadValue
from barasync.config.destinations import (
    covers,
    parse_address,
    parse_entry,
    parse_name,
    parse_range,
    within,
)
from barasync.config.origin import Origin, Place
from barasync.config.policies import (
    PRESETS,
    Address,
    Default,
    Destination,
    Policy,
    Preset,
    PublishedPort,
    Range,
)
from barasync.config.publishing import clash, parse_published
from barasync.config.schema import Document, NetworkTable
from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError

HOST = "host"
"""The network of the host, which nothing keeps a cell from."""

MODES = ("none", "bridge", HOST)
"""Podman's own, without any rules of ours."""

_T = TypeVar("_T")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_NAME_HINT = "up to 63 letters, digits, '.', '_' and '-', the first a letter or a digit"
_LEAST_HOSTS = 4
"""Addresses of a network: its own, the gateway, a cell's and the broadcast's."""
_PRIVATE = tuple(map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
"""Source: RFC 1918, RFC 4193."""
_MOST_ENTRIES = 1000
_OF_A_NETWORK = ("subnets", "internal", "ipv6")


def parse_policies(document: Document, origin: Origin) -> Mapping[str, Policy]:
    """Return the policies that cells may have, by name: the presets and those of the file.

    Raises:
        ConfigError: A table cannot be meant; the message begins with the file and the key.
    """
    policies: dict[str, Policy] = {}
    for name, table in document.network.items():
        place = partial(origin.key, "network", name)
        _check_name(name, place())
        policies[name] = _policy(name, table, place)
    _check_subnets(policies.values(), origin)
    return MappingProxyType({**PRESETS, **policies})


def check_network(name: str, policies: Mapping[str, Policy], where: str) -> None:
    """Raise unless `name` is one of `policies` or of podman's modes; `where` it was given.

    Raises:
        ConfigError: There is no such network.
    """
    if name in policies or name in MODES:
        return
    declared = [known for known in policies if known not in PRESETS]
    tables = f", and this project's own {', '.join(declared)}" if declared else ""
    raise ConfigError(
        f"{where}: there is no network {name!r}{did_you_mean(name, (*policies, *MODES))}",
        hint=f"there are the presets {', '.join(PRESETS)}, podman's {', '.join(MODES)}{tables};"
        " [network.NAME] declares one",
    )


def check_networks(document: Document, origin: Origin) -> None:
    """Raise for the first table `[network.NAME]`, or name of one, that cannot be meant.

    Raises:
        ConfigError: The message begins with the file and the key.
    """
    policies = parse_policies(document, origin)
    tables = [
        (document.defaults, partial(origin.key, "defaults")),
        *((table, partial(origin.key, "config", name)) for name, table in document.config.items()),
        *(
            (table, partial(origin.key, "matrix", "include", index))
            for index, table in enumerate(document.matrix.include)
        ),
    ]
    for table, place in tables:
        if table.network is not UNSET:
            check_network(table.network, policies, place("network"))


def _check_name(name: str, where: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise ConfigError(f"{where}: {name!r} cannot name a network", hint=_NAME_HINT)
    known = name.lower()
    if known in PRESETS:
        raise ConfigError(
            f"{where}: the network '{known}' is a preset, and no table changes it",
            hint=f'give the table another name and `base = "{known}"`',
        )
    if known in MODES:
        raise ConfigError(
            f"{where}: the network '{known}' is podman's own, and no table changes it",
            hint="give the table another name",
        )


def _policy(name: str, table: NetworkTable, place: Place) -> Policy:
    values: dict[str, Any] = {"base": Preset.LOCAL}
    try:
        for key, parse in _PARSERS.items():
            value = getattr(table, key)
            if value is not UNSET:
                values[key] = _named(key, partial(parse, value))
        policy = Policy(name=name, where=place(), **values)
        _check_entries(policy)
        _check_ipv6(policy)
        _check_network_of(policy, table)
    except BadValue as error:
        raise ConfigError(f"{place(*error.keys)}: {error}", hint=error.hint) from None
    return policy


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


def parse_subnets(texts: list[str]) -> tuple[Range, ...]:
    """Return the subnets of a network, at most one of each version.

    Raises:
        BadValue: One of them cannot be; `keys` has its index.
    """
    subnets = _each(texts, parse_range)
    for index, subnet in enumerate(subnets):
        if subnet.num_addresses < _LEAST_HOSTS:
            raise BadValue(
                f"{subnet} has no room for a gateway and a cell",
                index,
                hint="give it more addresses, such as '10.90.0.0/24' or 'fd00:90::/64' has",
            )
        if not any(within(subnet, own) for own in _PRIVATE):
            # The presets take everything else for the internet, or for nobody's.
            raise BadValue(
                f"{subnet} is no range of private addresses, which a network's cells have",
                index,
                hint=f"take one in {', '.join(map(str, _PRIVATE))}",
            )
        if any(subnet.version == other.version for other in subnets[:index]):
            raise BadValue(f"a network has one subnet of IPv{subnet.version}, not two", index)
    return subnets


def _join(name: str) -> str:
    if name in MODES:
        raise BadValue(
            f"'{name}' is a mode of podman's, and no network to join",
            hint=f"give the cells `network = '{name}'` instead",
        )
    if _NAME.fullmatch(name) is None:
        raise BadValue(f"{name!r} cannot be the name of a network of podman's", hint=_NAME_HINT)
    return name


def _check_entries(policy: Policy) -> None:
    """Refuse what an allowed entry promises and something else takes away."""
    for index, entry in enumerate(policy.allow):
        for number, denied in enumerate(policy.deny):
            if covers(denied, entry):
                raise BadValue(
                    f"{entry.text!r} is never allowed, because `deny` counts first and has"
                    f" {denied.text!r} as entry [{number}]",
                    "allow",
                    index,
                    hint="narrow what is denied, or leave this out",
                )


def _check_ipv6(policy: Policy) -> None:
    given: tuple[tuple[str, Sequence[Address | Range | None]], ...] = (
        ("allow", [entry.range for entry in policy.allow]),
        ("dns", policy.dns),
        ("subnets", policy.subnets),
    )
    for key, values in given:
        for index, value in enumerate(values):
            if not policy.ipv6 and value is not None and value.version == 6:  # noqa: PLR2004 IPv6
                raise BadValue(
                    f"{value} is out of reach with `ipv6 = false`",
                    key,
                    index,
                    hint="leave one of them out",
                )


def _check_network_of(policy: Policy, table: NetworkTable) -> None:
    """Refuse what the network itself cannot be."""
    if policy.join is not None:
        for key in _OF_A_NETWORK:
            if getattr(table, key) is not UNSET:
                raise BadValue(
                    f"the network '{policy.join}' is there already and is what it is",
                    key,
                    hint=f"leave out `{key}`, or `join` for a network of the run's own",
                )
    if table.default is not UNSET and policy.base is Preset.PUBLIC:
        raise BadValue(
            "the base 'public' has an answer to every address, and nothing is left to a default",
            "default",
            hint="for nothing but what `allow` has, take the base 'local' or 'isolated'",
        )
    if policy.internal and policy.base is Preset.PUBLIC:
        raise BadValue(
            "an internal network has no way to what the base 'public' allows", "internal"
        )


def _check_subnets(policies: Iterable[Policy], origin: Origin) -> None:
    taken: list[tuple[str, int, Range]] = []
    for policy in policies:
        for index, subnet in enumerate(policy.subnets):
            for name, at, other in taken:
                if subnet.version == other.version and subnet.overlaps(other):
                    raise ConfigError(
                        f"{origin.key('network', policy.name, 'subnets', index)}: {subnet} overlaps"
                        f" {other} of {origin.key('network', name, 'subnets', at)}",
                        hint="give each network a range of its own, or leave the choice to podman",
                    )
            taken.append((policy.name, index, subnet))


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
