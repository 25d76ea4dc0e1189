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
    header_of,
    merged,
    port_set,
    range_sets,
)

GUARDED = "guarded"
"""The sets of addresses that entries of ports alone do not allow, without the version of IP."""

FED = 4096
"""Addresses that the names of entries with the same ports may have at a time."""

_ICMP = {"ip": PROTOCOLS["icmp"], "ip6": PROTOCOLS["ipv6-icmp"]}

PortsByProtocol = tuple[tuple[Protocol, tuple[Span, ...]], ...]


@dataclass(frozen=True, slots=True)
class Group:
    """Entries with the same `ports`; without any they are about every protocol.

    What is denied is denied by way of its addresses that are embedded in IPv6 as well.
    """

    name: str
    ports: PortsByProtocol
    entries: tuple[Destination, ...]
    denies: bool

    @property
    def names(self) -> frozenset[str]:
        """The host names, as `spelled`."""
        return frozenset(spelled(each.name) for each in self.entries if each.name is not None)

    def fed(self, header: str) -> str:
        """Return which set has the addresses of its host names, of a version of IP."""
        return f"{self.name}_names_{header}"

    @property
    def everywhere(self) -> bool:
        """Whether one of its entries has ports alone."""
        return any(each.range is None and each.name is None for each in self.entries)

    @property
    def sets(self) -> Iterator[Set]:
        """The sets that its rules look into."""
        yield from range_sets(self.name, self._ranges())
        if self.names:
            for header, kind in VERSIONS:
                options = (f"size {FED}", "flags timeout")
                yield Set(self.fed(header), kind, None, options)
        for protocol, spans in self.ports:
            if protocol is not Protocol.ICMP:
                yield port_set(f"{self.name}_{protocol}", spans)

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

    def _ranges(self) -> tuple[Range, ...]:
        found = tuple(addresses.plain(each.range) for each in self.entries if each.range)
        return addresses.with_embedded(found) if self.denies else found

    def _places(self, side: str) -> Iterator[tuple[str, str]]:
        headers = {header_of(each) for each in self._ranges()}
        names = self.names
        for header, _ in VERSIONS:
            if self.everywhere and self.denies:
                yield header, ""
                continue
            if self.everywhere:
                yield header, f"{header} {side} != @{GUARDED}_{header} "
            if header in headers:
                yield header, f"{header} {side} @{self.name}_{header} "
            if names:
                yield header, f"{header} {side} @{self.fed(header)} "

    def _port_matches(self, header: str) -> Iterator[str]:
        if not self.ports:
            yield ""
        for protocol, _ in self.ports:
            if protocol is Protocol.ICMP:
                yield f"meta l4proto {_ICMP[header]} "
            else:
                yield f"{protocol} dport @{self.name}_{protocol} "


def groups(kind: str, entries: Iterable[Destination]) -> tuple[Group, ...]:
    """Gather the entries of a list; `kind` is `deny` or `allow`, and begins the groups' names."""
    by_ports: defaultdict[PortsByProtocol, list[Destination]] = defaultdict(list)
    for entry in entries:
        by_ports[_ports(entry)].append(entry)
    return tuple(
        Group(f"{kind}{number}", ports, tuple(members), kind == "deny")
        for number, (ports, members) in enumerate(by_ports.items(), start=1)
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
