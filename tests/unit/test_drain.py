"""A container's output after podman died under it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

import anyio
import pytest

from barasync.aiopodman import (
    Chunk,
    Container,
    ContainerInspect,
    ContainerState,
    Podman,
    Received,
    Stream,
    TransportError,
)
from barasync.aiopodman.output import rest
from barasync.engine.drain import Drain
from barasync.engine.gate import Gate

pytestmark = pytest.mark.anyio


class Survivor:
    """Outlives its podman; whoever follows its log is never told that it has ended."""

    def __init__(self) -> None:
        self.log = [b"before "]
        self.status = "running"

    @asynccontextmanager
    async def start_attached(self, received: Received) -> AsyncIterator[AsyncIterator[Chunk]]:
        async def chunks() -> AsyncIterator[Chunk]:
            chunk = Chunk(Stream.STDOUT, b"before ")
            received.add(chunk)
            yield chunk
            raise TransportError("podman died")

        yield chunks()

    async def inspect(self) -> ContainerInspect:
        return ContainerInspect(id="c", state=ContainerState(status=self.status))

    async def wait(self) -> int:
        await anyio.wait_all_tasks_blocked()
        self.log.append(b"after")
        self.status = "exited"
        return 0

    @asynccontextmanager
    async def remaining_output(
        self, received: Received, *, follow: bool
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        async def kept() -> AsyncIterator[Chunk]:
            for data in self.log:
                yield Chunk(Stream.STDOUT, data)
            if follow:
                await anyio.sleep_forever()

        yield rest(received, kept())


class Service:
    """Stands for the client, of which a drain wants to know only how often podman was new."""

    @property
    def presence(self) -> Service:
        return self

    async def count(self) -> int:
        return 1


class Written:
    def __init__(self) -> None:
        self.data = b""

    async def write(self, chunk: Chunk) -> None:
        self.data += chunk.data


async def test_log_follow_may_not_end__the_containers_end_is_the_end_of_following() -> None:
    written = Written()
    drain = Drain(
        cast("Podman", Service()),
        cast("Container", Survivor()),
        written,
        timeout=None,
        grace=0.0,
        gate=Gate(),
        hurry=anyio.Event(),
    )

    with anyio.fail_after(5):
        async with AsyncExitStack() as stack:
            await drain.start(stack)
            state = await drain.run()

    assert state.state.ended
    assert written.data == b"before after"
    assert drain.problem is None
