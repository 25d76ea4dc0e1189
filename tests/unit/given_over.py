"""A service that gives connections over, on a real socket, and a client of it."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio import to_thread

from barasync.aiopodman.endpoint import Endpoint
from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.transport import Transport
from barasync.aiopodman.version import negotiate

GIVEN_OVER = b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
RESET = b"Error: read unixpacket @->/proc/self/fd/13/attach: read: connection reset by peer\n"


@dataclass
class Server:
    """Answers each connection with the next of its answers; the first stays open if it `waits`.

    The `rest` of the first answer comes after the others, or once something was sent where there
    are none: whoever reads has acted by then on what came before it.
    """

    answers: tuple[bytes, ...]
    waits: bool
    rest: bytes
    heads: list[bytes] = field(default_factory=list)
    sent: bytes = b""

    def serve(self, listener: socket.socket) -> None:
        first, *others = self.answers
        with self._answered(listener, first) as connection:
            if self.waits:
                self._listen(connection)
            if self.rest:
                self._answer_all(listener, others) if others else connection.recv(1)
                connection.sendall(self.rest)
                return
        self._answer_all(listener, others)

    def _answer_all(self, listener: socket.socket, answers: list[bytes]) -> None:
        for answer in answers:
            with self._answered(listener, answer):
                pass

    @contextmanager
    def _answered(self, listener: socket.socket, answer: bytes) -> Iterator[socket.socket]:
        connection, _ = listener.accept()
        with connection:
            head, _, self.sent = _until_blank(connection).partition(b"\r\n\r\n")
            self.heads.append(head)
            connection.sendall(answer)
            yield connection

    def _listen(self, connection: socket.socket) -> None:
        with suppress(ConnectionResetError):
            while data := connection.recv(65536):
                self.sent += data


def _until_blank(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    return data


@asynccontextmanager
async def serving(
    directory: Path, *answers: bytes, waits: bool = False, rest: bytes = b"", within: float = 20
) -> AsyncIterator[tuple[Libpod, Server]]:
    """A client and its server, which is done after the block."""
    endpoint = Endpoint(f"unix://{directory}/s", "a test")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(20)
        listener.bind(str(directory / "s"))
        listener.listen()
        server = Server(answers, waits, rest)
        async with anyio.create_task_group() as group:
            group.start_soon(to_thread.run_sync, server.serve, listener)
            async with Transport(endpoint, timeout=within) as transport:
                yield Libpod(transport, negotiate("5.4.2")), server


def documented(status: int, document: object) -> bytes:
    body = json.dumps(document).encode()
    head = b"HTTP/1.1 %d Podman\r\nConnection: close\r\nContent-Length: %d\r\n\r\n"
    return head % (status, len(body)) + body
