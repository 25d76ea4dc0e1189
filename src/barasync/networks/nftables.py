"""A table of nftables, and how nft reads it: nft(8).

Only what nft reads since 1.0.2 (Ubuntu 22.04) is used. Rules are spelled as `listing.py` spells
what the kernel has, so that the two can be compared.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from barasync.config.policies import Address, Range

PROTOCOLS = {
    "icmp": 1,
    "tcp": 6,
    "udp": 17,
    "dccp": 33,
    "ipv6-icmp": 58,
    "sctp": 132,
    "udplite": 136,
}
"""The protocols that are told by name, https://www.iana.org/assignments/protocol-numbers."""

VERSIONS = (("ip", "ipv4_addr"), ("ip6", "ipv6_addr"))
"""The versions of IP: nft's names of their headers, which end the names of sets, and addresses."""

Span = tuple[int, int]
"""Addresses or ports as numbers, from the first to the last."""


@dataclass(frozen=True, slots=True)
class Set:
    """A set of `kind`, such as `ipv4_addr`; `spans` are its elements, disjoint and in order.

    `spans` are `None` where packets or a resolver of names fill it, and the `options` say how.
    """

    name: str
    kind: str
    spans: tuple[Span, ...] | None
    options: tuple[str, ...] = ("flags interval", "auto-merge")

    @property
    def text(self) -> str:
        """How nft reads it."""
        lines = [f"type {self.kind}", *self.options]
        if self.spans is not None:
            elements = (_element(self.kind, *span) for span in self.spans)
            lines.append(f"elements = {{ {', '.join(elements)} }}")
        return _block(f"set {self.name}", lines)


@dataclass(frozen=True, slots=True)
class Chain:
    """Rules in order; with a `hook` those of all packets there, which are dropped at the end."""

    name: str
    rules: tuple[str, ...]
    hook: str | None = None

    @property
    def head(self) -> str | None:
        """What makes it a chain of its hook, `None` for one that others go to."""
        if self.hook is None:
            return None
        return f"type filter hook {self.hook} priority 0; policy drop;"

    @property
    def text(self) -> str:
        """How nft reads it."""
        return _block(f"chain {self.name}", [*([self.head] if self.head else []), *self.rules])


@dataclass(frozen=True, slots=True)
class Table:
    """A table of family inet."""

    name: str
    sets: tuple[Set, ...]
    chains: tuple[Chain, ...]

    @property
    def text(self) -> str:
        """One transaction, which fails where there is a table of that name."""
        blocks = "".join([*(each.text for each in self.sets), *(each.text for each in self.chains)])
        return f"create table inet {self.name}\ntable inet {self.name} {{\n{blocks}}}\n"

    @property
    def replacement(self) -> str:
        """One transaction, which takes the place of a table of that name if there is one.

        That takes 15 ms in place of 5, measured with Linux 6.18, even where there was none: the
        kernel waits before it frees what is deleted.
        """
        # To delete what is not there fails; `destroy` is not known before nft 1.0.7.
        return f"table inet {self.name}\ndelete table inet {self.name}\n{self.text}"


def _block(head: str, lines: Iterable[str]) -> str:
    return f"\t{head} {{\n" + "".join(f"\t\t{line}\n" for line in lines) + "\t}\n"


def range_sets(name: str, ranges: Iterable[Range]) -> Iterator[Set]:
    """Make sets of ranges, `name_ip` and `name_ip6`, for the versions of IP that there are."""
    every = list(ranges)
    for header, kind in VERSIONS:
        spans = merged(
            (int(each.network_address), int(each.broadcast_address))
            for each in every
            if header_of(each) == header
        )
        if spans:
            yield Set(f"{name}_{header}", kind, spans)


def header_of(address: Address | Range) -> str:
    """Return nft's name of the header that has such addresses."""
    return {4: "ip", 6: "ip6"}[address.version]


def port_set(name: str, spans: tuple[Span, ...]) -> Set:
    """Make a set of ports."""
    return Set(name, "inet_service", spans)


def merged(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the fewest spans with the same numbers, in order."""
    joined: list[Span] = []
    for first, last in sorted(spans):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return tuple(joined)


def _element(kind: str, first: int, last: int) -> str:
    if kind == "inet_service":
        return str(first) if first == last else f"{first}-{last}"
    address = ipaddress.IPv4Address if kind == "ipv4_addr" else ipaddress.IPv6Address
    low, high = address(first), address(last)
    if low == high:
        return str(low)
    # Only those of the same version are given.
    blocks = list(ipaddress.summarize_address_range(low, high))
    return str(blocks[0]) if len(blocks) == 1 else f"{low}-{high}"


def one_of(values: Iterable[str | int]) -> str:
    """Return how nft spells that something is any of the values."""
    spelled = sorted(values, key=lambda value: (isinstance(value, str), value))
    if len(spelled) == 1:
        return str(spelled[0])
    return f"{{ {', '.join(str(value) for value in spelled)} }}"
