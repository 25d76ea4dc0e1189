"""Ranges of addresses that a configuration is measured by."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

from barasync.config.policies import Range

PRIVATE = (
    IPv4Network("10.0.0.0/8"),  # RFC 1918, with the next two
    IPv4Network("172.16.0.0/12"),
    IPv4Network("192.168.0.0/16"),
    IPv6Network("fc00::/7"),  # unique local, RFC 4193
)

MAPPED = IPv6Network("::ffff:0:0/96")
"""IPv4 addresses as those of IPv6, RFC 4291, section 2.5.5.2."""


def overlap(one: Range, other: Range) -> bool:
    """Tell whether some address is in both."""
    return one.version == other.version and one.overlaps(other)
