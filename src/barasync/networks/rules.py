"""The nftables rules of a policy: one atomic transaction for a container's network namespace.

Who decides about a packet that a container sends: the policy's own `deny`, its own `allow`, what
its preset denies, what that allows, and its `default`. An entry of ports alone is about every
address, so that `allow = ["8080/tcp"]` allows private ones with `public` too; but neither it nor
`default = "accept"` opens a cloud's metadata or the host itself (`presets.guarded`).

- Established connections go on, in and out, and ICMP errors about them pass (RFC 1191, RFC 4890,
  section 4.3.1): without "packet too big" large answers would hang.
- IPv6 gets its neighbours, and routers' advertisements, from the link only (hop limit 255, RFC
  4861, section 11.2), and may say what groups it listens to (RFC 3810), for a bridge that snoops.
- Port 53 is that of the network's resolvers alone, where the policy resolves names: what is asked
  of another is neither filtered nor known to the sets of host names.
- What claims to come from an address that is not the container's own is dropped, before anything
  is known of its connection. IPv6 lets every program choose its source (`IPV6_FREEBIND`, which
  takes no capability), and a packet "from" a forbidden host to the container itself would make what
  goes to that host an answer. IPv4 has its sources checked by the kernel.
- Loopback addresses are the container itself, and reached over its loopback interface alone. A
  socket that is bound to another one (`SO_BINDTODEVICE`, which takes no capability since Linux 5.7)
  sends to them there, and a host that publishes ports on its own loopback (`route_localnet`) takes
  that for its own.
- A source route (RFC 791; RFC 8200, section 4.4) is refused: the address that it begins with is
  not where it goes.
- What is refused gets an answer at once. TCP gets a reset: an ICMP error ends a connection over
  IPv6 only a second later, and the kernel sends no more than 1000 a second (measured on Linux
  6.18). The answers come over the loopback interface and are all that it carries in `isolated`.
- Fragments are put together by connection tracking before these rules see them.
- Nothing new comes in, but over the loopback interface, where the sending side has decided already,
  to published ports, and with `private` from its ranges; and from nowhere that is denied whole.
- Refused packets of new connections are counted, all of them and by destination; those
  that knock in vain from outside are not, nor those with a source that is not the container's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from barasync.config.policies import Address, Default, Policy, Preset, Protocol, Range
from barasync.networks import addresses
from barasync.networks.groups import GUARDED, Group, groups
from barasync.networks.listing import difference
from barasync.networks.nftables import (
    PROTOCOLS,
    VERSIONS,
    Chain,
    Set,
    Table,
    merged,
    one_of,
    port_set,
    range_sets,
)
from barasync.networks.presets import base, guarded

TABLE = "barasync"

COUNTED = 1024
"""Refused destinations that are counted for each version of IP, with ports and without."""

_KEPT = 16

_REFUSE = "goto refused"
_ACCEPT = "accept"

_WITH_PORTS = one_of(PROTOCOLS[name] for name in ("tcp", "udp", "dccp", "sctp", "udplite"))
_DNS = f"meta l4proto {one_of((PROTOCOLS['tcp'], PROTOCOLS['udp']))} th dport 53"

_ANSWERS = (
    f"meta l4proto {PROTOCOLS['tcp']} reject with tcp reset",
    "reject with icmpx type admin-prohibited",
)

_SOURCE_ROUTED = (
    f"ip option lsrr exists {_REFUSE}",
    f"ip option ssrr exists {_REFUSE}",
    f"exthdr rt exists {_REFUSE}",
)

_ERRORS = ("destination-unreachable", "time-exceeded", "parameter-problem")

_KNOWN = (
    f"ct state established {_ACCEPT}",
    f"ct state related icmp type {one_of(_ERRORS)} {_ACCEPT}",
    f"ct state related icmpv6 type {one_of((*_ERRORS, 'packet-too-big'))} {_ACCEPT}",
)

_FORGED = "fib saddr type != local drop"

_ASTRAY = (
    f"meta oif != lo ip daddr 127.0.0.0/8 {_REFUSE}",
    f"meta oif != lo ip6 daddr ::1 {_REFUSE}",
)

_NEIGHBOURS = ("nd-neighbor-solicit", "nd-neighbor-advert")

_LINK_OUT = (
    f"icmpv6 type {one_of((*_NEIGHBOURS, 'nd-router-solicit'))} ip6 hoplimit 255 {_ACCEPT}",
    f"icmpv6 type mld2-listener-report ip6 hoplimit 1 {_ACCEPT}",
)

_LINK_IN = (
    f"icmpv6 type {one_of((*_NEIGHBOURS, 'nd-router-advert'))} ip6 hoplimit 255 {_ACCEPT}",
    f"icmpv6 type mld-listener-query ip6 hoplimit 1 {_ACCEPT}",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What of a container's place its rules depend on.

    `resolvers` are the network's, whose port 53 is allowed where `Policy.asks`; `host` the host's
    own addresses; `links` the subnets of the container's networks, where other containers are. With
    `loopback` the loopback interface is allowed whatever the policy's base says, for a cell that
    shares its namespace with services.
    """

    resolvers: tuple[Address, ...] = ()
    host: tuple[Address, ...] = ()
    links: tuple[Range, ...] = ()
    loopback: bool = False


