"""What a policy refused, in words, and what of a policy would let it through."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from barasync.config.bounds import BadValue
from barasync.config.destinations import parse_entry
from barasync.config.policies import (
    PRESETS,
    Address,
    Default,
    Destination,
    Policy,
    Preset,
    Protocol,
    Range,
)
from barasync.networks import addresses
from barasync.networks.presets import base, guarded
from barasync.networks.refused import Refusal
from barasync.networks.rules import Surroundings

_SHOWN = 3
_DNS = 53
_IPV6 = 6

# What is worth its price. Nobody who has the internet wants to have the cell itself alone.
_OTHERS = {
    Preset.ISOLATED: (Preset.LOCAL, Preset.PRIVATE, Preset.PUBLIC),
    Preset.LOCAL: (Preset.PRIVATE, Preset.PUBLIC),
    Preset.PRIVATE: (Preset.PUBLIC,),
    Preset.PUBLIC: (Preset.PRIVATE,),
}
_PRICES = {
    Preset.PUBLIC: " (without private addresses and loopback)",
    Preset.PRIVATE: " (without the internet)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """How a packet that a policy refused would pass.

    `entry` is one for `allow` of the policy, and `base` another preset for it to begin with: each
    is enough, and `None` where it is none. `why` is what else there is to know.
    """

    entry: str | None = None
    base: Preset | None = None
    why: str | None = None


def refused_line(
    policy: Policy, around: Surroundings, refused: Sequence[Refusal], packets: int
) -> str:
    """Say what `policy` refused a cell, a few of it, and what would let the first through.

    `refused` is not empty, and begins with what matters most; `packets` are those in all, and
    `around` is what the rules were made for.
    """
    shown = ", ".join(
        f"{_destination(each)} ({_packets(each.packets)})" for each in refused[:_SHOWN]
    )
    more = f" and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
    unlisted = packets - sum(each.packets for each in refused)
    if unlisted > 0:
        more += f", and {_packets(unlisted)} to destinations that are not listed"
    found = advice(policy, around, refused[0])
    ways = " or ".join(_ways(policy, found))
    said = (found.why, f"{ways} lets the first through" if ways else None)
    told = "; ".join(filter(None, said)) or "no `allow` can name the first"
    return f"its network '{policy.name}' refused {shown}{more}; {told}"


def advice(policy: Policy, around: Surroundings, refusal: Refusal) -> Advice:
    """Return how what `policy` refused would pass, by the order in which policies decide."""
    address = ipaddress.ip_address(refusal.address)
    for number, entry in enumerate(policy.deny):
        if _is_denied(entry, address, refusal):
            # Which addresses a name had is known to the resolver alone.
            may = "" if entry.name is None else " may have its address and"
            return Advice(
                why=f"entry [{number}] of its `deny`, '{entry.text}',{may} counts before any"
                " `allow`"
            )
    if _lets_out(policy, around, address, refusal):
        if address.is_loopback:
            return Advice(why="its destination is allowed, but by the loopback interface alone")
        return Advice(why="its destination is allowed, but not by a source route (RFC 791)")
    return Advice(
        entry=_entry(policy, address, refusal),
        base=next(
            (
                other
                for other in _OTHERS[policy.base]
                if _can_be_base(policy, other)
                and _lets_out(replace(policy, base=other), around, address, refusal)
            ),
            None,
        ),
        why="port 53 is that of the network's resolver alone"
        if _asks(policy, address, refusal)
        else None,
    )


def _ways(policy: Policy, found: Advice) -> list[str]:
    is_preset = policy.name in PRESETS
    ways: list[str] = []
    if found.base is not None:
        written = f"--network {found.base}" if is_preset else f'base = "{found.base}"'
        ways.append(f"`{written}`{_PRICES.get(found.base, '')}")
    if found.entry is not None:
        table = f' in a table [network.NAME] with `base = "{policy.base}"`' if is_preset else ""
        ways.append(f'`allow = ["{found.entry}"]`{table}')
    return ways


def _packets(number: int) -> str:
    return "1 packet" if number == 1 else f"{number} packets"


def _destination(refusal: Refusal) -> str:
    if refusal.port is not None:
        return f"{refusal.address} {refusal.port}/{refusal.protocol}"
    return f"{refusal.address} {refusal.protocol}"


def _entry(policy: Policy, address: Address, refusal: Refusal) -> str | None:
    """Write the narrowest entry for a destination; of other protocols there are none alone."""
    if address.version == _IPV6 and not policy.ipv6:
        return None
    text = str(address)
    if refusal.protocol == Protocol.ICMP:
        text += " icmp"
    elif refusal.protocol in {Protocol.TCP, Protocol.UDP} and refusal.port:
        text += f" {refusal.port}/{refusal.protocol}"
    try:
        parse_entry(text)
    except BadValue:
        return None
    return text


def _can_be_base(policy: Policy, preset: Preset) -> bool:
    """Whether the configuration takes it with the rest of the policy."""
    return preset is not Preset.PUBLIC or not (policy.internal or policy.default is Default.ACCEPT)


def _lets_out(policy: Policy, around: Surroundings, address: Address, refusal: Refusal) -> bool:
    """Tell whether a policy lets out what its `deny` has nothing against; names open nothing."""
    accepts = policy.default is Default.ACCEPT
    opened = not _is_in(address, guarded(around.host))
    by_dns = refusal.port == _DNS and refusal.protocol in {Protocol.TCP, Protocol.UDP}
    resolver = by_dns and address in around.resolvers and (policy.resolves or accepts)
    if resolver or any(
        entry.name is None
        and (opened or entry.range is not None)
        and _has_port(entry, refusal)
        and _is_in(address, _ranges(entry))
        for entry in policy.allow
    ):
        return True
    if _asks(policy, address, refusal):
        return False
    if around.loopback and address.is_loopback:
        return True
    begin = base(policy.base, around.host, around.links)
    if _is_in(address, begin.deny):
        return False
    return _is_in(address, begin.allow) or (accepts and opened)


def _asks(policy: Policy, address: Address, refusal: Refusal) -> bool:
    """Whether it is a question for a name, where those are for the resolver alone."""
    by_dns = refusal.port == _DNS and refusal.protocol in {Protocol.TCP, Protocol.UDP}
    return policy.resolves and by_dns and not address.is_loopback


def _is_denied(entry: Destination, address: Address, refusal: Refusal) -> bool:
    if not _has_port(entry, refusal):
        return False
    return entry.name is not None or _is_in(address, addresses.with_embedded(_ranges(entry)))


def _has_port(entry: Destination, refusal: Refusal) -> bool:
    return not entry.ports or any(
        ports.protocol == refusal.protocol
        and (refusal.port is None or ports.first <= refusal.port <= ports.last)
        for ports in entry.ports
    )


def _ranges(entry: Destination) -> tuple[Range, ...]:
    return addresses.EVERYTHING if entry.range is None else (addresses.plain(entry.range),)


def _is_in(address: Address, ranges: Iterable[Range]) -> bool:
    return any(address in each for each in ranges)
