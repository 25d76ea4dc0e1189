"""Ranges of addresses that presets are made of, with the registries that they come from.

What is reachable from everywhere is read off the registries of IANA, as of November 2026:
https://www.iana.org/assignments/iana-ipv4-special-registry (RFC 6890),
https://www.iana.org/assignments/iana-ipv6-special-registry and
https://www.iana.org/assignments/ipv6-address-space (RFC 4291).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from barasync.config.policies import Address, Range
from barasync.config.ranges import MAPPED, PRIVATE

EVERYTHING = (IPv4Network("0.0.0.0/0"), IPv6Network("::/0"))

LOOPBACK = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
"""The container itself: RFC 1122, section 3.2.1.3, and RFC 4291, section 2.5.3."""

METADATA = (
    IPv4Network("169.254.0.0/16"),  # link-local, RFC 3927: of AWS, Google, Azure and most others
    IPv4Network("168.63.129.16/32"),  # Azure's WireServer, an address that looks public
    IPv4Network("100.100.100.200/32"),  # Alibaba
    IPv4Network("192.0.0.192/32"),  # Oracle
    IPv6Network("fd00:ec2::/32"),  # AWS: metadata, credentials, names and time
    IPv6Network("fd20:ce::254/128"),  # Google
    IPv6Network("fd00:c1::a9fe:a9fe/128"),  # Oracle
    IPv6Network("fd00:a9fe:a9fe::1/128"),  # Akamai
    IPv6Network("fd00:42::42/128"),  # Scaleway
    IPv6Network("fe80::a9fe:a9fe/128"),  # OpenStack
)
"""Where clouds give credentials to whoever asks from inside of a machine; from their manuals."""

_NOT_GLOBAL4 = (
    IPv4Network("0.0.0.0/8"),  # "this network", RFC 791
    IPv4Network("100.64.0.0/10"),  # shared by carriers' NAT, RFC 6598
    IPv4Network("192.0.0.0/24"),  # protocol assignments, RFC 6890, its anycast addresses included
    IPv4Network("192.88.99.0/24"),  # relays of 6to4, RFC 7526
    IPv4Network("198.18.0.0/15"),  # benchmarks, RFC 2544
    IPv4Network("224.0.0.0/4"),  # multicast, RFC 1112
    IPv4Network("240.0.0.0/4"),  # reserved, RFC 1112, and the broadcast address
)

# Of version 6 only 2000::/3 is assigned as global unicast. Outside of it are the unspecified,
# loopback, mapped, link-local, site-local, unique local and multicast addresses, and reserved ones.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: an IPv4 address in the last 32 bits
NAT64_OF_A_SITE = IPv6Network("64:ff9b:1::/48")
"""For a site's own translators, RFC 8215: where an IPv4 address is in it, only the site knows."""

_6TO4 = IPv6Network("2002::/16")  # RFC 3056: an IPv4 address in the next 32 bits

_NOT_GLOBAL6 = (
    *IPv6Network("::/0").address_exclude(_GLOBAL_UNICAST),
    IPv6Network("2001::/23"),  # protocol assignments, RFC 2928: Teredo, benchmarks, ORCHID, anycast
    IPv6Network("3fff::/20"),  # documentation, RFC 9637
)


def plain(given: Range) -> Range:
    """Return an IPv4-mapped range as the IPv4 range that it is, any other as it was given.

    Linux sends IPv4 packets for a connection to a mapped address.
    """
    if isinstance(given, IPv4Network) or not given.subnet_of(MAPPED):
        return given
    low = int(given.network_address) & 0xFFFFFFFF
    return IPv4Network((low, given.prefixlen - MAPPED.prefixlen))


def only(address: Address) -> Range:
    """Return the range of one address."""
    return plain(ipaddress.ip_network(address))


def with_embedded(ranges: Iterable[Range]) -> tuple[Range, ...]:
    """Return the ranges, and those of IPv6 by which translators and relays reach IPv4 ones of them.

    Whoever denies a range means its hosts, so a NAT64 (RFC 6052) or 6to4 (RFC 3056) may be no way
    around.
    """
    every = [plain(each) for each in ranges]
    version4 = [each for each in every if isinstance(each, IPv4Network)]
    translated = [_embedded(each, _NAT64) for each in version4]
    relayed = [_embedded(each, _6TO4) for each in version4]
    return (*every, *translated, *relayed)


def reached(address: Address) -> tuple[Address, ...]:
    """Return what a packet to `address` may reach: that, and the address of IPv4 embedded in it.

    They are of ranges that `with_embedded` makes of others exactly where `address` is.
    """
    if isinstance(address, IPv4Address):
        return (address,)
    if address.ipv4_mapped is not None:
        return (address.ipv4_mapped,)
    if address in _NAT64:
        return (address, IPv4Address(int(address) & 0xFFFFFFFF))
    return (address,) if address.sixtofour is None else (address, address.sixtofour)


def _embedded(given: IPv4Network, prefix: IPv6Network) -> IPv6Network:
    shift = 128 - 32 - prefix.prefixlen
    base = int(prefix.network_address) | int(given.network_address) << shift
    return IPv6Network((base, prefix.prefixlen + given.prefixlen))


def _without(ranges: Iterable[IPv6Network], hole: IPv6Network) -> Iterable[IPv6Network]:
    for each in ranges:
        if hole.subnet_of(each):
            yield from each.address_exclude(hole)
        else:
            yield each


NOT_GLOBAL = (
    # A NAT64 translates for public addresses too; what it must not reach is embedded.
    *_without(_NOT_GLOBAL6, _NAT64),
    *with_embedded((*LOOPBACK, *PRIVATE, *METADATA, *_NOT_GLOBAL4)),
)
"""What is not to be reached from everywhere, metadata addresses and what embeds any of it.

The ranges for documentation 192.0.2.0/24, 198.51.100.0/24, 203.0.113.0/24 (RFC 5737) and
2001:db8::/32 (RFC 3849) are not among them: nobody is there, except in tests of networks.
"""

_NEVER_NAMED = (
    *LOOPBACK,
    *METADATA,
    IPv4Network("0.0.0.0/8"),
    IPv4Network("224.0.0.0/3"),
    NAT64_OF_A_SITE,
    IPv6Network("::/128"),
    IPv6Network("fe80::/10"),
    IPv6Network("ff00::/8"),
)


def may_be_named(address: Address) -> bool:
    """Say whether a name that is allowed may open its `address`.

    Whoever owns the name chooses the address, and may choose one of the container itself, of its
    link, or a cloud's metadata.
    """
    return not any(one in each for one in reached(address) for each in _NEVER_NAMED)
