"""Ports of the host: free before a cell is made, and told where they are."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import replace
from ipaddress import ip_address
from typing import NoReturn

import pytest

from barasync.aiopodman import HostPort
from barasync.config.policies import Address, Policy, Preset, Protocol, PublishedPort
from barasync.config.publishing import parse_published
from barasync.engine.ports import require_ports, where
from barasync.errors import EngineUnavailable

LOOPBACK = ip_address("127.0.0.1")


class InUse(socket.socket):
    """A socket to which no port of the host is left."""

    def bind(self, _address: object) -> NoReturn:
        raise OSError(errno.EADDRINUSE, "Address already in use")


def policy(*ports: PublishedPort) -> Policy:
    where = "barasync.toml: network.web"
    return Policy(name="web", base=Preset.LOCAL, ports=ports, where=where)


@pytest.mark.parametrize(
    ("protocol", "kind"),
    [(Protocol.TCP, socket.SOCK_STREAM), (Protocol.UDP, socket.SOCK_DGRAM)],
)
@pytest.mark.parametrize("address", [None, LOOPBACK])
def test_a_port_in_use_is_told_with_its_key_before_anything_is_made(
    protocol: Protocol, kind: socket.SocketKind, address: Address | None
) -> None:
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        number = taken.getsockname()[1]
        served = policy(PublishedPort(81), PublishedPort(80, number, protocol, address))

        with pytest.raises(EngineUnavailable) as caught:
            require_ports([policy(), served])

    shown = f"{address or '0.0.0.0'}:{number}/{protocol.value}"
    assert str(caught.value) == (
        f"barasync.toml: network.web.ports[1]: port {shown} of this host, to publish port 80 of a"
        " cell, is in use"
    )


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
def test_a_port_that_is_free_may_be_had(protocol: Protocol) -> None:
    # Nobody else has this address, and who asks for any port gets one of those below.
    address = ip_address(f"127.111.{os.getpid() >> 8 & 255}.{os.getpid() & 255}")

    require_ports([policy(PublishedPort(80, 65500, protocol, address))])


@pytest.mark.parametrize("text", ["8080:80", "8080:80/udp", "127.0.0.1:8080:80", "[::1]:8080:80"])
def test_the_advice_for_a_port_in_use_is_the_same_port_with_a_free_one(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(socket, "socket", InUse)

    with pytest.raises(EngineUnavailable) as caught:
        require_ports([policy(parse_published(text))])

    advised = str(caught.value.hint).partition('("')[2].partition('")')[0]
    assert parse_published(advised) == replace(parse_published(text), host=0)


def test_an_address_that_the_host_does_not_have_cannot_be_had() -> None:
    elsewhere = PublishedPort(80, 4711, Protocol.TCP, ip_address("198.51.100.1"))

    with pytest.raises(EngineUnavailable) as caught:
        require_ports([policy(elsewhere)])

    assert "cannot be had: Cannot assign requested address" in str(caught.value)
    assert caught.value.hint == "`ip address` shows the addresses of this host"


def test_a_port_that_podman_chooses_is_not_looked_at() -> None:
    require_ports([policy(PublishedPort(80, 0, Protocol.TCP, ip_address("198.51.100.1")))])


def test_where_ports_are_is_told_as_addresses() -> None:
    published = {
        "80/tcp": [HostPort(address="", port="4711"), HostPort(address="::1", port="4711")],
        "53/udp": [],
    }

    assert where(published) == {"80/tcp": ("0.0.0.0:4711", "[::1]:4711")}
