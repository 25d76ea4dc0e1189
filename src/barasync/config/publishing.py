"""Ports of a cell that are reached through the host: `[ADDRESS:]HOST:CONTAINER[/PROTOCOL]`.

Source: podman-run(1), "--publish", without its ranges.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from ipaddress import IPv6Address

from barasync.config.bounds import BadValue
from barasync.config.destinations import parse_address, port_number
from barasync.config.policies import Address, Policy, Protocol, PublishedPort
from barasync.config.spelling import did_you_mean
from barasync.errors import ConfigError

_OPTION = "--publish"
_FORMS = "'8080:80', '127.0.0.1:8080:80/udp', '[::1]::80' or '80', for a port of the host's choice"
_PROTOCOLS = (Protocol.TCP.value, Protocol.UDP.value)


def parse_published(text: str) -> PublishedPort:
    """Return the port that `text` publishes.

    Raises:
        BadValue: it is not written like that, or a number is no port.
    """
    rest, slash, protocol = text.partition("/")
    if slash and protocol not in _PROTOCOLS:
        raise BadValue(
            f"{text!r} has no protocol that is known{did_you_mean(protocol, _PROTOCOLS)}",
            hint="it is tcp or udp, and tcp where none is written",
        )
    parts = rest.rsplit(":", 2)
    for part in parts[-2:]:
        if "-" in part:
            raise BadValue(f"{text!r} is a range of ports", hint="publish each port")
        if part and not (part.isascii() and part.isdigit()):
            raise BadValue(f"{part!r} in {text!r} is not a port", hint=f"write {_FORMS}")
    has_address = len(parts) == 3  # noqa: PLR2004 address, host and container
    if not parts[-1] or (len(parts) > 1 and not parts[-2] and not has_address):
        raise BadValue(f"{text!r} has no port where one is needed", hint=f"write {_FORMS}")
    host = parts[-2] if len(parts) > 1 else ""
    return PublishedPort(
        container=port_number(parts[-1]),
        host=port_number(host) if host else 0,
        protocol=Protocol(protocol or Protocol.TCP),
        address=_address(parts[0], text) if has_address else None,
    )


def parse_publish(texts: Sequence[str]) -> tuple[PublishedPort, ...]:
    """Return the ports that options `--publish` ask for.

    Raises:
        ConfigError: one of them is not written like that.
    """
    ports = []
    for text in texts:
        try:
            ports.append(replace(parse_published(text), where=f"{_OPTION} {text}"))
        except BadValue as error:
            raise ConfigError(f"{_OPTION}: {error}", hint=error.hint) from None
    return tuple(ports)


def published(policy: Policy, ports: Sequence[PublishedPort]) -> Policy:
    """Return a policy that publishes ports besides its own.

    Raises:
        ConfigError: one of them is published already, or takes the port of the host of another.
    """
    for index, port in enumerate(ports):
        for other in (*policy.ports, *ports[:index]):
            if port == other or clash(port, other):
                whose = other.where or f"the network '{policy.name}'"
                what = f"{where(other)} of the host" if other.host else "the same"
                raise ConfigError(
                    f"{port.where}: {whose} has {what} already",
                    hint="leave one of them out, or the port of the host out of one",
                )
    return replace(policy, ports=(*policy.ports, *ports)) if ports else policy


def clash(one: PublishedPort, other: PublishedPort) -> bool:
    """Tell whether both are the same port of the host, which only one of them can have."""
    return (
        0 < one.host == other.host
        and one.protocol is other.protocol
        and (_holds(one.address, other.address) or _holds(other.address, one.address))
    )


def where(port: PublishedPort) -> str:
    """Name the port of the host: `127.0.0.1:8080/tcp`."""
    if port.address is None:
        return f"{port.host}/{port.protocol}"
    shown = f"[{port.address}]" if isinstance(port.address, IPv6Address) else port.address
    return f"{shown}:{port.host}/{port.protocol}"


def _holds(wide: Address | None, narrow: Address | None) -> bool:
    if wide is None or wide == narrow:
        return True
    return narrow is not None and wide.is_unspecified and wide.version == narrow.version


def _address(text: str, whole: str) -> Address:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    try:
        found = parse_address(bare)
    except BadValue as error:
        raise BadValue(f"{whole!r}: {error}", hint=error.hint or f"write {_FORMS}") from None
    if isinstance(found, IPv6Address) is (bare == text):
        raise BadValue(
            f"{whole!r}: IPv6 addresses have brackets here, and no others",
            hint=f"write {_FORMS}",
        )
    return found
