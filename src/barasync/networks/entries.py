"""The entries of a policy's `allow` or `deny`, gathered by their ports.

All with the same ports share sets of addresses and of ports, so that a policy of hundreds of
addresses has a handful of rules.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from barasync.config.policies import Destination, Protocol, Range
from barasync.networks import addresses
from barasync.networks.nftables import (
    PROTOCOLS,
    VERSIONS,
    Set,
    Span,
    merged,
    port_set,
    range_sets,
)

FED = 4096
"""Addresses that the names of entries with the same ports may have at a time."""

_ICMP = {"ip": PROTOCOLS["icmp"], "ip6": PROTOCOLS["ipv6-icmp"]}

PortsByProtocol = tuple[tuple[Protocol, tuple[Span, ...]], ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Entries with the same `ports`: addresses, host names in small letters, or `everywhere`.

    Without `ports` they are about every protocol.
    """

    name: str
    ports: PortsByProtocol
    ranges: tuple[Range, ...]
    names: frozenset[str]
    everywhere: bool

    @property
    def sets(self) -> Iterator[Set]:
        """The sets that its rules look into."""
        yield from self._address_sets
        for protocol, spans in self.ports:
            if protocol is not Protocol.ICMP:
                yield port_set(f"{self.name}_{protocol}", spans)

    @property
    def _address_sets(self) -> Iterator[Set]:
        yield from range_sets(self.name, self.ranges)
        if self.names:
            for header, kind in VERSIONS:
                options = (f"size {FED}", "flags timeout")
                yield Set(f"{self.name}_names_{header}", kind, None, options)

    def rules(self, verdict: str) -> list[str]:
        """Rules for packets to its addresses and ports."""
        found = [
            f"{where}{ports}{verdict}"
            for header, where in self._places("daddr")
            for ports in self._port_matches(header)
        ]
        return list(dict.fromkeys(found))

    def whole(self, side: str, verdict: str) -> list[str]:
        """Rules for packets with its addresses on a `side`, `saddr` or `daddr`, whatever ports."""
        return list(dict.fromkeys(f"{where}{verdict}" for _, where in self._places(side)))

    def _places(self, side: str) -> Iterator[tuple[str, str]]:
        made = {each.name for each in self._address_sets}
        for header, _ in VERSIONS:
            if self.everywhere:
                yield header, ""
                continue
            for name in (f"{self.name}_{header}", f"{self.name}_names_{header}"):
                if name in made:
                    yield header, f"{header} {side} @{name} "

    def _port_matches(self, header: str) -> Iterator[str]:
        if not self.ports:
            yield ""
        for protocol, _ in self.ports:
            if protocol is Protocol.ICMP:
                yield f"meta l4proto {_ICMP[header]} "
            else:
                yield f"{protocol} dport @{self.name}_{protocol} "


def groups(kind: str, entries: Iterable[Destination]) -> tuple[Group, ...]:
    """Gather the entries of a list; `kind` is `deny` or `allow`, and begins the groups' names.

    What is denied is denied by way of its addresses that are embedded in IPv6 as well.
    """
    by_ports: defaultdict[PortsByProtocol, list[Destination]] = defaultdict(list)
    for entry in entries:
        by_ports[_ports(entry)].append(entry)
    return tuple(
        _group(f"{kind}{number}", ports, members, denies=kind == "deny")
        for number, (ports, members) in enumerate(by_ports.items(), start=1)
    )


def _group(name: str, ports: PortsByProtocol, members: list[Destination], *, denies: bool) -> Group:
    ranges = [addresses.plain(each.range) for each in members if each.range is not None]
    everywhere = any(each.range is None and each.name is None for each in members)
    return Group(
        name=name,
        ports=ports,
        ranges=addresses.with_embedded(ranges) if denies else tuple(ranges),
        names=frozenset(spelled(each.name) for each in members if each.name is not None),
        everywhere=everywhere,
    )


def spelled(name: str) -> str:
    """Return a host name as all of its spellings are compared: RFC 4343, and without a root."""
    return name.removesuffix(".").lower()


def _ports(entry: Destination) -> PortsByProtocol:
    return tuple(
        (protocol, merged((each.first, each.last) for each in found))
        for protocol in Protocol
        if (found := [each for each in entry.ports if each.protocol is protocol])
    )
