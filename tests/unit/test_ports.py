"""Ports of the host: free before a cell is made, and told where they are."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from barasync.aiopodman import HostPort
from barasync.config.policies import Protocol, PublishedPort
from barasync.engine.ports import require_free, where
from barasync.errors import EngineUnavailable

LOOPBACK = ip_address("127.0.0.1")


@pytest.mark.parametrize(
    ("protocol", "kind"),
    [(Protocol.TCP, socket.SOCK_STREAM), (Protocol.UDP, socket.SOCK_DGRAM)],
)
@pytest.mark.parametrize("address", [None, LOOPBACK])
def test_a_port_in_use_is_told_before_anything_is_made(
    protocol: Protocol, kind: socket.SocketKind, address: None
) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        number = taken.getsockname()[1]

        with pytest.raises(EngineUnavailable) as caught:
            require_free([PublishedPort(80, number, protocol, address)])

    shown = f"{address or '0.0.0.0'}:{number}/{protocol.value}"
    assert str(caught.value) == (
        f"port {shown} of this host, to publish port 80 of a cell, is in use"
    )
    assert "a free one is taken" in str(caught.value.hint)
    require_free([PublishedPort(80, number, protocol, address)])


def test_an_address_that_the_host_does_not_have_cannot_be_had() -> None:
    with pytest.raises(EngineUnavailable, match="cannot be had: Cannot assign requested address"):
        require_free([PublishedPort(80, 4711, Protocol.TCP, ip_address("198.51.100.1"))])


def test_a_port_that_podman_chooses_is_not_looked_at() -> None:
    require_free([PublishedPort(80, 0, Protocol.TCP, ip_address("198.51.100.1"))])


def test_where_ports_are_is_told_as_addresses() -> None:
    published = {
        "80/tcp": [HostPort(address="", port="4711"), HostPort(address="::1", port="4711")],
        "53/udp": [],
    }

    assert where(published) == {"80/tcp": ("0.0.0.0:4711", "[::1]:4711")}
