"""What an entry of `allow` and `deny` means: a destination, ports, or both."""

from __future__ import annotations

import ipaddress
import re
from itertools import combinations

from barasync.config.policies import PRESETS, Address, Destination, Ports, Protocol, Range
from barasync.config.spelling import did_you_mean
from barasync.config.values import BadValue

FORMS = (
    "an entry reads '10.0.0.0/8', '443/tcp', 'icmp' or 'registry.example.org 443/tcp 8000-8100/udp'"
)
LAST_PORT = 65535
_WITH_PORTS = (Protocol.TCP.value, Protocol.UDP.value)
_LONGEST_NAME = 253
# What begins like this is meant as ports, and is a range of addresses only with a prefix's digits.
_LIKE_PORTS = re.compile(r"icmp|[0-9]+(?:-[0-9]*)?(?:/(?![0-9]).*)?")
_NUMBERS = re.compile(r"([0-9]+)(?:-([0-9]+))?")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")
_WITH_PORT = re.compile(r"\[?(.+?)\]?:([0-9]+)")
_SHORT_ADDRESS = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){0,2}")
_SERVICES = {
    "dns": "53/udp",
    "git": "9418/tcp",
    "http": "80/tcp",
    "https": "443/tcp",
    "ntp": "123/udp",
    "ping": "icmp",
    "ssh": "22/tcp",
    "tcp": "1-65535/tcp",
    "udp": "1-65535/udp",
}
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")


def parse_entry(text: str) -> Destination:
    """Return what an entry of `allow` or `deny` is about.

    Raises:
        BadValue: It is no entry; the hint says what was probably meant.
    """
    words = text.split()
    if not words:
        raise BadValue("the entry is empty", hint=FORMS)
    has_place = _LIKE_PORTS.fullmatch(words[0]) is None
    place, numbers = (words[0], words[1:]) if has_place else (None, words)
    for word in numbers:
        if _LIKE_PORTS.fullmatch(word) is None:
            raise BadValue(
                f"{word!r} in {text!r} is no port, and of destinations an entry has one, the first",
                hint=FORMS,
            )
    ports = tuple(_ports(word) for word in numbers)
    for one, other in combinations(ports, 2):
        if one.protocol == other.protocol and one.first <= other.last and other.first <= one.last:
            raise BadValue(f"{text!r} names a port of {one.protocol} twice")
    if place is None:
        return Destination(text, ports=ports)
    if "/" in place or ":" in place or not place.strip("0123456789."):
        return Destination(text, range=parse_range(place), ports=ports)
    return Destination(text, name=_name(place), ports=ports)


def parse_range(text: str) -> Range:
    """Return the network, or the address as one, that `text` is.

    Raises:
        BadValue: It is neither, or names an address in a network instead of the network.
    """
    address, slash, prefix = text.partition("/")
    try:
        found = parse_address(address, of=text)
    except BadValue as error:
        raise BadValue(str(error), hint=error.hint or _meant(text)) from None
    if not slash:
        return ipaddress.ip_network(found)
    if not (prefix.isascii() and prefix.isdigit() and len(prefix) <= 3):  # noqa: PLR2004 up to 128
        raise BadValue(
            f"{text!r} has no prefix that is a number of bits", hint=_with_prefix(found, prefix)
        )
    if int(prefix) > found.max_prefixlen:
        raise BadValue(f"an address such as {found} has {found.max_prefixlen} bits, not {prefix}")
    network = ipaddress.ip_network((found, int(prefix)), strict=False)
    if network.network_address != found:
        raise BadValue(
            f"{text!r} is no network: {found} is an address in {network}",
            hint=f"write '{network}' for the network, or '{found}' for the one address",
        )
    return network


def parse_address(text: str, of: str | None = None) -> Address:
    """Return an address; `of` is the whole that it was written in.

    Raises:
        BadValue: It is none, or one that means something on a single host only.
    """
    whole = of or text
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise BadValue(f"{whole!r} has no IPv4 or IPv6 address in it") from None
    if isinstance(found, ipaddress.IPv6Address):
        if found.scope_id is not None:
            raise BadValue(f"{whole!r} names an interface, which a container calls otherwise")
        if found in _MAPPED:
            raise BadValue(
                f"{whole!r} is an IPv4 address in IPv6's clothes, which no packet has",
                hint=f"write '{found.ipv4_mapped}'",
            )
    return found


def parse_name(text: str) -> str:
    """Return a host name in lower case, without a dot at its end.

    Source: RFC 1123, section 2.1.

    Raises:
        BadValue: It is none.
    """
    name = text.lower().removesuffix(".")
    labels = name.split(".")
    well_formed = all(_LABEL.fullmatch(label) for label in labels)
    if not well_formed or labels[-1].isdigit() or len(name) > _LONGEST_NAME:
        raise BadValue(f"{text!r} is not a host name", hint=_meant_name(text))
    return name


