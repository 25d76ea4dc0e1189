"""Requests that are cancelled in flight give back what they held.

A fail-fast engine cancels all the time. With httpx 0.28 a pool of 20 is full of dead connections
after this (encode/httpcore #1093), and the next request hangs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from anyio.abc import SocketStream

from barasync.aiopodman import Container, Endpoint, Podman
from barasync.aiopodman.endpoint import unix_url
from barasync.aiopodman.transport import CONTROL_CONNECTIONS, Transport
from tests.contract.running import created, shell
from tests.rig.waiting import wait_until

pytestmark = [pytest.mark.anyio, pytest.mark.also_fake]

CANCELLED = 300
SECONDS = 10


@dataclass
class SlowServer:
    """Answers `/quick`, and never anything else; knows how many connections are open."""

    open: int = 0
    most: int = 0
    waiting: int = 0
    changed: anyio.Event = field(default_factory=anyio.Event)

    async def handle(self, stream: SocketStream) -> None:
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            async with stream:
                with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                    await self._serve(stream)
        finally:
            self.open -= 1
            self._tell()

    async def until_waiting(self, requests: int) -> None:
        """Wait until so many requests are in flight."""
        while self.waiting < requests:
            await self.changed.wait()

    async def until_open(self, connections: int) -> None:
        """Wait until so many connections are open."""
        while self.open != connections:
            await self.changed.wait()

    async def _serve(self, stream: SocketStream) -> None:
        while True:
            head = await stream.receive()
            if head.startswith(b"GET /quick "):
                await stream.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK")
                continue
            self._count(1)
            try:
                await stream.receive()
            finally:
                self._count(-1)

    def _count(self, change: int) -> None:
        self.waiting += change
        self._tell()

    def _tell(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()


@asynccontextmanager
async def slow_server(tmp_path: Path) -> AsyncIterator[tuple[SlowServer, Endpoint]]:
    server = SlowServer()
    path = str(tmp_path / "s")
    async with (
        await anyio.create_unix_listener(path) as listener,
        anyio.create_task_group() as handlers,
        anyio.create_task_group() as accepting,
    ):
        accepting.start_soon(listener.serve, server.handle, handlers)
        yield server, Endpoint(unix_url(path), "a test")
        accepting.cancel_scope.cancel()


async def test_cancelled_requests_give_their_connections_back(tmp_path: Path) -> None:
    async with (
        slow_server(tmp_path) as (server, endpoint),
        Transport(endpoint, timeout=SECONDS) as transport,
    ):
        for _ in range(CANCELLED // CONTROL_CONNECTIONS):
            async with anyio.create_task_group() as group:
                for _ in range(CONTROL_CONNECTIONS):
                    group.start_soon(transport.request, "GET", "/slow")
                with anyio.fail_after(SECONDS):
                    await server.until_waiting(CONTROL_CONNECTIONS)
                group.cancel_scope.cancel()

        with anyio.fail_after(SECONDS):
            answer = await transport.request("GET", "/quick")

    assert answer.body == b"OK"
    # The server may learn of a closed connection after the next one is open.
    assert server.most <= 2 * CONTROL_CONNECTIONS


async def test_requests_cancelled_in_the_queue_leave_it(tmp_path: Path) -> None:
    async with (
        slow_server(tmp_path) as (server, endpoint),
        Transport(endpoint, timeout=SECONDS) as transport,
    ):
        async with anyio.create_task_group() as group:
            for _ in range(CANCELLED):
                group.start_soon(transport.request, "GET", "/slow")
            with anyio.fail_after(SECONDS):
                await server.until_waiting(CONTROL_CONNECTIONS)
            assert server.waiting == CONTROL_CONNECTIONS
            group.cancel_scope.cancel()

        with anyio.fail_after(SECONDS):
            assert (await transport.request("GET", "/quick")).body == b"OK"


@pytest.mark.parametrize("kind", ["requests", "streams"])
async def test_cancelling_twice_leaves_no_connection(tmp_path: Path, kind: str) -> None:
    async with (
        slow_server(tmp_path) as (server, endpoint),
        Transport(endpoint, timeout=SECONDS) as transport,
    ):

        async def stream() -> None:
            async with transport.stream("GET", "/slow", headers_within=None):
                pass

        async def request() -> None:
            await transport.request("GET", "/slow")

        for _ in range(2):
            async with anyio.create_task_group() as group:
                for _ in range(CONTROL_CONNECTIONS):
                    group.start_soon(stream if kind == "streams" else request)
                with anyio.fail_after(SECONDS):
                    await server.until_waiting(CONTROL_CONNECTIONS)
                group.cancel_scope.cancel()
            with anyio.fail_after(SECONDS):
                await server.until_open(0)

        with anyio.fail_after(SECONDS):
            answer = await transport.request("GET", "/quick")

    assert answer.body == b"OK"


def sockets() -> int:
    """Count the sockets of this process; podman may keep its end of a connection for longer."""
    found = 0
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # it has just been closed
            found += str(descriptor.readlink()).startswith("socket:")
    return found


async def test_cancelling_twice_leaves_no_connection_to_podman(
    podman: Podman, busybox: str
) -> None:
    async def follow(container: Container) -> None:
        async with container.logs(follow=True) as chunks:
            async for _ in chunks:
                pass

    async with created(podman, shell(busybox, "echo ready; sleep 1000")) as container:
        async with container.start_attached() as chunks:
            await anext(chunks)
        idle = sockets()

        for _ in range(2):
            async with anyio.create_task_group() as group:
                for _ in range(CONTROL_CONNECTIONS):
                    group.start_soon(container.wait)
                    group.start_soon(follow, container)
                await until(
                    lambda: sockets() >= idle + 2 * CONTROL_CONNECTIONS, "all are connected"
                )
                await podman.system.ping()
                group.cancel_scope.cancel()
                group.cancel_scope.cancel()
            await until(lambda: sockets() <= idle, "none is left")

        with anyio.fail_after(SECONDS):
            assert (await container.inspect()).state.status == "running"


async def until(holds: Callable[[], bool], what: str) -> None:
    await to_thread.run_sync(wait_until, holds, what)


async def in_turns(request: Callable[[], Awaitable[object]], podman: Podman) -> None:
    """Send `CANCELLED` requests, a pool's worth at a time, and cancel them while another ends."""
    for _ in range(CANCELLED // CONTROL_CONNECTIONS):
        async with anyio.create_task_group() as group:
            for _ in range(CONTROL_CONNECTIONS):
                group.start_soon(request)
            await podman.system.ping()
            group.cancel_scope.cancel()


async def test_podman_answers_after_many_cancelled_waits(podman: Podman, busybox: str) -> None:
    async with created(podman, shell(busybox, "echo ready; sleep 1000")) as container:
        async with container.start_attached() as chunks:
            await anext(chunks)

        await in_turns(container.wait, podman)

        with anyio.fail_after(SECONDS):
            assert (await container.inspect()).state.status == "running"
            await container.kill()
            assert await container.wait() == 137


async def test_podman_answers_after_many_cancelled_inspections(
    podman: Podman, busybox: str
) -> None:
    async with created(podman, shell(busybox, "true")) as container:
        await in_turns(container.inspect, podman)

        with anyio.fail_after(SECONDS):
            assert (await container.inspect()).state.status == "created"


async def test_cancelling_the_output_of_printing_containers_is_quiet(
    podman: Podman, busybox: str
) -> None:
    # anyio's plugin fails a test whose event loop reports an error in a callback.
    spec = shell(busybox, "while :; do echo line; done")

    async def drain(container: Container, ready: anyio.Event) -> None:
        async with container.start_attached() as chunks:
            async for _ in chunks:
                ready.set()

    for _ in range(5):
        async with (
            created(podman, spec) as one,
            created(podman, spec) as two,
            anyio.create_task_group() as group,
        ):
            for container in (one, two):
                ready = anyio.Event()
                group.start_soon(drain, container, ready)
                await ready.wait()
            await podman.system.ping()
            group.cancel_scope.cancel()
