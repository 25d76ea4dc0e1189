"""What a policy refused, as the counters of its rules tell.

With `log`, the rules count refused packets in sets of at most 1024 destinations each, whatever a
container does; the kernel keeps no further ones. Those that have ports are keyed by address,
protocol and port, the others by address and protocol (`rules.py`).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import msgspec

REPORTED = 100
"""Refusals that are reported; a longer list helps nobody."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Packets that were not let out: to where, how, and how many.

    `protocol` is nft's name of it, or its number where it has none. `port` is `None` for a protocol
    without ports.
    """

    address: str
    protocol: str
    port: int | None
    packets: int


class _Counter(msgspec.Struct):
    packets: int


class _Key(msgspec.Struct):
    concat: tuple[str | int, ...]


class _Element(msgspec.Struct):
    val: _Key
    counter: _Counter


class _Counted(msgspec.Struct):
    elem: _Element


class _Set(msgspec.Struct):
    name: str
    elem: list[msgspec.Raw] = []


class _Entry(msgspec.Struct):
    set: _Set | None = None


class _Listing(msgspec.Struct):
    nftables: list[_Entry]


def refusals(listing: bytes) -> tuple[Refusal, ...]:
    """Return what was refused by `listing`, most packets first, at most `REPORTED` of them.

    `listing` is what `nft -j list table inet barasync` prints. Without `log` there is nothing.

    Raises `msgspec.DecodeError` for what nft does not print.
    """
    entries = msgspec.json.decode(listing, type=_Listing).nftables
    found = (
        _refusal(msgspec.json.decode(element, type=_Counted).elem)
        for entry in entries
        if entry.set is not None and entry.set.name.startswith("refused")
        for element in entry.set.elem
    )
    return tuple(heapq.nsmallest(REPORTED, found, key=_rank))


def _refusal(element: _Element) -> Refusal:
    address, protocol, *port = element.val.concat
    return Refusal(
        address=str(address),
        protocol=str(protocol),
        port=int(port[0]) if port else None,
        packets=element.counter.packets,
    )


def _rank(refusal: Refusal) -> tuple[int, str, str, int]:
    return -refusal.packets, refusal.address, refusal.protocol, refusal.port or 0
