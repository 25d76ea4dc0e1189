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


class Killed:
    """Was killed by somebody, and is still there."""

    @asynccontextmanager
    async def start_attached(self, _received: Received) -> AsyncIterator[AsyncIterator[Chunk]]:
        async def nothing() -> AsyncIterator[Chunk]:
            return
            yield

        yield nothing()

    async def inspect(self) -> ContainerInspect:
        return ContainerInspect(id="c", state=ContainerState(status="exited", exit_code=137))


def drain_of(container: object, written: Written, *, timeout: float | None = None) -> Drain:
    return Drain(
        cast("Podman", Service()),
        cast("Container", container),
        written,
        timeout=timeout,
        grace=0.0,
        gate=Gate(),
        hurry=anyio.Event(),
    )


async def test_a_deadline_that_comes_after_the_end_is_not_what_ended_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.engine.drain._REMOVAL_SECONDS", 0.3)
    drain = drain_of(Killed(), Written(), timeout=0.1)

    async with AsyncExitStack() as stack:
        await drain.start(stack)
        state = await drain.run()

    assert state.state.exit_code == 137
    assert not drain.deadline_hit


async def test_log_follow_may_not_end__the_containers_end_is_the_end_of_following() -> None:
    written = Written()
    drain = drain_of(Survivor(), written)

    with anyio.fail_after(5):
        async with AsyncExitStack() as stack:
            await drain.start(stack)
            state = await drain.run()

    assert state.state.ended
    assert written.data == b"before after"
    assert drain.problem is None
