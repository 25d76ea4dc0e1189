"""The addresses of the host of containers, which a policy may keep them away from.

They are those of the network namespace of the podman service, which need not be that of this
process: with the host's PID namespace and socket, barasync may run in a container itself.

Whoever listens on all addresses of a host hears datagrams to more than those that it has been
given: to the broadcast addresses of its networks, whichever way they come, and where it forwards
IPv6, as podman has it do, to the first address of each prefix, which is that of all routers there
(RFC 4291, section 2.6.1).

Source: `net/ipv4/fib_trie.c`, `net/ipv6/addrconf.c` and `net/ipv6/anycast.c` of the kernel, which
write the files; what is heard was measured on Linux 6.18.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path

from barasync.aiopodman.service_threads import thread_at_home
from barasync.config.policies import Address
from barasync.errors import EngineUnavailable

_PROC = Path("/proc")
_DISABLED = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
_LEAF = "|-- "
_OWN = frozenset({"/32 host LOCAL", "/32 link BROADCAST"})


class HostUnknown(EngineUnavailable):
    """The addresses of the host cannot be told, so that no policy can keep a container from it."""


def addresses(process: int) -> tuple[Address, ...]:
    """Return what the host hears but on loopback, in order; blocking, three small files.

    `process` is one in the network namespace of the host: that of the podman service, or 1.

    Raises:
        HostUnknown: there is no such process to be seen from here, or its addresses are not.
    """
    return addresses_of_thread(thread_at_home(process, "net", proc=_PROC))


def addresses_of_thread(thread: int) -> tuple[Address, ...]:
    """Return what `addresses` does, of the network namespace that one thread is in; blocking.

    Raises:
        HostUnknown: as `addresses`.
    """
    net = _PROC / str(thread) / "net"
    try:
        net.stat()
        found: set[Address] = set(parse_fib_trie(_text(net / "fib_trie")))
        found.update(parse_if_inet6(_text(net / "if_inet6")))
        found.update(parse_anycast6(_text(net / "anycast6")))
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
    """Return the addresses of the machine itself and of all on its networks, as they appear.

    A leaf is an address, and the routes to it follow in a line each.
    """
    found: dict[ipaddress.IPv4Address, None] = {}
    leaf = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith(_LEAF):
            leaf = line.removeprefix(_LEAF)
        elif line in _OWN:
            found[ipaddress.IPv4Address(leaf)] = None
    return tuple(found)


def parse_if_inet6(text: str) -> tuple[ipaddress.IPv6Address, ...]:
    """Return the addresses, each of which begins a line as 32 hexadecimal digits."""
    return _column(text, 0)


def parse_anycast6(text: str) -> tuple[ipaddress.IPv6Address, ...]:
    """Return the addresses that the machine hears as one of several, the third word of each line.

    The first is the number of an interface, the second its name.
    """
    return _column(text, 2)


def _column(text: str, number: int) -> tuple[ipaddress.IPv6Address, ...]:
    words = (line.split()[number] for line in text.splitlines() if line.strip())
    return tuple(dict.fromkeys(ipaddress.IPv6Address(int(word, 16)) for word in words))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except FileNotFoundError:
        # A kernel without the protocol.
        return ""
