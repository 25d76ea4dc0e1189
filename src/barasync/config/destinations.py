"""What an entry of `allow` and `deny` means: a destination, ports, or both."""

from __future__ import annotations

import ipaddress
import re
from itertools import combinations

from barasync.config.bounds import BadValue
from barasync.config.policies import PRESETS, Address, Destination, Ports, Protocol, Range
from barasync.config.ranges import MAPPED
from barasync.config.spelling import did_you_mean

_FORMS = (
    "an entry reads '10.0.0.0/8', '443/tcp', 'icmp' or 'registry.example.org 443/tcp 8000-8100/udp'"
)
_SPACES = "an entry is a text of its own, and what it says is separated by spaces"
_LABELS = "labels of up to 63 letters, digits and '-', with dots between them (RFC 1123)"
_LAST_PORT = 65535
_LONGEST_NAME = 253
_WITH_PORTS = (Protocol.TCP.value, Protocol.UDP.value)
# What begins like this is meant as ports, and is a range of addresses only with a prefix's digits.
_LIKE_PORTS = re.compile(r"icmp|[0-9]+(?:-[0-9]*)?(?:/(?![0-9]).*)?")
_LIKE_ADDRESS = re.compile(r"[0-9.*-]*[0-9.-]|.*[:/].*")
_NUMBERS = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_WITH_PORT = re.compile(r"\[?(.+?)\]?:([0-9]+)(?:/(tcp|udp))?")
_SHORT_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){0,2}")
_WORDS = {
    "all": "0.0.0.0/0' and '::/0",
    "any": "0.0.0.0/0' and '::/0",
    "dns": "53/udp",
    "http": "80/tcp",
    "https": "443/tcp",
    "icmpv6": "icmp",
    "localhost": "127.0.0.0/8' and '::1",
    "ping": "icmp",
    "ssh": "22/tcp",
    "tcp": "1-65535/tcp",
    "udp": "1-65535/udp",
}
"""Words that are meant as something else than a host's name."""


def parse_entry(text: str) -> Destination:
    """Return what an entry of `allow` or `deny` is about.

    Raises:
        BadValue: it is no entry; the hint says what was probably meant.
    """
    words = text.lower().split()
    if not words:
        raise BadValue("the entry is empty", hint=_FORMS)
    has_place = _LIKE_PORTS.fullmatch(words[0]) is None
    try:
        ports = _all_ports(words[1:] if has_place else words)
        if not has_place:
            return Destination(text, ports=ports)
        if _LIKE_ADDRESS.fullmatch(words[0]):
            return Destination(text, range=parse_range(words[0]), ports=ports)
        return Destination(text, name=_full_name(words[0]), ports=ports)
    except BadValue as error:
        within = "" if str(error).startswith(repr(text.lower())) else f"{text!r}: "
        raise BadValue(f"{within}{error}", hint=error.hint or _FORMS) from None


def parse_range(text: str) -> Range:
    """Return the network, or the address as one, that `text` is.

    Raises:
        BadValue: it is neither, or names an address in a network instead of the network.
    """
    address, slash, prefix = text.partition("/")
    try:
        found = parse_address(address)
    except BadValue as error:
        said = str(error) if error.hint else f"{text!r} is neither an address nor a network"
        raise BadValue(said, hint=error.hint or _meant(text)) from None
    if not slash:
        return ipaddress.ip_network(found)
    if not (prefix.isascii() and prefix.isdigit() and len(prefix) <= 3):  # noqa: PLR2004 up to 128
        raise BadValue(
            f"{text!r} has no prefix that is a number of bits", hint=_with_prefix(found, prefix)
        )
    if int(prefix) > found.max_prefixlen:
        raise BadValue(
            f"{text!r} is no network: IPv{found.version} has prefixes up to {found.max_prefixlen}"
        )
    network = ipaddress.ip_network((found, int(prefix)), strict=False)
    if network.network_address != found:
        raise BadValue(
            f"{text!r} is no network: {found} is an address in {network}",
            hint=f"write '{network}' for the network, or '{found}' for the one address",
        )
    return network


def parse_address(text: str) -> Address:
    """Return an address.

    Raises:
        BadValue: it is none, or one that means nothing in a container.
    """
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise BadValue(f"{text!r} is no address") from None
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None:
            raise BadValue(
                f"{text!r} names an interface, which has another name in a container",
                hint=f"write '{text.partition('%')[0]}'",
            )
        if found in MAPPED:
            raise BadValue(
                f"{text!r} is an IPv4 address, written as no packet has it",
                hint=f"write '{found.ipv4_mapped}'",
            )
    return found


def parse_name(text: str) -> str:
    """Return a host name in lower case, without a dot at its end.

    Source: RFC 1123, section 2.1.

    Raises:
        BadValue: it is none.
    """
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    well_formed = all(_LABEL.fullmatch(label) for label in labels)
    if not well_formed or labels[-1].isdigit() or len(name) > _LONGEST_NAME:
        raise BadValue(f"{text!r} is not a host name", hint=_meant_name(text))
    return name


