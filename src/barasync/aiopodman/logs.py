"""A container's log for whoever reads it: the last lines of it, and all of it to its end.

Podman cuts a line of `tail` where that was printed in pieces (`quirks.TAIL_CUTS_A_LINE`), and the
log that old podmans follow may never end (`quirks.LOG_FOLLOW_MAY_NOT_END`). Neither happens here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Protocol

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

from barasync.aiopodman.container import Container
from barasync.aiopodman.errors import LogIncomplete, NotFound, PodmanError
from barasync.aiopodman.output import Beginning, Received, rest
from barasync.aiopodman.wire.frames import Chunk, Stream

_GRACE_SECONDS = 2.0
"""How long a log that is followed may go on after its container has ended: podman polls the file
four times a second."""

_POLL_SECONDS = 0.25


class OpenLog(Protocol):
    """Opens a log from its beginning; with `follow` it goes on as the container prints."""

    def __call__(
        self, *, follow: bool = False
    ) -> AbstractAsyncContextManager[AsyncIterator[Chunk]]:
        """Open it for a block."""


class LastLines:
    """Tells where the last lines of a log begin, by how much of each stream is before them.

    It keeps the lengths of `count` lines, and the beginning of each stream, by which the log is
    known again. A line of one stream that goes on after one of the other counts once, where it
    ends; what has no end yet counts as well.
    """

    def __init__(self, count: int) -> None:
        self._beginning = Beginning()
        self._count = count
        self._lines: deque[tuple[Stream, int]] = deque(maxlen=count)
        self._begun: dict[Stream, int] = {}
        self._totals: dict[Stream, int] = {}

    def add(self, chunk: Chunk) -> None:
        """Take note of the lines of a chunk."""
        self._beginning.add(chunk)
        stream, data = chunk.stream, chunk.data
        self._totals[stream] = self._totals.get(stream, 0) + len(data)
        begin = 0
        while (end := data.find(b"\n", begin) + 1) > 0:
            self._lines.append((stream, self._begun.pop(stream, 0) + end - begin))
            begin = end
        if begin < len(data):
            # It is begun anew where it goes on, so that the last one to go on comes last.
            self._begun[stream] = self._begun.pop(stream, 0) + len(data) - begin

    def before(self) -> dict[Stream, int]:
        """Return how many bytes of each stream come before the last lines."""
        lines = deque([*self._lines, *self._begun.items()], maxlen=self._count)
        before = dict(self._totals)
        for stream, length in lines:
            before[stream] -= length
        return before

    async def of(self, log: AsyncIterator[Chunk]) -> AsyncGenerator[Chunk]:
        """Yield the last lines of `log`, the same one from its beginning, and what follows them.

        Raises:
            LogIncomplete: it is another one, or ends before they begin.
        """
        left = self.before()
        expected = {stream: bytes(kept) for stream, kept in self._beginning.streams.items()}
        skipped = Beginning(self._beginning.limit)
        async for chunk in log:
            overlap = min(left.get(chunk.stream, 0), len(chunk.data))
            if overlap:
                left[chunk.stream] -= overlap
                skipped.add(Chunk(chunk.stream, chunk.data[:overlap]))
                if not expected[chunk.stream].startswith(skipped.streams[chunk.stream]):
                    raise LogIncomplete("podman has begun the log anew while it was read")
            if overlap < len(chunk.data):
                yield Chunk(chunk.stream, chunk.data[overlap:])
        if any(left.values()):
            raise LogIncomplete("podman has begun the log anew while it was read")


@asynccontextmanager
async def whole_log(
    container: Container,
    *,
    follow: bool = False,
    tail: int | None = None,
    since: datetime | None = None,
    timestamps: bool = False,
) -> AsyncIterator[AsyncIterator[Chunk]]:
    """Yield all output that podman has kept, that after `since`, or the last `tail` lines of it.

    With `follow` it goes on until the container ends, silent or not, on every podman, and the block
    is entered at once. One that has not been started counts as ended. Memory is bounded by `tail`,
    for which the log is read twice.

    Raises:
        NotFound: there is no such container; while iterating, it was removed meanwhile, and what
            it printed last may be missing.
        LogIncomplete: while iterating, podman has begun the log anew while it was followed, or
            between the two readings.

    Source: `GET /libpod/containers/{id}/logs`, `POST /libpod/containers/{id}/wait`.
    """
    open_log: OpenLog = partial(container.logs, since=since, timestamps=timestamps)
    last: LastLines | None = None
    if tail is not None:
        last = LastLines(tail)
        async with open_log() as log:
            async for chunk in log:
                last.add(chunk)
    wait = partial(container.wait, interval=_POLL_SECONDS)
    opened = followed(open_log, wait) if follow else open_log()
    async with opened as log:
        if last is None:
            yield log
        else:
            async with aclosing(last.of(log)) as chunks:
                yield chunks


@asynccontextmanager
async def followed(
    open_log: OpenLog, wait: Callable[[], Awaitable[object]], *, grace: float = _GRACE_SECONDS
) -> AsyncIterator[AsyncIterator[Chunk]]:
    """Yield a log as it is printed, until `wait` has answered and all of it has come.

    Where following it does not end `grace` seconds after that, the rest is read without.

    Raises:
        NotFound, LogIncomplete: while iterating, as `whole_log`.
    """
    send, receive = anyio.create_memory_object_stream[Chunk | PodmanError]()
    raised: Exception | None = None
    async with anyio.create_task_group() as group, receive:
        group.start_soon(_Following(open_log, send).run, wait, grace)
        try:
            async with aclosing(_received(receive)) as chunks:
                yield chunks
        except Exception as error:  # noqa: BLE001 - raised below, as it is and not in a group
            raised = error
        group.cancel_scope.cancel()
    if raised is not None:
        raise raised


class _Following:
    """Reads a log to its end for somebody else, who gets it through `send`."""

    def __init__(
        self, open_log: OpenLog, send: MemoryObjectSendStream[Chunk | PodmanError]
    ) -> None:
        self._open_log = open_log
        self._send = send
        self._received = Received()
        self._ended = anyio.Event()

    async def run(self, wait: Callable[[], Awaitable[object]], grace: float) -> None:
        """Send all of the log, or why that is not all."""
        async with self._send:
            try:
                await self._read_while(wait, grace)
                if not self._ended.is_set():
                    await self._read_rest()
            except PodmanError as error:
                with suppress(anyio.BrokenResourceError):
                    await self._send.send(error)
            except anyio.BrokenResourceError:
                # Whoever reads has left.
                return

    async def _read_while(self, wait: Callable[[], Awaitable[object]], grace: float) -> None:
        failure: Exception | None = None
        async with anyio.create_task_group() as group:

            async def read() -> None:
                nonlocal failure
                try:
                    await self._read()
                except (PodmanError, anyio.BrokenResourceError) as error:
                    failure = error
                self._ended.set()
                group.cancel_scope.cancel()

            group.start_soon(read)
            try:
                await wait()
            except NotFound:
                # It was removed, which takes it that it has ended.
                pass
            except PodmanError as error:
                failure = error
                group.cancel_scope.cancel()
            with anyio.move_on_after(grace):
                await self._ended.wait()
            group.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def _read(self) -> None:
        async with self._open_log(follow=True) as log:
            async for chunk in log:
                self._received.add(chunk)
                # What is counted is sent, also when it is time to stop.
                with anyio.CancelScope(shield=True):
                    await self._send.send(chunk)

    async def _read_rest(self) -> None:
        async with self._open_log() as log, aclosing(rest(self._received, log)) as chunks:
            async for chunk in chunks:
                await self._send.send(chunk)


async def _received(
    chunks: MemoryObjectReceiveStream[Chunk | PodmanError],
) -> AsyncGenerator[Chunk]:
    async for chunk in chunks:
        if isinstance(chunk, PodmanError):
            raise chunk
        yield chunk
