"""What a command reads on its stdin: passed on to its end, and missed when podman dies over it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import anyio
import pytest

from barasync.aiopodman import (
    Attachment,
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
from barasync.engine.ending import NoVerdict
from barasync.engine.feeding import Feed, OpenStdin
from barasync.engine.gate import Gate
from barasync.errors import ConfigError

pytestmark = pytest.mark.anyio


def of(*pieces: bytes, then: Exception | None = None) -> OpenStdin:
    async def opened() -> AsyncGenerator[bytes]:
        for piece in pieces:
            yield piece
        if then is not None:
            raise then

    return opened


class Taking:
    """Takes what is sent, `most` pieces at most."""

    def __init__(self, most: int = 1000) -> None:
        self.taken: list[bytes] = []
        self.closed = anyio.Event()
        self._most = most

    async def send(self, data: bytes) -> None:
        if len(self.taken) == self._most:
            raise TransportError("nobody takes it")
        self.taken.append(data)

    async def close_stdin(self) -> None:
        self.closed.set()


async def fed(stdin: OpenStdin, taking: Taking) -> Feed:
    feed = Feed(stdin)
    await feed.into(cast("Attachment", taking))
    return feed


async def test_all_is_passed_on_and_then_its_end() -> None:
    taking = Taking()

    feed = await fed(of(b"a", b"b"), taking)

    assert (taking.taken, taking.closed.is_set()) == ([b"a", b"b"], True)
    assert feed.is_at_stake


async def test_what_nobody_takes_is_not_read_any_further() -> None:
    read: list[bytes] = []

    async def stdin() -> AsyncGenerator[bytes]:
        for piece in (b"a", b"b", b"c"):
            read.append(piece)
            yield piece

    taking = Taking(most=1)
    feed = await fed(stdin, taking)

    assert read == [b"a", b"b"]
    assert not taking.closed.is_set()
    assert feed.is_at_stake


async def test_nothing_is_at_stake_where_nothing_was_to_come() -> None:
    assert not (await fed(of(), Taking())).is_at_stake
    assert Feed(of()).is_at_stake


class Reading:
    """A container whose command reads stdin to its end.

    With `cut` its connection breaks then: because podman dies, unless the command has `status`.
    """

    def __init__(self, *, cut: bool, status: str = "running", later: bytes = b"") -> None:
        self.status = "running"
        self.killed = False
        self.talk = Taking()
        self._cut = cut
        self._then = status
        self._later = later

    @asynccontextmanager
    async def start_attached_stdin(
        self, received: Received, *, before_start: Callable[[], Any] | None
    ) -> AsyncIterator[Any]:
        del before_start

        async def output() -> AsyncIterator[Chunk]:
            await self.talk.closed.wait()
            chunk = Chunk(Stream.STDOUT, b"".join(self.talk.taken))
            received.add(chunk)
            yield chunk
            if self._cut:
                self.status = self._then
                raise TransportError("the connection broke")
            self.status = "exited"

        self.talk.output = output()  # type: ignore[attr-defined]  # as an attachment has
        yield self.talk

    async def inspect(self) -> ContainerInspect:
        return ContainerInspect(id="c", state=ContainerState(status=self.status))

    async def wait(self) -> int:
        self.status = "exited"
        return 0

    async def kill(self, _signal: str) -> None:
        self.killed = True

    @asynccontextmanager
    async def remaining_output(
        self, received: Received, *, follow: bool
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        del follow

        async def kept() -> AsyncIterator[Chunk]:
            yield Chunk(Stream.STDOUT, b"".join(self.talk.taken) + self._later)

        yield rest(received, kept())


class Service:
    """Stands for the client, of which a drain wants to know only how often podman was new."""

    def __init__(self, *, dies: bool) -> None:
        self._dies = dies
        self._counted = 0

    @property
    def presence(self) -> Service:
        return self

    async def count(self) -> int:
        self._counted += self._dies
        return self._counted


class Written:
    def __init__(self) -> None:
        self.data = b""

    async def write(self, chunk: Chunk) -> None:
        self.data += chunk.data


async def drained(
    container: Reading, stdin: OpenStdin, *, podman_dies: bool = False
) -> tuple[ContainerInspect, bytes]:
    written = Written()
    drain = Drain(
        cast("Podman", Service(dies=podman_dies)),
        cast("Container", container),
        written,
        timeout=None,
        grace=0.0,
        gate=Gate(),
        hurry=anyio.Event(),
        stdin=stdin,
    )
    with anyio.fail_after(30):
        async with AsyncExitStack() as stack:
            await drain.start(stack)
            state = await drain.run()
    assert drain.problem is None
    return state, written.data


async def test_a_command_has_its_stdin_and_its_output_is_written() -> None:
    state, written = await drained(Reading(cut=False), of(b"one ", b"two"))

    assert (state.state.status, written) == ("exited", b"one two")


async def test_a_stdin_that_podman_died_over_leaves_no_verdict() -> None:
    with pytest.raises(NoVerdict, match="which may not have had all of its stdin"):
        await drained(Reading(cut=True), of(b"one"), podman_dies=True)


async def test_a_stdin_without_anything_cannot_be_cut_short() -> None:
    state, _ = await drained(Reading(cut=True), of(), podman_dies=True)

    assert state.state.ended


async def test_a_connection_that_breaks_over_what_was_not_read_is_an_end_like_any_other() -> None:
    state, written = await drained(Reading(cut=True, status="exited"), of(b"one"))

    assert (state.state.status, written) == ("exited", b"one")


async def test_what_is_printed_after_stdin_was_closed_is_in_podmans_log() -> None:
    container = Reading(cut=True, later=b" and more")

    state, written = await drained(container, of(b"one"))

    assert (state.state.status, written) == ("exited", b"one and more")


async def test_a_stdin_that_cannot_be_read_ends_the_command_without_a_verdict() -> None:
    container = Reading(cut=False)

    with pytest.raises(NoVerdict, match="no such stdin; the command was ended"):
        await drained(container, of(b"one", then=ConfigError("no such stdin")))

    assert not container.talk.closed.is_set()
