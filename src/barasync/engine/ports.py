"""Ports of the host that cells are to be reached through: free before a container is made."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable, Mapping

from barasync.aiopodman import HostPort
from barasync.config.policies import Protocol, PublishedPort
from barasync.errors import EngineUnavailable

_TYPES = {Protocol.TCP: socket.SOCK_STREAM, Protocol.UDP: socket.SOCK_DGRAM}


def require_free(ports: Iterable[PublishedPort]) -> None:
    """Make sure that nothing on this machine has the ports of the host; blocking, for a moment.

    Podman would find out when it starts the container, in words of its own. A port that it is to
    choose itself is free.

    Raises:
        EngineUnavailable: one is in use, or cannot be used.
    """
    for port in ports:
        if port.host:
            _require_free(port)


def where(published: Mapping[str, Iterable[HostPort]]) -> dict[str, tuple[str, ...]]:
    """Return where the ports of a container are on the host: `{"80/tcp": ("127.0.0.1:4711",)}`."""
    return {
        port: tuple(_shown(each.address, each.port) for each in places)
        for port, places in published.items()
        if places
    }


def _require_free(port: PublishedPort) -> None:
    address = "0.0.0.0" if port.address is None else str(port.address)  # noqa: S104 - as podman does
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, _TYPES[port.protocol]) as probe:
        if port.protocol is Protocol.TCP:
            # Connections that linger are in nobody's way.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port.host))
        except OSError as error:
            raise _refusal(port, address, error) from error


def _refusal(port: PublishedPort, address: str, error: OSError) -> EngineUnavailable:
    shown = f"port {_shown(address, str(port.host))}/{port.protocol} of this host"
    for_what = f"to publish port {port.container} of a cell"
    if error.errno == errno.EADDRINUSE:
        return EngineUnavailable(
            f"{shown}, {for_what}, is in use",
            hint="`ss --listening --numeric --processes` shows by whom;"
            " without a port of the host a free one is taken",
        )
    return EngineUnavailable(f"{shown}, {for_what}, cannot be had: {error.strerror}")


def _shown(address: str, port: str) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address or '0.0.0.0'}:{port}"  # noqa: S104
