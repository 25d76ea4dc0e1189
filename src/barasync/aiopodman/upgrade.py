"""A connection that podman gives over: after its answer both sides send bytes as they like.

Every such connection is one of its own; the HTTP library's pool would count it as busy for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpcore2
import httpx2
from anyio import CancelScope

from barasync.aiopodman.download import read_head, request_head
from barasync.aiopodman.errors import ProtocolError
from barasync.aiopodman.unix import UnixBackend, UnixStream
from barasync.aiopodman.wire.response import Body, Head

# As much as a unix socket holds by default.
_READ_BYTES = 256 << 10
_SWITCHING_PROTOCOLS = 101
_FIRST_ERROR = 400
_MAX_ERROR_BYTES = 64 * 1024

Translated = Callable[[], AbstractAsyncContextManager[None]]
"""Turns the errors of the HTTP library into those of this package."""


class Duplex:
    """Both directions of a connection; one task may read while others send."""

    def __init__(self, connection: UnixStream, rest: bytes, translated: Translated) -> None:
        self._connection = connection
        self._rest = rest
        self._translated = translated

    async def receive(self) -> bytes:
        """Return the next bytes, none at the end.

        Raises:
            TransportError: the connection broke.
        """
        if self._rest:
            data, self._rest = self._rest, b""
            return data
        async with self._translated():
            return await self._connection.read(_READ_BYTES)

    async def send(self, data: bytes) -> None:
        """Send all of `data`, waiting for podman to take it. When cancelled, part may be sent.

        Raises:
            TransportError: podman takes nothing any more.
        """
        async with self._translated():
            await self._connection.write(data)

    async def send_eof(self) -> None:
        """Tell podman that nothing more comes; what it sends goes on.

        Raises:
            TransportError: the connection is over already.
        """
        async with self._translated():
            await self._connection.send_eof()

    async def aclose(self) -> None:
        """Close the connection, also under a task that is using it."""
        with CancelScope(shield=True):
            await self._connection.aclose()


class Refused(Exception):
    """Podman did not give the connection over: its answer, with as much of the body as is kept."""

    def __init__(self, head: Head, body: bytes) -> None:
        super().__init__(head.status)
        self.response = httpx2.Response(head.status, headers=list(head.headers), content=body)


async def upgrade(
    path: str,
    request: httpx2.Request,
    translated: Translated,
    timeout: float,  # noqa: ASYNC109 of connecting
) -> Duplex:
    """Send a request with its body to the socket at `path` and return the connection.

    Closes it after a failure, or when cancelled; else the caller does. The errors are those of the
    pool.

    Raises:
        Refused: podman answered with an error.
    """
    connection = await UnixBackend().connect_unix_socket(path, timeout)
    try:
        rest = await _ask(connection, request)
    except BaseException as error:
        await connection.aclose()
        if isinstance(error, ProtocolError):
            raise httpcore2.RemoteProtocolError(str(error)) from error
        raise
    return Duplex(connection, rest, translated)


async def _ask(connection: UnixStream, request: httpx2.Request) -> bytes:
    """Send a request; return what came behind the head of the answer."""
    await connection.write(request_head(request) + request.content)
    head, rest = await read_head(connection, None, upgrade=True)
    if head.status >= _FIRST_ERROR:
        raise Refused(head, await _read_some(connection, Body(head), rest))
    if head.status != _SWITCHING_PROTOCOLS:
        raise httpcore2.RemoteProtocolError(
            f"the connection was not given over, the answer is {head.status}"
        )
    return rest


async def _read_some(connection: UnixStream, body: Body, data: bytes) -> bytes:
    """Read the beginning of an error's text."""
    text = body.feed(data)
    while not body.complete and len(text) < _MAX_ERROR_BYTES:
        data = await connection.read(_READ_BYTES)
        if not data:
            break
        text += body.feed(data)
    return text
