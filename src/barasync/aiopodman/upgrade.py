"""A connection that podman gives over: after its answer both sides send bytes as they like.

Every such connection is one of its own; the HTTP library's pool would count it as busy for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import httpcore2
import httpx2
from anyio import CancelScope

from barasync.aiopodman.download import READ_BYTES, answer, begin
from barasync.aiopodman.unix import UnixBackend, UnixStream

_SWITCHING_PROTOCOLS = 101
_FIRST_ERROR = 400

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
            return await self._connection.read(READ_BYTES)

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
    """Podman did not give the connection over: its answer, whose body is not read yet."""

    def __init__(self, response: httpx2.Response) -> None:
        super().__init__(response.status_code)
        self.response = response


async def upgrade(
    backend: UnixBackend, path: str, request: httpx2.Request, translated: Translated
) -> Duplex:
    """Send a request with its body to the socket at `path` and return the connection.

    Closes it after a failure, or when cancelled; else the caller does. The errors are those of the
    pool.

    Raises:
        Refused: podman answered with an error; the caller closes that answer.
    """
    begun = await begin(backend, path, request, upgrade=True)
    status = begun.head.status
    if status >= _FIRST_ERROR:
        raise Refused(await answer(begun))
    if status != _SWITCHING_PROTOCOLS:
        await begun.connection.aclose()
        raise httpcore2.RemoteProtocolError(
            f"the connection was not given over, the answer is {status}"
        )
    return Duplex(begun.connection, begun.rest, translated)
