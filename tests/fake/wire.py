"""HTTP over one connection: requests in, answers out, and what a fault does to an answer."""

from __future__ import annotations

import array
import fcntl
import json
import socket
import termios
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

import anyio
import h11

from tests.fake.faults import Effect, EndsAfter, InPieces, Inserts

_RECEIVE_BYTES = 64 * 1024
_HURRY_SECONDS = 10.0


class Body(Protocol):
    """Bytes that go out as they come; an async generator is one."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Return itself."""

    async def __anext__(self) -> bytes:
        """Return the next bytes."""

    async def aclose(self) -> None:
        """Give up what has not been sent; does not wait."""


class Refusal(Exception):
    """Podman's error answer: `cause` is the innermost error, `message` the whole."""

    def __init__(self, status: int, cause: str, message: str = "") -> None:
        super().__init__(message or cause)
        self.status = status
        self.cause = cause
        self.message = message or cause


class ConnectionGivenUp(Exception):
    """The connection is to be closed as it is, in the middle of an answer or before one."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks for; `path` is decoded, `query` holds every value of a parameter."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: bytes

    def first(self, name: str, default: str = "") -> str:
        """Return the first value of a parameter."""
        return self.query.get(name, [default])[0]

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a parameter that is `true` or `false`."""
        return self.first(name, str(default)).lower() in {"true", "1"}

    def document(self) -> Any:
        """Return the JSON document of the body."""
        return json.loads(self.body)

    def filters(self) -> dict[str, list[str]]:
        """Return podman's filters."""
        found: dict[str, list[str]] = json.loads(self.first("filters", "{}"))
        return found


@dataclass(slots=True, kw_only=True)
class Answer:
    """An answer; a `body` that is not bytes goes out as it comes.

    `until_close` sends it without HTTP's chunks, so that only the end of the connection ends it.
    `late` keeps the headers back until the first piece is there.
    """

    status: int = 200
    body: bytes | Body = b""
    headers: tuple[tuple[str, str], ...] = ()
    until_close: bool = False
    late: bool = False
    effect: Effect | None = None

    @asynccontextmanager
    async def closing(self) -> AsyncIterator[None]:
        """Give up after the block what has not been sent."""
        try:
            yield
        finally:
            if not isinstance(self.body, bytes):
                await self.body.aclose()

    async def pieces(self) -> AsyncIterator[bytes]:
        """Yield the body."""
        if not isinstance(self.body, bytes):
            async for piece in self.body:
                yield piece
        elif self.body:
            yield self.body

    @classmethod
    def of(cls, document: object, status: int = 200) -> Answer:
        """Answer with a JSON document."""
        headers = (("Content-Type", "application/json"),)
        return cls(status=status, body=json.dumps(document).encode() + b"\n", headers=headers)

    @classmethod
    def refusing(cls, refusal: Refusal, *, without_body: bool = False) -> Answer:
        """Answer with podman's error document."""
        if without_body:
            return cls(status=refusal.status)
        body = {"cause": refusal.cause, "message": refusal.message, "response": refusal.status}
        return cls.of(body, refusal.status)


Respond = Callable[[Request], Awaitable[Answer]]


async def serve(connection: socket.socket, respond: Respond) -> None:
    """Answer the requests of one connection, until either side has enough of it."""
    http = h11.Connection(h11.SERVER)
    with suppress(OSError, ConnectionGivenUp, h11.RemoteProtocolError):
        while (request := await _next_request(http, connection)) is not None:
            # Whoever waits for a container is not to be waited for when he leaves.
            async with anyio.create_task_group() as group:
                group.start_soon(_until_the_peer_leaves, connection, group.cancel_scope)
                with suppress(OSError, ConnectionGivenUp):
                    await _answer(http, connection, await respond(request))
                group.cancel_scope.cancel()
            if http.our_state is not h11.DONE or http.their_state is not h11.DONE:
                return
            http.start_next_cycle()