def covers(wide: Destination, narrow: Destination) -> bool:
    """Tell whether all that `narrow` is about is in `wide` as well, as far as texts show it."""
    if wide.name is not None and wide.name != narrow.name:
        return False
    if wide.range is not None and not _within(narrow.range, wide.range):
        return False
    if not wide.ports:
        return True
    return bool(narrow.ports) and all(
        any(
            one.protocol == other.protocol and one.first <= other.first and other.last <= one.last
            for one in wide.ports
        )
        for other in narrow.ports
    )


def _within(narrow: Range | None, wide: Range) -> bool:
    if isinstance(narrow, ipaddress.IPv4Network) and isinstance(wide, ipaddress.IPv4Network):
        return narrow.subnet_of(wide)
    if isinstance(narrow, ipaddress.IPv6Network) and isinstance(wide, ipaddress.IPv6Network):
        return narrow.subnet_of(wide)
    return False


def _ports(word: str) -> Ports:
    if word == Protocol.ICMP.value:
        return Ports(Protocol.ICMP)
    numbers, slash, protocol = word.partition("/")
    parts = _NUMBERS.fullmatch(numbers)
    if parts is None:
        raise BadValue(f"{word!r} is no range of ports", hint="write '8000-8100/tcp'")
    if not slash:
        raise BadValue(
            f"the port {word!r} has no protocol", hint=f"write '{word}/tcp' or '{word}/udp'"
        )
    if protocol not in _WITH_PORTS:
        raise BadValue(
            f"{word!r} has no protocol that is known{did_you_mean(protocol, _WITH_PORTS)}",
            hint="ports are those of tcp and udp; 'icmp' stands alone",
        )
    first, last = (port_number(number) for number in (parts[1], parts[2] or parts[1]))
    if first > last:
        raise BadValue(
            f"the range {word!r} ends before it begins", hint=f"write '{last}-{first}/{protocol}'"
        )
    return Ports(Protocol(protocol), first, last)


def port_number(text: str) -> int:
    """Return the number of a port.

    Raises:
        BadValue: There is no such port.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 5):  # noqa: PLR2004 as LAST_PORT
        raise BadValue(f"{text!r} is not a port between 1 and {LAST_PORT}")
    if not 1 <= int(text) <= LAST_PORT:
        raise BadValue(f"{text} is not a port between 1 and {LAST_PORT}")
    return int(text)


def _name(place: str) -> str:
    if "*" in place:
        # Whoever makes up names below a domain writes to its servers with every question, and
        # whoever owns one decides which addresses are open.
        raise BadValue(
            f"{place!r}: there are no wildcards, because each name that a cell makes up would be"
            " asked for outside, and its owner would say which addresses are open",
            hint="name each host",
        )
    if place in _SERVICES:
        raise BadValue(f"{place!r} is no destination", hint=f"write '{_SERVICES[place]}'")
    if place in PRESETS:
        raise BadValue(
            f"{place!r} is a preset, and no destination", hint=f"write `base = '{place}'`"
        )
    if place == "localhost":
        raise BadValue(
            "'localhost' is not asked of any server",
            hint="write '127.0.0.0/8' and '::1', or take the base 'local' or 'isolated'",
        )
    return parse_name(place)


def _meant(text: str) -> str:  # noqa: PLR0911 - one for each slip
    """Say how the address, network or host that `text` seems to be is written."""
    if "://" in text:
        return "an entry is no URL; write its host name, and its port as in '443/tcp'"
    if pair := _WITH_PORT.fullmatch(text):
        return f"write '{pair[1]} {pair[2]}/tcp'"
    if text.startswith("[") and text.endswith("]"):
        return f"write '{text[1:-1]}'"
    before, slash, behind = text.partition("/")
    if slash and before in _WITH_PORTS:
        return f"write '{behind}/{before}'"
    if slash and behind.isascii() and behind.isdigit():
        if _SHORT_ADDRESS.fullmatch(before):
            before += ".0" * (3 - before.count("."))
            return f"write '{before}/{behind}'"
        return f"a port of a host is written '{before} {behind}/tcp'"
    return FORMS


def _meant_name(text: str) -> str:
    if not text.isascii():
        try:
            return f"write '{text.encode('idna').decode()}', as its servers know it"
        except UnicodeError:
            return FORMS
    if "," in text:
        return "words of an entry are separated by spaces, entries are texts of their own"
    return "labels of up to 63 letters, digits and '-', with dots between them; " + FORMS


def _with_prefix(address: Address, mask: str) -> str:
    try:
        network = ipaddress.ip_network(f"{address}/{mask}", strict=False)
    except ValueError:
        return FORMS
    return f"write '{network}'"
