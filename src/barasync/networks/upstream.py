"""The servers that questions are passed on to."""

from __future__ import annotations

import secrets
import socket
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import anyio
from anyio.abc import ByteStream, ConnectedUDPSocket

from barasync.config.policies import Address
from barasync.networks.dns_messages import Query, failed

PORT = 53
_SECONDS = 2.0
"""How long one server has for one question; clients ask again after five (resolv.conf(5))."""
_ROUNDS = 2
_AT_ONCE = 64
_LENGTH = 2


@dataclass(frozen=True, slots=True)
class Server:
    """A server of DNS."""

    address: Address
    port: int = PORT


class Upstream:
    """Servers, of which one that kept silent is asked last.

    Every question has a socket of its own, and so a port that nobody else can guess, and an ID.
    """

    def __init__(self, servers: Iterable[Server]) -> None:
        self._servers = deque(dict.fromkeys(servers))
        self._sockets = anyio.Semaphore(_AT_ONCE)

    async def ask(self, query: Query, *, stream: bool) -> bytes | None:
        """Return the first answer of a server, with the client's ID; `None` where none came.

        It is asked over TCP with `stream`, else over UDP, where answers may be cut short: the
        client sees that, as it would without us, and asks again over TCP.
        A server that says that it failed is the answer only where no other has a better one.
        """
        poor: dict[Server, bytes] = {}
        for server in list(self._servers) * _ROUNDS:
            if server in poor:
                continue
            number = secrets.randbits(16)
            answer = await self._answer(server, query, number, stream=stream)
            if answer is None:
                self._put_last(server)
            elif failed(answer):
                poor[server] = answer
            else:
                return query.answer_of_server(answer)
        return next(map(query.answer_of_server, poor.values()), None)

    def _put_last(self, server: Server) -> None:
        self._servers.remove(server)
        self._servers.append(server)

    async def _answer(
        self, server: Server, query: Query, number: int, *, stream: bool
    ) -> bytes | None:
        way = _over_tcp if stream else _over_udp
        async with self._sockets:
            with anyio.move_on_after(_SECONDS):
                try:
                    return await way(server, query, number)
                except (OSError, anyio.EndOfStream, anyio.BrokenResourceError):
                    return None
        return None


async def _over_udp(server: Server, query: Query, number: int) -> bytes:
    family = socket.AF_INET if server.address.version == 4 else socket.AF_INET6  # noqa: PLR2004
    raw = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        raw.connect((str(server.address), server.port))
        connected = await ConnectedUDPSocket.from_socket(raw)
    except BaseException:
        raw.close()
        raise
    async with connected:
        await connected.send(query.with_id(number))
        while True:
            answer = await connected.receive()
            if query.is_answered_by(answer, number):
                return answer


async def _over_tcp(server: Server, query: Query, number: int) -> bytes:
    async with await anyio.connect_tcp(str(server.address), server.port) as stream:
        await send_message(stream, query.with_id(number))
        answer = await receive_message(stream)
    if answer is None or not query.is_answered_by(answer, number):
        raise anyio.EndOfStream
    return answer


async def send_message(stream: ByteStream, message: bytes) -> None:
    """Send a message with its length, as DNS does over TCP (RFC 1035, 4.2.2)."""
    await stream.send(len(message).to_bytes(_LENGTH, "big") + message)


async def receive_message(stream: ByteStream, longest: int = 65535) -> bytes | None:
    """Return the next message of a stream, `None` where it is longer than `longest` bytes.

    Raises:
        EndOfStream: there is none.
    """
    length = int.from_bytes(await _exactly(stream, _LENGTH), "big")
    return None if length > longest else await _exactly(stream, length)


async def _exactly(stream: ByteStream, size: int) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        parts += await stream.receive(size - len(parts))
    return bytes(parts)
