"""The servers that this host asks for names: `/etc/resolv.conf`."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from pathlib import Path

from barasync.config.policies import Address

RESOLV_CONF = Path("/etc/resolv.conf")

_MOST_SERVERS = 3  # MAXNS: the C library passes over the rest as well
_READ_BYTES = 65536
_ITSELF = ipaddress.IPv4Address("127.0.0.1")


def servers(text: str) -> tuple[Address, ...]:
    """Return the servers that a `resolv.conf` names, in its order, once each, at most three.

    A file that names none means the host itself. What is no address is passed over, as the C
    library does.

    Source: resolv.conf(5).
    """
    found = tuple(dict.fromkeys(_addresses(text)))
    return found[:_MOST_SERVERS] or (_ITSELF,)


def _addresses(text: str) -> Iterator[Address]:
    for line in text.splitlines():
        match line.split():
            case ["nameserver", address, *_]:
                try:
                    yield ipaddress.ip_address(address)
                except ValueError:
                    continue


def host_servers(path: Path = RESOLV_CONF) -> tuple[Address, ...]:
    """Return the servers of this host; a file that is not there names none. Blocks."""
    try:
        with path.open("rb") as file:
            content = file.read(_READ_BYTES)
    except FileNotFoundError:
        content = b""
    return servers(content.decode(errors="replace"))
