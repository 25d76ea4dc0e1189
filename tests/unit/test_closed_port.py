"""Whether somebody takes questions for names."""

from __future__ import annotations

import socket
from ipaddress import ip_address

import pytest

from barasync.networks import closed_port
from barasync.networks.closed_port import is_closed

HEADER_BYTES = 12

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_where_nobody_listens_it_is_closed(
    monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(closed_port, "_SECONDS", 0.0)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as once:
        once.bind((address, 0))
        port = once.getsockname()[1]
        assert not await is_closed(ip_address(address), port)

    assert await is_closed(ip_address(address), port)


async def test_what_is_sent_is_no_question_that_somebody_could_pass_on() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        assert not await is_closed(ip_address("127.0.0.1"), server.getsockname()[1])

        assert len(server.recv(64)) < HEADER_BYTES


async def test_one_that_opens_while_it_is_looked_at_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as once:
            once.bind(("127.0.0.1", 0))
            place = once.getsockname()

        async def bind(_seconds: float) -> None:
            server.bind(place)

        monkeypatch.setattr("anyio.sleep", bind)

        assert not await is_closed(ip_address(place[0]), place[1])
