"""What a policy refused, as the counters of its rules tell.

The rules count refused packets in sets of at most 1024 destinations each (`rules.py`),
whatever a container does: of further ones the kernel knows only that they are in the total.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

from barasync.config.policies import Protocol
from barasync.networks.listing import ListingError, entries
from barasync.networks.nftables import PROTOCOLS

REPORTED = 100
"""Refusals that are reported; a longer list helps nobody."""


_NAMES: dict[object, str] = {number: name for name, number in PROTOCOLS.items()}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Packets that were not let out: to where, how, and how many.

    `protocol` is as policies name it, any other as nft does, or its number. `port` is `None` for a
    protocol without ports.
    """

    address: str
    protocol: str
    port: int | None
    packets: int


def refusals(listing: bytes) -> tuple[Refusal, ...]:
    """Return what was refused by `listing`, most packets first, at most `REPORTED` of them.

    `listing` is what `nft -j list table inet barasync` prints.

    Raises `ListingError`.
    """
    counted = (each for each in entries(listing, "set") if _is_counted(each))
    found = (_refusal(element) for each in counted for element in each.get("elem", ()))
    return tuple(heapq.nsmallest(REPORTED, found, key=_rank))


def refused_packets(listing: bytes) -> int:
    """Return how many packets of new connections were refused by `listing`, wherever they went.

    Raises `ListingError`.
    """
    return sum(
        packets
        for rule in entries(listing, "rule")
        if rule.get("chain") == "refused"
        for packets in map(_packets, rule.get("expr", ()))
    )


def _packets(statement: Any) -> int:
    match statement:
        case {"counter": {"packets": int(packets)}}:
            return packets
        case _:
            return 0


def _is_counted(listed: dict[str, Any]) -> bool:
    return str(listed.get("name")).startswith("refused_")


def _refusal(listed: Any) -> Refusal:
    match listed:
        case {
            "elem": {
                "val": {"concat": [str(address), str() | int() as protocol, *ports]},
                "counter": {"packets": int(packets)},
            }
        } if all(isinstance(port, int) for port in ports):
            return Refusal(address, _protocol(protocol), ports[0] if ports else None, packets)
        case _:
            raise ListingError(f"nft listed refused packets in words that are unknown: {listed}")


def _protocol(listed: str | int) -> str:
    name = _NAMES.get(listed, str(listed))
    return Protocol.ICMP if name == "ipv6-icmp" else name


def _rank(refusal: Refusal) -> tuple[int, str, str, int]:
    return -refusal.packets, refusal.address, refusal.protocol, refusal.port or 0