class Ruleset:
    """Rules as `nft -f -` reads them; `verified` is the last listing in which none was missing."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.verified: bytes | None = None

    @cached_property
    def text(self) -> str:
        """One transaction for a namespace without rules; it fails where there are some."""
        return self.table.text

    @property
    def replacement(self) -> str:
        """One transaction for a namespace that may have rules, which it replaces; takes longer."""
        return self.table.replacement


class Rulesets:
    """The rules of policies: one object for all containers of a policy with the same around them.

    The last `_KEPT` are kept.
    """

    def __init__(self) -> None:
        self._made: OrderedDict[tuple[str, Surroundings], Ruleset] = OrderedDict()

    def get(self, policy: Policy, around: Surroundings) -> Ruleset:
        """Return what `ruleset` does; the name of a policy has to be that of no other one."""
        around = replace(around, host=decisive(policy, around.host))
        key = policy.name, around
        if key not in self._made:
            self._made[key] = ruleset(policy, around)
        self._made.move_to_end(key)
        if len(self._made) > _KEPT:
            self._made.popitem(last=False)
        return self._made[key]


def decisive(policy: Policy, host: tuple[Address, ...]) -> tuple[Address, ...]:
    """Return which of the host's addresses the rules of a policy depend on.

    Each container brings the host a link with an address; `public` denies those of all links.
    """
    if _guards(policy):
        return host
    if policy.base is Preset.PUBLIC:
        return tuple(address for address in host if not address.is_link_local)
    return ()


def _guards(policy: Policy) -> bool:
    """Tell whether something is let out that is no preset's, without a word on its address."""
    return policy.default is Default.ACCEPT or any(
        entry.range is None and entry.name is None for entry in policy.allow
    )


def ruleset(policy: Policy, around: Surroundings) -> Ruleset:
    """Return the rules of `policy` for a container with these `around` it."""
    begin = base(policy.base, around.host, around.links)
    deny, allow = groups("deny", policy.deny), groups("allow", policy.allow)
    accepts = policy.default is Default.ACCEPT
    sets = (
        *(each for group in (*deny, *allow) for each in group.sets),
        *range_sets("resolvers", map(addresses.only, around.resolvers if policy.asks else ())),
        *range_sets(GUARDED, guarded(around.host) if _guards(policy) else ()),
        *range_sets("base_deny", begin.deny),
        *range_sets("base_allow", begin.allow),
        *_published(policy),
        *_counters(),
    )
    made = {each.name for each in sets}
    output = (
        *_SOURCE_ROUTED,
        # A reset that refuses has the source of whom the packet was for, and the first report of
        # groups has none.
        f"meta oif lo ct state related {_ACCEPT}",
        *(_LINK_OUT if policy.needs_network and policy.ipv6 else ()),
        _FORGED,
        *_ASTRAY,
        *_KNOWN,
        *(rule for group in deny for rule in group.rules(_REFUSE)),
        *(rule for group in allow for rule in group.rules(_ACCEPT)),
        *_among(made, "daddr", "resolvers", f"{_DNS} {_ACCEPT}"),
        *([f"meta oif != lo {_DNS} {_REFUSE}"] if policy.resolves else ()),
        *([f"meta oif lo {_ACCEPT}"] if around.loopback else ()),
        *_among(made, "daddr", "base_deny", _REFUSE),
        *_among(made, "daddr", "base_allow", _ACCEPT),
        *(_among(made, "daddr", GUARDED, _REFUSE) if accepts else ()),
        _ACCEPT if accepts else _REFUSE,
    )
    chains = (
        Chain("refused", (*_counting(), *_ANSWERS)),
        Chain("output", output, "output"),
        Chain("input", tuple(_input(policy, deny, made)), "input"),
        Chain("forward", (), "forward"),
    )
    return Ruleset(Table(TABLE, sets, chains))


