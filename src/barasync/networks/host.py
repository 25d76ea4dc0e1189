"""The addresses of this machine, which a policy may keep containers away from.

Source: `net/ipv4/fib_trie.c` and `net/ipv6/addrconf.c` of the kernel, which write the files.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from barasync.config.policies import Address

_NET = Path("/proc/net")
_DISABLED = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
_LEAF = "|-- "
_LOCAL = "/32 host LOCAL"


def addresses() -> tuple[Address, ...]:
    """Return the addresses of this machine but those of loopback, in order; blocking."""
    found: set[Address] = set(parse_fib_trie(_text("fib_trie")))
    found.update(parse_if_inet6(_text("if_inet6")))
    return tuple(
        sorted(
            (address for address in found if not address.is_loopback),
            key=lambda address: (address.version, int(address)),
        )
    )


def has_ipv6() -> bool:
    """Tell whether a network of this machine can have addresses of IPv6; blocking."""
    try:
        return _DISABLED.read_text().strip() == "0"
    except OSError:
        return False


def parse_fib_trie(text: str) -> tuple[ipaddress.IPv4Address, ...]:
    """Return the addresses of the machine itself, of all its interfaces, in the order they appear.

    A leaf is an address, and the routes to it follow in a line each.
    """
    found: dict[ipaddress.IPv4Address, None] = {}
    leaf = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith(_LEAF):
            leaf = line.removeprefix(_LEAF)
        elif line == _LOCAL:
            found[ipaddress.IPv4Address(leaf)] = None
    return tuple(found)


def parse_if_inet6(text: str) -> tuple[ipaddress.IPv6Address, ...]:
    """Return the addresses, each of which begins a line as 32 hexadecimal digits."""
    numbers = (line.split()[0] for line in text.splitlines() if line.strip())
    return tuple(dict.fromkeys(ipaddress.IPv6Address(int(number, 16)) for number in numbers))


def _text(name: str) -> str:
    try:
        return (_NET / name).read_text(encoding="ascii")
    except FileNotFoundError:
        # A kernel without the protocol.
        return ""
