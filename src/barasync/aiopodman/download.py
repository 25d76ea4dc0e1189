"""Answers that are long: each on a connection of its own, read in large pieces.

The HTTP library's pool serves everything else. `wire.response` says why these bypass it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpcore2
import httpx2

from barasync.aiopodman.errors import ProtocolError
from barasync.aiopodman.unix import UnixBackend, UnixStream
from barasync.aiopodman.wire.response import Body, Head, parse_head

# As much as a unix socket holds by default.
_READ_BYTES = 256 << 10
_CONNECTED = "connection.connect_unix_socket.complete"


async def download(path: str, request: httpx2.Request) -> httpx2.Response:
    """Send a request without a body to the socket at `path`; the answer's body is not read yet.

    Closing the answer closes the connection, and so does a failure or cancellation in here.
    The errors are those of the pool.
    """
    timeouts = request.extensions.get("timeout", {})
    connection = await UnixBackend().connect_unix_socket(path, timeouts.get("connect"))
    try:
        trace = request.extensions.get("trace")
        if trace is not None:
            await trace(_CONNECTED, None)
        await connection.write(request_head(request), timeouts.get("write"))
        head, rest = await read_head(connection, timeouts.get("read"))
        try:
            body = Body(head)
        except ProtocolError as error:
            raise httpcore2.RemoteProtocolError(str(error)) from error
    except BaseException:
        await connection.aclose()
        raise
    stream = _Stream(connection, body, rest, timeouts.get("read"))
    return httpx2.Response(status_code=head.status, headers=list(head.headers), stream=stream)


def request_head(request: httpx2.Request) -> bytes:
    """Return what a request says before its body."""
    lines = [request.method.encode("ascii") + b" " + request.url.raw_path + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in request.headers.raw]
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def read_head(
    connection: UnixStream,
    timeout: float | None,  # noqa: ASYNC109 handed on
    *,
    upgrade: bool = False,
) -> tuple[Head, bytes]:
    """Read an answer's head, and return what came behind it as well; `upgrade` as in `wire`."""
    data = b""
    while True:
        piece = await connection.read(_READ_BYTES, timeout)
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

    def __init__(
        self,
        connection: UnixStream,
        body: Body,
        rest: bytes,
        timeout: float | None,
    ) -> None:
        self._connection = connection
        self._body = body
        self._rest = rest
        self._timeout = timeout

    async def __aiter__(self) -> AsyncIterator[bytes]:
        data, self._rest = self._rest, b""
        try:
            if data and (piece := self._body.feed(data)):
                yield piece
            while not self._body.complete:
                data = await self._connection.read(_READ_BYTES, self._timeout)
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
