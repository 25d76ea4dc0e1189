"""Connections over a unix socket, for the HTTP library's connection pool.

anyio's own unix stream loses a race on asyncio: when a read is cancelled in the very moment in
which data arrives, its callback fails and asyncio logs a traceback (measured with anyio 4.16: in 8
of 60 cancellations of eight printing containers). `anyio.wait_readable` knows that moment.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import anyio
import httpcore2
from anyio.lowlevel import checkpoint

from barasync.aiopodman.sockets import connect


class UnixStream(httpcore2.AsyncNetworkStream):
    """One connection, which owns its socket; its errors are those that the pool expects."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 the pool's signature
        """Return the next bytes, none at the end; wait `timeout` seconds at most."""
        with _translated(httpcore2.ReadTimeout, httpcore2.ReadError), anyio.fail_after(timeout):
            # A peer that never pauses must not keep other tasks from running.
            await checkpoint()
            while True:
                try:
                    return self._socket.recv(max_bytes)
                except BlockingIOError:
                    await anyio.wait_readable(self._socket)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 the pool's signature
        """Send all of `buffer`; wait `timeout` seconds at most."""
        with _translated(httpcore2.WriteTimeout, httpcore2.WriteError), anyio.fail_after(timeout):
            await checkpoint()
            rest = memoryview(buffer)
            while rest:
                try:
                    rest = rest[self._socket.send(rest) :]
                except BlockingIOError:
                    await anyio.wait_writable(self._socket)

    async def send_eof(self) -> None:
        """Tell the peer that nothing more is sent to it; what it sends still comes."""
        with _translated(httpcore2.WriteTimeout, httpcore2.WriteError):
            self._socket.shutdown(socket.SHUT_WR)
        # Only now: whoever is cancelled has sent it.
        await checkpoint()

    async def aclose(self) -> None:
        """Close the connection, also under a task that is reading from it."""
        if self._socket.fileno() >= 0:
            anyio.notify_closing(self._socket)
        self._socket.close()
        await checkpoint()

    def get_extra_info(self, info: str) -> Any:
        """Answer the pool's question whether an idle connection has ended (`is_readable`)."""
        return self._is_readable() if info == "is_readable" else None

    def _is_readable(self) -> bool:
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            return True
        return True


class UnixBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections to a unix socket, and no others; closes those that are left at its end."""

    def __init__(self) -> None:
        self._opened: WeakSet[UnixStream] = WeakSet()
        self._closed = False

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 the pool's signature
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002 the pool's signature
    ) -> UnixStream:
        """Connect to the socket at `path`; wait `timeout` seconds at most."""
        with (
            _translated(httpcore2.ConnectTimeout, httpcore2.ConnectError),
            anyio.fail_after(timeout),
        ):
            connection = UnixStream(await connect(path))
        if self._closed:
            await connection.aclose()
            raise httpcore2.ConnectError("the client is closed")
        self._opened.add(connection)
        return connection

    async def aclose(self) -> None:
        """Close every connection, also under tasks that are using them; no other is opened."""
        self._closed = True
        for connection in tuple(self._opened):
            await connection.aclose()

    async def sleep(self, seconds: float) -> None:
        """Pause, as the pool does between attempts."""
        await anyio.sleep(seconds)


@contextmanager
def _translated(timeout: type[Exception], failure: type[Exception]) -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise timeout(str(error)) from error
    except (OSError, anyio.ClosedResourceError) as error:
        raise failure(str(error)) from error
