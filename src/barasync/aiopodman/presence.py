"""Whether the service is still the one that it was a moment ago.

A stream that ends because podman was killed ends like one whose container has exited: an answer
that is read until the connection closes has no other end. And a service that is started again can
answer the next request before anybody notices. So a connection is kept on which a request is begun
and never finished. It costs the service nothing, a service that lives does not close it (measured
on 4.3.1 with `--time=5`), and the kernel ends it when the service dies.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from types import TracebackType
from typing import Self

import anyio

from barasync.aiopodman.sockets import connect

_BEGUN = b"GET /libpod/_ping HTTP/1.1\r\nHost: podman\r\n"
_CONNECT_SECONDS = 5.0


class Presence:
    """Counts how often the service at a socket was found to have ended.

    Use with `async with`: entering and `count` connect, leaving closes the connection.
    """

    def __init__(self, socket_path: str) -> None:
        self._path = socket_path
        self._losses = 0
        self._connection: socket.socket | None = None
        self._turn = anyio.Lock()

    async def __aenter__(self) -> Self:
        await self._connect()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close()

    async def count(self) -> int:
        """Return a number that stays the same for as long as the service lives.

        Compare two of them, the second asked for after an answer of the service: where they differ
        it may have ended in between, and no stream that was open meanwhile can be trusted to have
        ended with its container.
        """
        async with self._turn:
            if self._connection is None or _has_ended(self._connection):
                self._losses += 1
                self._close()
                await self._connect()
            return self._losses

    async def _connect(self) -> None:
        with anyio.move_on_after(_CONNECT_SECONDS), suppress(OSError):
            connection = await connect(self._path)
            try:
                connection.send(_BEGUN)
            except OSError:
                connection.close()
                raise
            self._connection = connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _has_ended(connection: socket.socket) -> bool:
    """Look without waiting; the service answers nothing as long as the request is not whole."""
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True
