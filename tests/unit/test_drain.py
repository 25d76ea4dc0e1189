"""A container's output after podman died under it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import cast

import anyio
import pytest

from barasync.aiopodman import (
    Chunk,
    Container,
    ContainerInspect,
    ContainerState,
    HostConfig,
    LogConfig,
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
    async def start_attached(
        self, received: Received, **_hooks: object
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
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
    async def start_attached(
        self, _received: Received, **_hooks: object
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        async def nothing() -> AsyncIterator[Chunk]:
            return
            yield

        yield nothing()

    async def inspect(self) -> ContainerInspect:
        return ContainerInspect(id="c", state=ContainerState(status="exited", exit_code=137))

    @asynccontextmanager
    async def remaining_output(
        self, _received: Received, *, follow: bool
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        del follow
        yield chunks_of()


async def chunks_of(*chunks: Chunk) -> AsyncIterator[Chunk]:
    for chunk in chunks:
        yield chunk


class CutShort:
    """Printed `log`, of which `came` arrived in a stream that ended in order as it did."""

    def __init__(self, came: bytes, *log: bytes, path: str = "") -> None:
        self.came = came
        self.log = [Chunk(Stream.STDOUT, data) for data in log]
        self.path = path
        self.logs_read = 0

    @asynccontextmanager
    async def start_attached(
        self, received: Received, **_hooks: object
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        chunks = [Chunk(Stream.STDOUT, self.came)] if self.came else []
        for chunk in chunks:
            received.add(chunk)
        yield chunks_of(*chunks)

    async def inspect(self) -> ContainerInspect:
        kept = HostConfig(log_config=LogConfig(path=self.path))
        return ContainerInspect(id="c", state=ContainerState(status="exited"), host_config=kept)

    @asynccontextmanager
    async def remaining_output(
        self, received: Received, *, follow: bool
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        del follow
        self.logs_read += 1
        yield rest(received, chunks_of(*self.log))


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


async def drained(container: CutShort) -> tuple[Drain, bytes]:
    written = Written()
    drain = drain_of(container, written)
    async with AsyncExitStack() as stack:
        await drain.start(stack)
        await drain.run()
    return drain, written.data


@pytest.mark.parametrize("came", [b"", b"one\n"])
async def test_what_a_stream_that_ends_in_order_left_out_is_added_from_the_log(came: bytes) -> None:
    drain, written = await drained(CutShort(came, b"one\n", b"two\n"))

    assert written == b"one\ntwo\n"
    assert drain.problem is None
    assert drain.recovered


@pytest.mark.parametrize(("missing", "reads"), [(0, 0), (1, 1)])
async def test_the_log_is_read_only_where_its_file_is_not_as_long_as_what_came(
    tmp_path: Path, missing: int, reads: int
) -> None:
    lines = [b"line %d\n" % number for number in range(20_000)]
    came = b"".join(lines[missing:]) if missing == 0 else b"".join(lines[:-missing])
    file = tmp_path / "ctr.log"
    file.write_bytes(b"".join(bytes(45) + line for line in lines))
    container = CutShort(came, b"".join(lines), path=str(file))

    _, written = await drained(container)

    assert written == b"".join(lines)
    assert container.logs_read == reads


async def test_a_beginning_that_only_the_log_has_is_a_problem() -> None:
    drain, _ = await drained(CutShort(b"two\n", b"one\n", b"two\n"))

    assert drain.problem is not None
    assert "podman did not pass on the first 4 bytes of stdout" in drain.problem


async def test_a_log_that_lacks_what_came_leaves_a_doubt_and_no_problem() -> None:
    drain, written = await drained(CutShort(b"one\ntwo\n", b"one\n"))

    assert written == b"one\ntwo\n"
    assert drain.problem is None
    assert drain.doubt is not None
    assert "cannot be verified" in drain.doubt


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
