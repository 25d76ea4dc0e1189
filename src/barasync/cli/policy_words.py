"""What a preset or a table `[network.NAME]` means, in words and in nftables rules."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Mapping

from barasync.cli.network_actions import in_columns
from barasync.cli.project import Project
from barasync.config.networks import parse_policies
from barasync.config.policies import (
    MODES,
    PRESETS,
    Default,
    Destination,
    Mode,
    Policy,
    Preset,
    PublishedPort,
)
from barasync.networks.host import addresses
from barasync.networks.rules import Surroundings, ruleset

RESOLVER = ipaddress.ip_address("192.0.2.53")
"""Stands for the resolver of a network that is not there yet (RFC 5737)."""

_BASES = {
    Preset.PUBLIC: "the internet, but nothing private, link-local or multicast, no loopback, no"
    " metadata address, not this host, and no other container",
    Preset.PRIVATE: "RFC 1918, fc00::/7, loopback; this host too; no metadata address",
    Preset.LOCAL: "127.0.0.0/8 and ::1",
    Preset.ISOLATED: "nothing, loopback included",
}

_DEFAULTS = {
    Default.DENY: "deny",
    Default.ACCEPT: "accept, but no metadata address, and not this host",
}

_NAMES = {Default.DENY: "none are resolved", Default.ACCEPT: "any server that is reached"}
"""Where the policy has no resolver of its own."""

MODES_IN_WORDS: Mapping[str, str] = {
    Mode.NONE: "no network at all",
    Mode.BRIDGE: "podman's default network, without rules",
    Mode.HOST: "the network of the host, without rules; it needs --allow-host-network",
}
assert tuple(MODES_IN_WORDS) == MODES, "every mode of podman's has its words"


def policies_of(project: Project) -> Mapping[str, Policy]:
    """Return the policies that cells of a project can have, by name.

    Raises:
        ConfigError: a table of it cannot be meant.
    """
    if project.document is None:
        return PRESETS
    return parse_policies(project.document, project.origin)


def in_words(policy: Policy) -> str:
    """Return what a policy allows and denies, in the order in which that counts."""
    resolvers = ", ".join(map(str, policy.dns)) or "the network's resolver alone, port 53"
    facts = {
        "name": policy.name,
        "denies": _entries(policy.deny),
        "allows": _entries(policy.allow),
        "base": f"{policy.base.value}: {_BASES[policy.base]}",
        "else": "" if policy.base is Preset.PUBLIC else _DEFAULTS[policy.default],
        "names": resolvers if policy.resolves else _NAMES[policy.default],
        "from outside": _inward(policy),
        "ports": ", ".join(map(_published, policy.ports)),
        "hosts": ", ".join(f"{name} {address}" for name, address in policy.hosts.items()),
        "network": _network(policy),
        "refused": "told" if policy.log else "told of cells that do not pass",
    }
    return in_columns(facts)


def as_rules(policy: Policy) -> str:
    """Return the rules of a policy on this host, as nft gets them; blocking, reads `/proc`."""
    resolvers = policy.dns or (RESOLVER,)
    host = addresses(os.getpid())
    rules = ruleset(policy, Surroundings(resolvers=resolvers, host=host, links=policy.subnets))
    note = f"# {RESOLVER} stands for the resolver of the cell's network.\n"
    return ("" if policy.dns or not policy.asks else note) + rules.text.rstrip("\n")


def _entries(entries: Iterable[Destination]) -> str:
    return "; ".join(entry.text for entry in entries)


def _inward(policy: Policy) -> str:
    if policy.base is Preset.PRIVATE:
        denied = ", but what is denied" if policy.deny else ""
        return f"new connections from RFC 1918 and fc00::/7{denied}"
    return "" if policy.ports else "no new connections"


def _published(port: PublishedPort) -> str:
    address = "" if port.address is None else f"{port.address} "
    return f"{port.container}/{port.protocol.value} at {address}{port.host or 'a free port'}"


def _network(policy: Policy) -> str:
    if policy.join is not None:
        return f"{policy.join}, which is there already"
    if not policy.needs_network:
        return "no interface but loopback"
    traits = [
        "of the run's own",
        *map(str, policy.subnets),
        *(["internal"] if policy.internal else []),
        *([] if policy.ipv6 else ["without IPv6"]),
    ]
    return ", ".join(traits)