def _unheard(made: Container[str]) -> Iterator[str]:
    """Rules for reports that nobody takes questions for names: who hears of it does not ask again.

    aardvark-dns 1.4 (podman 4.3.1) closes its port for some milliseconds whenever a container of
    any network comes or goes. Clients take the report for an answer, and ask anew what was lost.
    """
    for icmp, (header, _) in zip(("icmp", "icmpv6"), VERSIONS, strict=True):
        report = f"{icmp} type destination-unreachable"
        question = f"ct protocol {PROTOCOLS['udp']} ct original proto-dst 53"
        if f"resolvers_{header}" in made:
            yield f"{header} saddr @resolvers_{header} {report} {question} drop"


def _input(policy: Policy, deny: Iterable[Group], made: Container[str]) -> Iterator[str]:
    yield from _unheard(made)
    yield from _KNOWN
    yield f"meta iif lo {_ACCEPT}"
    if policy.needs_network and policy.ipv6:
        yield from _LINK_IN
    for group in deny:
        if not group.ports:
            yield from group.whole("saddr", "drop")
    for protocol in (Protocol.TCP, Protocol.UDP):
        if f"published_{protocol}" in made:
            yield f"{protocol} dport @published_{protocol} {_ACCEPT}"
    if policy.base is Preset.PRIVATE:
        yield from _among(made, "saddr", "base_deny", "drop")
        yield from _among(made, "saddr", "base_allow", _ACCEPT)


def _among(made: Container[str], side: str, name: str, verdict: str) -> Iterator[str]:
    """Rules for the addresses of the sets of `name`, of those versions of IP that it has."""
    for header, _ in VERSIONS:
        if f"{name}_{header}" in made:
            yield f"{header} {side} @{name}_{header} {verdict}"


def _published(policy: Policy) -> Iterator[Set]:
    for protocol in (Protocol.TCP, Protocol.UDP):
        ports = [port.container for port in policy.ports if port.protocol is protocol]
        if ports:
            yield port_set(f"published_{protocol}", merged((port, port) for port in ports))


def _counters() -> Iterator[Set]:
    counted = (f"size {COUNTED}", "flags dynamic", "counter")
    for header, kind in VERSIONS:
        yield Set(f"refused_{header}", f"{kind} . inet_proto . inet_service", None, counted)
        yield Set(f"refused_other_{header}", f"{kind} . inet_proto", None, counted)


def _counting() -> Iterator[str]:
    yield "ct state new counter"
    # A set that is full ends its rule only, and the packet is answered all the same.
    for header, _ in VERSIONS:
        to = f"{header} daddr . meta l4proto"
        new = "ct state new meta l4proto"
        yield f"{new} {_WITH_PORTS} update @refused_{header} {{ {to} . th dport }}"
        yield f"{new} != {_WITH_PORTS} update @refused_other_{header} {{ {to} }}"


def missing(rules: Ruleset, listing: bytes) -> str | None:
    """Return where the kernel's rules are not `rules`, in a sentence; `None` where all is in place.

    `listing` is what `nft -j list table inet barasync` prints. What packets and resolved names have
    added to sets since the rules were loaded is no difference.
    """
    # It lists the same for each of the containers with the same rules, and takes long to read.
    if listing == rules.verified:
        return None
    found = difference(rules.table, listing)
    if found is None:
        rules.verified = listing
    return found
