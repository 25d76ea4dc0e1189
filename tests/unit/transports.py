"""What answers to a transport: a function in the place of the socket, or a server on one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream

from barasync.aiopodman.endpoint import Endpoint, unix_url
from barasync.aiopodman.transport import Transport

NOWHERE = Endpoint(unix_url("/nowhere/podman.sock"), "a test")


def mocked(handler: Callable[[httpx2.Request], httpx2.Response]) -> Transport:
    return Transport(NOWHERE, timeout=5, transport=httpx2.MockTransport(handler))


@asynccontextmanager
async def served(
    tmp_path: Path, handle: Callable[[SocketStream], Awaitable[None]]
) -> AsyncIterator[Endpoint]:
    """A server on a unix socket that gives each connection to `handle`.

    Leave the block after every client has closed: it waits for the handlers to notice.
    """

    async def handle_and_close(stream: SocketStream) -> None:
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await handle(stream)

    path = str(tmp_path / "s")
    async with (
        await anyio.create_unix_listener(path) as listener,
        anyio.create_task_group() as handlers,
        anyio.create_task_group() as server,
    ):
        server.start_soon(listener.serve, handle_and_close, handlers)
        yield Endpoint(unix_url(path), "a test")
        server.cancel_scope.cancel()


async def until_closed(stream: SocketStream) -> None:
    """Wait until the client closes the connection."""
    with pytest.raises(anyio.EndOfStream):
        await stream.receive()


async def read_request(stream: SocketStream) -> bytes:
    """Read the head of a request that has no body."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive()
    return head
