"""Ranges of addresses that presets and rules are made of, with the registries they come from."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network

PRIVATE4 = (IPv4Network("10.0.0.0/8"), IPv4Network("172.16.0.0/12"), IPv4Network("192.168.0.0/16"))
"""The private ranges of RFC 1918."""

PRIVATE6 = (IPv6Network("fc00::/7"),)
"""Unique local addresses, RFC 4193."""
