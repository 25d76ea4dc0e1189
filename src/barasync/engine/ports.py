"""Ports of the host that cells are to be reached through: free before a container is made."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Mapping

from barasync.aiopodman import HostPort
from barasync.config.policies import Policy, Protocol, PublishedPort
from barasync.errors import EngineUnavailable

_TYPES = {Protocol.TCP: socket.SOCK_STREAM, Protocol.UDP: socket.SOCK_DGRAM}


def require_ports(policies: Iterable[Policy]) -> None:
    """Make sure that nothing on this machine has the ports of the host; blocking, for a moment.

    Podman would find out when it starts the container, in words of its own. A port that it is to
    choose itself is free.

    Raises:
        EngineUnavailable: one is in use, or cannot be used; the message begins with its key.
    """
    for policy in policies:
        for index, port in enumerate(policy.ports):
            if port.host:
                _require(port, port.where or f"{policy.where}.ports[{index}]")


def where(published: Mapping[str, Iterable[HostPort]]) -> dict[str, tuple[str, ...]]:
    """Return where the ports of a container are on the host: `{"80/tcp": ("127.0.0.1:4711",)}`."""
    return {
        port: tuple(_shown(each.address, each.port) for each in places)
        for port, places in published.items()
        if places
    }


def _require(port: PublishedPort, key: str) -> None:
    address = "0.0.0.0" if port.address is None else str(port.address)  # noqa: S104 - as podman does
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, _TYPES[port.protocol]) as probe:
        if port.protocol is Protocol.TCP:
            # Connections that linger are in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port.host))
        except OSError as error:
            shown = f"{_shown(address, str(port.host))}/{port.protocol}"
            raise _refusal(f"{key}: port {shown} of this host", port, error) from error


def _refusal(what: str, port: PublishedPort, error: OSError) -> EngineUnavailable:
    if error.errno == errno.EADDRINUSE:
        return EngineUnavailable(
            f"{what}, to publish port {port.container} of a cell, is in use",
            hint="`ss --listening --numeric --processes` shows by whom; without a port of the host"
            f' ("{_without_host(port)}") a free one is taken',
        )
    return EngineUnavailable(
        f"{what}, to publish port {port.container} of a cell, cannot be had: {error.strerror}",
        hint="`ip address` shows the addresses of this host"
        if error.errno == errno.EADDRNOTAVAIL
        else None,
    )


def _without_host(port: PublishedPort) -> str:
    protocol = "" if port.protocol is Protocol.TCP else f"/{port.protocol}"
    if port.address is None:
        return f"{port.container}{protocol}"
    address = f"[{port.address}]" if ":" in str(port.address) else port.address
    return f"{address}::{port.container}{protocol}"


def _shown(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address or '0.0.0.0'}:{port}"  # noqa: S104
