"""What a cell's network did not let out, in words, and what would let it."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from barasync.config.bounds import BadValue
from barasync.config.destinations import parse_name
from barasync.networks.asked import RefusedName
from barasync.networks.refused import Refusal
from barasync.report.words import count

_SHOWN = 3
_PRIVATE = tuple(
    map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"))
)
# Nothing is there, but whoever means them means the internet.
_DOCUMENTATION = tuple(
    map(
        ipaddress.ip_network,
        ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"),
    )
)


def refused_line(refused: Sequence[Refusal], packets: int) -> str:
    """Say what was refused, a few of it, and which entry or base of a policy allows the first.

    `refused` is not empty, and begins with what matters most; `packets` are those in all.
    """
    shown = ", ".join(
        f"{_destination(each)} ({count(each.packets, 'packet')})" for each in refused[:_SHOWN]
    )
    more = f" and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
    unlisted = packets - sum(each.packets for each in refused)
    if unlisted > 0:
        more += f", and {count(unlisted, 'packet')} to destinations that are not listed"
    first = refused[0]
    preset = _preset(first.address)
    base = "" if preset is None else f", or the base '{preset}',"
    return (
        f'refused {shown}{more}; `allow = ["{_destination(first)}"]`{base} lets the first through'
    )


def _destination(refusal: Refusal) -> str:
    """Write a destination as an entry of `allow` has it."""
    if refusal.port is not None:
        return f"{refusal.address} {refusal.port}/{refusal.protocol}"
    return f"{refusal.address} {refusal.protocol}"


def _preset(address: str) -> str | None:
    """Name the preset that reaches an address, if one does."""
    destination = ipaddress.ip_address(address)
    if destination.is_loopback:
        return "local"
    if any(destination in each for each in _PRIVATE):
        return "private"
    if destination.is_multicast:
        return None
    documentation = any(destination in each for each in _DOCUMENTATION)
    return "public" if destination.is_global or documentation else None


def refused_names_line(refused: Sequence[RefusedName]) -> str:
    """Say which names were refused, a few of them, and which entry of a policy allows the first.

    `refused` is not empty, and begins with what matters most.
    """
    shown = ", ".join(
        f"{each.name} ({count(each.questions, 'question')})" for each in refused[:_SHOWN]
    )
    more = f" and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
    named = next((each.name for each in refused if _may_be_an_entry(each.name)), None)
    advice = "" if named is None else f'; `allow = ["{named}"]` lets it know and reach {named}'
    return f"refused the names {shown}{more}{advice}"


def _may_be_an_entry(name: str) -> bool:
    try:
        return "." in parse_name(name)
    except BadValue:
        return False