def port_number(text: str) -> int:
    """Return the number of a port.

    Raises:
        BadValue: there is no such port.
    """
    is_number = text.isascii() and text.isdigit() and len(text) <= 5  # noqa: PLR2004 as _LAST_PORT
    if not is_number or not 1 <= int(text) <= _LAST_PORT:
        raise BadValue(f"{text[:20]!r} is not a port between 1 and {_LAST_PORT}")
    return int(text)


def covers(wide: Destination, narrow: Destination) -> bool:
    """Tell whether all that `narrow` is about is in `wide` as well, as far as texts show it."""
    if wide.name is not None and wide.name != narrow.name:
        return False
    if wide.range is not None and not within(narrow.range, wide.range):
        return False
    if not wide.ports:
        return True
    return bool(narrow.ports) and all(
        any(
            one.protocol is other.protocol and one.first <= other.first and other.last <= one.last
            for one in wide.ports
        )
        for other in narrow.ports
    )


def within(narrow: Range | None, wide: Range) -> bool:
    """Tell whether all addresses of `narrow` are in `wide`; those of `None` are not."""
    if isinstance(narrow, ipaddress.IPv4Network) and isinstance(wide, ipaddress.IPv4Network):
        return narrow.subnet_of(wide)
    if isinstance(narrow, ipaddress.IPv6Network) and isinstance(wide, ipaddress.IPv6Network):
        return narrow.subnet_of(wide)
    return False


def _all_ports(words: list[str]) -> tuple[Ports, ...]:
    for word in words:
        if _LIKE_PORTS.fullmatch(word) is None:
            raise BadValue(f"{word!r} is no port, and the only destination of an entry comes first")
    ports = tuple(_ports(word) for word in words)
    for one, other in combinations(ports, 2):
        if one.protocol is other.protocol and one.first <= other.last and other.first <= one.last:
            raise BadValue(f"ports of {one.protocol} are named twice", hint="name each port once")
    return ports


def _ports(word: str) -> Ports:
    if word == Protocol.ICMP.value:
        return Ports(Protocol.ICMP)
    numbers, slash, protocol = word.partition("/")
    parts = _NUMBERS.fullmatch(numbers)
    if parts is None:
        raise BadValue(f"{word!r} is no range of ports", hint="a range reads '8000-8100/tcp'")
    if not slash:
        raise BadValue(
            f"{word!r} is a port without a protocol", hint=f"write '{word}/tcp' or '{word}/udp'"
        )
    if protocol not in _WITH_PORTS:
        raise BadValue(
            f"{word!r} has no protocol that is known{did_you_mean(protocol, _WITH_PORTS)}",
            hint="ports are those of tcp and udp; 'icmp' stands alone",
        )
    first, last = (port_number(number) for number in (parts[1], parts[2] or parts[1]))
    if first > last:
        raise BadValue(f"{word!r} ends before it begins", hint=f"write '{last}-{first}/{protocol}'")
    return Ports(Protocol(protocol), first, last)


def _full_name(text: str) -> str:
    if "*" in text:
        # Whoever makes up names below a domain writes to its servers with every question, and
        # whoever owns one decides which addresses are open.
        raise BadValue(
            f"{text!r}: there are no wildcards, because each name that a cell makes up would be"
            " asked for outside, and its owner would say which addresses are meant",
            hint="name each host",
        )
    if text in _WORDS:
        raise BadValue(f"{text!r} is no destination", hint=f"write '{_WORDS[text]}'")
    if text in PRESETS:
        raise BadValue(f"{text!r} is a preset, no destination", hint=f'write `base = "{text}"`')
    name = parse_name(text)
    if "." not in name:
        raise BadValue(
            f"{text!r} is a name without a domain, which is another host elsewhere",
            hint=f"name the host in full, such as '{name}.example.org'",
        )
    return name


def _meant(text: str) -> str | None:  # noqa: PLR0911 - one for each slip
    """Say how the address, network or host that `text` seems to be is written."""
    if "://" in text:
        return "an entry is no URL; write its host name, and its port as in '443/tcp'"
    if "," in text:
        return _SPACES
    if pair := _WITH_PORT.fullmatch(text):
        return f"write '{pair[1]} {pair[2]}/{pair[3] or 'tcp'}'"
    if text.startswith("[") and text.endswith("]"):
        return f"write '{text[1:-1]}'"
    if "*" in text or "-" in text:
        return "addresses in a row are written as a network: '10.0.0.0/24'"
    before, slash, behind = text.partition("/")
    if slash and before in _WITH_PORTS:
        return f"write '{behind}/{before}'"
    if slash and behind.isascii() and behind.isdigit():
        if _SHORT_ADDRESS.fullmatch(before):
            before += ".0" * (3 - before.count("."))
            return f"write '{before}/{behind}'"
        return f"a port of a host is written '{before} {behind}/tcp'"
    return None


def _meant_name(text: str) -> str:
    if not text.isascii():
        try:
            return f"write '{text.encode('idna').decode()}', as its servers know it"
        except UnicodeError:
            return _LABELS
    return _SPACES if "," in text else _LABELS


def _with_prefix(address: Address, mask: str) -> str | None:
    try:
        network = ipaddress.ip_network(f"{address}/{mask}", strict=False)
    except ValueError:
        return None
    return f"write '{network}'"
