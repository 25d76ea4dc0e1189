"""What a policy says about a packet, without rules and sets, and policies and packets by chance.

Who decides first is said here anew. The addresses of the presets and the guarded ones are those of
`barasync.networks.presets`: whether they are right is told by `contract/test_network_presets.py`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from hypothesis import strategies as st

from barasync.config.policies import (
    Address,
    Default,
    Destination,
    Policy,
    Ports,
    Preset,
    Protocol,
    Range,
)
from barasync.networks.presets import base, guarded
from barasync.networks.rules import Surroundings
from tests.network_policies import AROUND

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

ADDRESSES: tuple[Address, ...] = tuple(
    ipaddress.ip_address(text)
    for text in (
        *("10.89.0.1", "10.1.2.3", "172.16.9.9", "192.168.7.7", "127.0.0.1", "169.254.169.254"),
        *("100.64.0.1", "168.63.129.16", "198.51.100.9", "203.0.113.50", "203.0.113.51"),
        *("fd00:1::1", "fd00:9::9", "fd00:ec2::254", "::1", "2001:db8::9", "2001:db8:5::1"),
        *("64:ff9b::a01:203", "64:ff9b::c633:6409", "2002:a01:203::1", "2002:c633:6409::1"),
        *("192.0.0.192", "203.0.113.130", "2001:db8:6::9", "2001:db8:5::2"),
        *("64:ff9b::cb00:7132", "64:ff9b:1::a01:203"),
    )
)
PORTS = (22, 53, 80, 443, 8080)


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection; no port where it has none.

    One that is `forged` claims to come from an address that is not the container's, and one that is
    `bound` leaves by the interface of its network, whatever its address.
    """

    address: Address
    protocol: Protocol
    port: int
    forged: bool = False
    bound: bool = False

    @property
    def over_loopback(self) -> bool:
        return self.address.is_loopback and not self.bound

    @property
    def astray(self) -> bool:
        """Whether it leaves, although its address is the container itself."""
        return self.address.is_loopback and self.bound


Known = Mapping[str, Collection[Address]]
"""The addresses that a resolver has told for each name, in small letters without a root."""


def may_go(policy: Policy, around: Surroundings, packet: Packet, known: Known) -> bool:
    """Say whether a container may send it: the first who decides, in the order of the policies."""
    begin = base(policy.base, around.host, around.links)
    asks = packet.port == 53 and packet.protocol in {Protocol.TCP, Protocol.UDP}
    refused = packet.forged or packet.astray
    if refused or any(_meets(entry, packet, known, denies=True) for entry in policy.deny):
        return False
    opened = not _within(packet.address, guarded(around.host))
    accepts = policy.default is Default.ACCEPT
    resolver = asks and packet.address in around.resolvers and (policy.resolves or accepts)
    if resolver or any(
        _meets(entry, packet, known, denies=False) and (opened or entry.range or entry.name)
        for entry in policy.allow
    ):
        return True
    if policy.resolves and asks and not packet.over_loopback:
        return False
    if around.loopback and packet.over_loopback:
        return True
    if _within(packet.address, begin.deny):
        return False
    return _within(packet.address, begin.allow) or (accepts and opened)


def may_come(policy: Policy, packet: Packet, known: Known) -> bool:
    """Say whether a container takes it, from its address to its port, over no loopback."""
    if any(not entry.ports and _meets(entry, packet, known, denies=True) for entry in policy.deny):
        return False
    if any(
        (port.protocol, port.container) == (packet.protocol, packet.port) for port in policy.ports
    ):
        return True
    begin = base(policy.base, ())
    return (
        policy.base is Preset.PRIVATE
        and not _within(packet.address, begin.deny)
        and _within(packet.address, begin.allow)
    )


def _meets(entry: Destination, packet: Packet, known: Known, *, denies: bool) -> bool:
    if entry.ports and not any(
        ports.protocol is packet.protocol
        and (packet.protocol is Protocol.ICMP or ports.first <= packet.port <= ports.last)
        for ports in entry.ports
    ):
        return False
    if entry.name is not None:
        return packet.address in known.get(entry.name, ())
    meant = [packet.address, *(_hidden(packet.address) if denies else ())]
    return entry.range is None or any(each in _real(entry.range) for each in meant)


def _hidden(address: Address) -> list[IPv4Address]:
    """The IPv4 address that a translator or relay makes of one of IPv6."""
    if not isinstance(address, IPv6Address):
        return []
    if address in NAT64:
        return [IPv4Address(int(address) & 0xFFFFFFFF)]
    return [address.sixtofour] if address.sixtofour is not None else []


def _real(given: Range) -> Range:
    mapped = getattr(given.network_address, "ipv4_mapped", None)
    if mapped is None or given.prefixlen < 96:
        return given
    return ipaddress.ip_network((int(mapped), given.prefixlen - 96))


def _within(address: Address, ranges: Collection[Range]) -> bool:
    return any(address in each for each in ranges)


def _range(address: Address, bits: int) -> Range:
    length = max(0, address.max_prefixlen - bits)
    return ipaddress.ip_network((int(address), length), strict=False)


def _mapped(given: Range) -> Range:
    if given.version == 6:
        return given
    text = f"::ffff:{given.network_address}/{96 + given.prefixlen}"
    return ipaddress.ip_network(text)


addresses = st.sampled_from(ADDRESSES)
packets = st.builds(
    lambda address, protocol, port, forged, bound: Packet(
        address,
        protocol,
        0 if protocol is Protocol.ICMP else port,
        # The kernel sends no such packet of version 4.
        forged and address.version == 6,
        bound,
    ),
    addresses,
    st.sampled_from(Protocol),
    st.sampled_from(PORTS),
    st.booleans(),
    st.booleans(),
)
ranges = st.builds(_range, addresses, st.sampled_from([0, 0, 4, 8, 16, 24, 96, 128]))
any_ranges = st.one_of(ranges, ranges.map(_mapped))
_spans = st.tuples(st.sampled_from(PORTS), st.sampled_from(PORTS)).map(sorted)
ports = st.one_of(
    st.just(Ports(Protocol.ICMP)),
    st.builds(
        lambda protocol, span: Ports(protocol, *span),
        st.sampled_from([Protocol.TCP, Protocol.UDP]),
        _spans,
    ),
)
NAMES = ("one.example", "two.example")
_port_lists = st.lists(ports, max_size=3).map(tuple)
_unnamed = st.one_of(
    st.builds(Destination, st.just("range"), range=any_ranges, ports=_port_lists),
    st.builds(
        Destination, st.just("ports"), ports=st.lists(ports, min_size=1, max_size=3).map(tuple)
    ),
)
_named = st.builds(Destination, st.just("name"), name=st.sampled_from(NAMES), ports=_port_lists)
policies = st.builds(
    Policy,
    name=st.just("any"),
    base=st.sampled_from(Preset),
    allow=st.lists(st.one_of(_unnamed, _named), max_size=3).map(tuple),
    deny=st.lists(_unnamed, max_size=3).map(tuple),
    default=st.sampled_from(Default),
    log=st.booleans(),
)
surroundings = st.sampled_from(
    [AROUND, Surroundings(), Surroundings(loopback=True, host=AROUND.host)]
)
known_names = st.dictionaries(st.sampled_from(NAMES), st.sets(addresses, max_size=3))