async def _next_request(http: h11.Connection, connection: socket.socket) -> Request | None:
    head: h11.Request | None = None
    body = b""
    while True:
        event = http.next_event()
        if event is h11.NEED_DATA:
            if http.they_are_waiting_for_100_continue:
                raise ConnectionGivenUp
            http.receive_data(await _receive(connection))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        elif isinstance(event, h11.EndOfMessage):
            assert head is not None
            target = urlsplit(head.target.decode())
            query = parse_qs(target.query, keep_blank_values=True)
            return Request(head.method.decode(), unquote(target.path), query, body)
        else:
            return None


async def _answer(http: h11.Connection, connection: socket.socket, answer: Answer) -> None:
    size = answer.effect.size if isinstance(answer.effect, InPieces) else None

    async def send(piece: bytes) -> None:
        for part in _parts(piece, size):
            data = part if answer.until_close else http.send(h11.Data(data=part))
            await _send(connection, data or b"", size)

    async with answer.closing(), aclosing(_affected(answer.pieces(), answer.effect)) as body:
        first = await anext(body, b"") if answer.late else b""
        await _send(connection, _head(http, answer), size)
        await send(first)
        async for piece in body:
            await send(piece)
    if answer.until_close:
        raise ConnectionGivenUp
    await _send(connection, http.send(h11.EndOfMessage()) or b"", size)


def _head(http: h11.Connection, answer: Answer) -> bytes:
    headers = list(answer.headers)
    is_cut = isinstance(answer.effect, EndsAfter | Inserts)
    if isinstance(answer.body, bytes) and answer.status not in {204, 304} and not is_cut:
        headers.append(("Content-Length", str(len(answer.body))))
    response = h11.Response(status_code=answer.status, headers=headers, reason=b"Podman")
    if answer.until_close:
        # What h11 would send is chunked; podman hands over the bare connection.
        lines = [f"HTTP/1.1 {answer.status} OK", *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join([*lines, "", ""]).encode()
    return http.send(response) or b""


async def _affected(
    body: AsyncIterator[bytes], effect: Effect | None
) -> AsyncGenerator[bytes, None]:
    """Do to the body of an answer what a fault does."""
    if isinstance(effect, Inserts) and effect.at == 0:
        yield effect.data
    left = effect.size if isinstance(effect, EndsAfter) else None
    sent = 0
    while left != 0:
        piece = await anext(body, None)
        if piece is None:
            return
        before, sent = sent, sent + len(piece)
        if isinstance(effect, Inserts) and before < effect.at <= sent:
            cut = effect.at - before
            piece = piece[:cut] + effect.data + piece[cut:]
        if left is not None:
            piece = piece[:left]
            left -= len(piece)
        yield piece
    if isinstance(effect, EndsAfter) and not effect.cleanly:
        raise ConnectionGivenUp


def _parts(data: bytes, size: int | None) -> list[bytes]:
    if size is None:
        return [data] if data else []
    return [data[start : start + size] for start in range(0, len(data), size)]


async def _receive(connection: socket.socket) -> bytes:
    while True:
        try:
            return connection.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            await anyio.wait_readable(connection)


async def _send(connection: socket.socket, data: bytes, size: int | None) -> None:
    """Send all of `data`; in pieces of `size` bytes, the next when the peer has taken the last."""
    for part in _parts(data, size):
        rest = memoryview(part)
        while rest:
            try:
                rest = rest[connection.send(rest) :]
            except BlockingIOError:
                await anyio.wait_writable(connection)
        if size is not None:
            await _until_taken(connection)


async def _until_taken(connection: socket.socket) -> None:
    """Wait until the peer has read everything. Source: ioctl `SIOCOUTQ` of unix(7) sockets."""
    queued = array.array("i", [1])
    with anyio.move_on_after(_HURRY_SECONDS):
        while queued[0]:
            fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, queued)
            await anyio.lowlevel.checkpoint()


async def _until_the_peer_leaves(connection: socket.socket, scope: anyio.CancelScope) -> None:
    await anyio.wait_readable(connection)
    try:
        left = not connection.recv(1, socket.MSG_PEEK)
    except OSError:
        left = True
    if left:
        scope.cancel()
