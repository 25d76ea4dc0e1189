"""The addresses of the host of containers, which a policy may keep them away from.

They are those of the network namespace of the podman service, which need not be that of this
process: with the host's PID namespace and socket, barasync may run in a container itself.

Source: `net/ipv4/fib_trie.c` and `net/ipv6/addrconf.c` of the kernel, which write the files.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from barasync.config.policies import Address
from barasync.errors import EngineUnavailable

_PROC = Path("/proc")
_DISABLED = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
_LEAF = "|-- "
_LOCAL = "/32 host LOCAL"


class HostUnknown(EngineUnavailable):
    """The addresses of the host cannot be told, so that no policy can keep a container from it."""


def addresses(process: int) -> tuple[Address, ...]:
    """Return the host's addresses but those of loopback, in order; blocking, two small files.

    `process` is one in the network namespace of the host: that of the podman service, or 1.

    Raises:
        HostUnknown: there is no such process to be seen from here, or its addresses are not.
    """
    net = _PROC / str(process) / "net"
    try:
        net.stat()
        found: set[Address] = set(parse_fib_trie(_text(net / "fib_trie")))
        found.update(parse_if_inet6(_text(net / "if_inet6")))
    except OSError as error:
        raise HostUnknown(
            f"the addresses of the host cannot be told: {net}: {error.strerror}",
            hint="/proc has to show the processes of root (mount option `hidepid`)",
        ) from error
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


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        # A kernel without the protocol.
        return ""
