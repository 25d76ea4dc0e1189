"""The networks that a cell may have: presets, tables `[network.NAME]`, podman's own modes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

from msgspec import UNSET

from barasync.config.bounds import BadValue
from barasync.config.destinations import covers
from barasync.config.network_values import parse_network_name, parse_table
from barasync.config.origin import Origin, Place
from barasync.config.policies import MODES, PRESETS, Address, Policy, Preset, Range
from barasync.config.ranges import overlap
from barasync.config.schema import CellTable, Document, NetworkTable
from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError

_OF_A_NETWORK = ("subnets", "internal", "ipv6")


def parse_policies(document: Document, origin: Origin) -> Mapping[str, Policy]:
    """Return the policies that cells may have, by name: the presets and those of the file.

    Raises:
        ConfigError: a table cannot be meant; the message begins with the file and the key.
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
        ConfigError: there is no such network.
    """
    if name in policies or name in MODES:
        return
    declared = [known for known in policies if known not in PRESETS]
    tables = f", and this project's own {', '.join(declared)}" if declared else ""
    raise ConfigError(
        f"{where}: there is no network {name!r}{did_you_mean(name, (*policies, *MODES))}",
        hint=f"there are the presets {', '.join(PRESETS)}, podman's {', '.join(MODES)}{tables};"
        " [network.NAME] declares one, `barasync network create NAME` makes one",
    )


def check_networks(document: Document, origin: Origin) -> None:
    """Raise for the first table `[network.NAME]`, or name of one, that cannot be meant.

    Raises:
        ConfigError: the message begins with the file and the key.
    """
    policies = parse_policies(document, origin)
    tables: list[tuple[CellTable, tuple[str | int, ...]]] = [
        (document.defaults, ("defaults",)),
        *((table, ("config", name)) for name, table in document.config.items()),
        *(
            (table, ("matrix", "include", index))
            for index, table in enumerate(document.matrix.include)
        ),
    ]
    for table, keys in tables:
        # What the command line defines may be a network of the service, which the plan knows of.
        if table.network is not UNSET and not origin.defines(*keys, "network"):
            check_network(table.network, policies, origin.key(*keys, "network"))


def _check_name(name: str, where: str) -> None:
    try:
        parse_network_name(name)
    except BadValue as error:
        raise ConfigError(f"{where}: {error}", hint=error.hint) from None
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
        policy = Policy(name=name, where=place(), **(values | parse_table(table)))
        _check_entries(policy)
        _check_ipv6(policy)
        _check_network_of(policy, table)
    except BadValue as error:
        raise ConfigError(f"{place(*error.keys)}: {error}", hint=error.hint) from None
    return policy


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
                if overlap(subnet, other):
                    raise ConfigError(
                        f"{origin.key('network', policy.name, 'subnets', index)}: {subnet} overlaps"
                        f" {other} of {origin.key('network', name, 'subnets', at)}",
                        hint="give each network a range of its own, or leave the choice to podman",
                    )
            taken.append((policy.name, index, subnet))
