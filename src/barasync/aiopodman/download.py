"""Answers that are long: each on a connection of its own, read in large pieces.

The HTTP library's pool serves everything else. `wire.response` says why these bypass it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpcore2
import httpx2

from barasync.aiopodman.errors import ProtocolError
from barasync.aiopodman.unix import UnixBackend, UnixStream
from barasync.aiopodman.wire.response import Body, Head, parse_head

READ_BYTES = 256 << 10
"""How much is read at once: as much as a unix socket holds by default."""

_CONNECTED = "connection.connect_unix_socket.complete"


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer whose head has come: the connection, and what came over it behind the head."""

    connection: UnixStream
    head: Head
    rest: bytes
    timeout: float | None


async def begin(
    backend: UnixBackend, path: str, request: httpx2.Request, *, upgrade: bool = False
) -> Begun:
    """Send a request to the socket at `path`, on a connection of its own; `upgrade` as in `wire`.

    Closes the connection after a failure, or when cancelled; else the caller does. The errors are
    those of the pool.
    """
    timeouts = request.extensions.get("timeout", {})
    connection = await backend.connect_unix_socket(path, timeouts.get("connect"))
    try:
        trace = request.extensions.get("trace")
        if trace is not None:
            await trace(_CONNECTED, None)
        await connection.write(_head(request) + request.content, timeouts.get("write"))
        head, rest = await _read_head(connection, timeouts.get("read"), upgrade=upgrade)
    except BaseException:
        await connection.aclose()
        raise
    return Begun(connection, head, rest, timeouts.get("read"))


async def answer(begun: Begun) -> httpx2.Response:
    """Return an answer whose body is not read yet; closing it closes the connection.

    So does a failure in here.
    """
    try:
        stream = _Stream(begun, Body(begun.head))
    except ProtocolError as error:
        await begun.connection.aclose()
        raise httpcore2.RemoteProtocolError(str(error)) from error
    return httpx2.Response(begun.head.status, headers=list(begun.head.headers), stream=stream)


async def download(backend: UnixBackend, path: str, request: httpx2.Request) -> httpx2.Response:
    """Send a request to the socket at `path` and return its `answer`."""
    return await answer(await begin(backend, path, request))


def _head(request: httpx2.Request) -> bytes:
    """Return what a request says before its body."""
    lines = [request.method.encode("ascii") + b" " + request.url.raw_path + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in request.headers.raw]
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def _read_head(
    connection: UnixStream,
    timeout: float | None,  # noqa: ASYNC109 handed on
    *,
    upgrade: bool,
) -> tuple[Head, bytes]:
    """Read an answer's head, and return what came behind it as well."""
    data = b""
    while True:
        piece = await connection.read(READ_BYTES, timeout)
        if not piece:
            raise httpcore2.RemoteProtocolError("Server disconnected without sending a response.")
        data += piece
        try:
            parsed = parse_head(data, upgrade=upgrade)
        except ProtocolError as error:
            raise httpcore2.RemoteProtocolError(str(error)) from error
        if parsed is not None:
            return parsed


class _Stream(httpx2.AsyncByteStream):
    """The body of an answer, which owns the connection."""

    def __init__(self, begun: Begun, body: Body) -> None:
        self._connection = begun.connection
        self._body = body
        self._rest = begun.rest
        self._timeout = begun.timeout

    async def __aiter__(self) -> AsyncIterator[bytes]:
        data, self._rest = self._rest, b""
        try:
            if data and (piece := self._body.feed(data)):
                yield piece
            while not self._body.complete:
                data = await self._connection.read(READ_BYTES, self._timeout)
                if not data:
                    self._body.finish()
                    return
                if piece := self._body.feed(data):
                    yield piece
        except ProtocolError as error:
            raise httpcore2.RemoteProtocolError(str(error)) from error

    async def aclose(self) -> None:
        """Close the connection."""
        await self._connection.aclose()
