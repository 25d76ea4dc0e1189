"""The last lines of a log, and a log that is followed to its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import anyio
import pytest

from barasync.aiopodman import Chunk, LogIncomplete, NotFound, PodmanError, Stream
from barasync.aiopodman.logs import LastLines, followed

pytestmark = pytest.mark.anyio

OUT, ERR = Stream.STDOUT, Stream.STDERR
GONE = NotFound(status=404, cause="", message="no such container", method="GET", path="/x")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


LOG = (
    Chunk(OUT, b"one\ntwo\nbeg"),
    Chunk(ERR, b"error\n"),
    Chunk(OUT, b"un\nthree\n"),
    Chunk(ERR, b"open"),
)


def last(count: int) -> dict[Stream, bytes]:
    lines = LastLines(count)
    whole = dict.fromkeys((OUT, ERR), b"")
    for chunk in LOG:
        lines.add(chunk)
        whole[chunk.stream] += chunk.data
    before = lines.before()
    return {stream: data[before[stream] :] for stream, data in whole.items()}


@pytest.mark.parametrize(
    ("count", "out", "err"),
    [
        (0, b"", b""),
        (1, b"", b"open"),
        (2, b"three\n", b"open"),
        (3, b"begun\nthree\n", b"open"),
        (4, b"begun\nthree\n", b"error\nopen"),
        (5, b"two\nbegun\nthree\n", b"error\nopen"),
        (100, b"one\ntwo\nbegun\nthree\n", b"error\nopen"),
    ],
)
def test_the_last_lines_are_whole_and_counted_over_both_streams(
    count: int, out: bytes, err: bytes
) -> None:
    assert last(count) == {OUT: out, ERR: err}


class Printed:
    """A container's log: what it has printed, and whether following it ends."""

    def __init__(self, *chunks: Chunk, ends: bool) -> None:
        self.chunks = chunks
        self.ends = ends
        self.seen = len(chunks)
        self.failure: PodmanError | None = None

    @asynccontextmanager
    async def __call__(self, *, follow: bool = False) -> AsyncIterator[AsyncIterator[Chunk]]:
        async with aclosing(self._read(follow=follow)) as chunks:
            yield chunks

    async def _read(self, *, follow: bool) -> AsyncGenerator[Chunk]:
        for chunk in self.chunks[: self.seen] if follow else self.chunks:
            yield chunk
        if follow and not self.ends:
            await anyio.sleep_forever()
        if self.failure is not None:
            raise self.failure


async def at_once() -> int:
    return 0


async def never() -> int:
    await anyio.sleep_forever()
    return 0


async def test_a_log_that_ends_is_read_once() -> None:
    log = Printed(*LOG, ends=True)

    with anyio.fail_after(50):
        async with followed(log, never) as chunks:
            assert [chunk async for chunk in chunks] == list(LOG)


@pytest.mark.parametrize("seen", range(len(LOG) + 1))
async def test_a_log_that_does_not_end_is_completed_once_the_container_has_ended(seen: int) -> None:
    log = Printed(*LOG, ends=False)
    log.seen = seen

    with anyio.fail_after(50):
        async with followed(log, at_once, grace=0.01) as chunks:
            came = [chunk async for chunk in chunks]

    for stream in (OUT, ERR):
        whole = b"".join(chunk.data for chunk in LOG if chunk.stream is stream)
        assert b"".join(chunk.data for chunk in came if chunk.stream is stream) == whole


async def test_a_reader_slower_than_the_grace_misses_and_repeats_nothing() -> None:
    log = Printed(*LOG, ends=False)
    came = []

    with anyio.fail_after(50):
        async with followed(log, at_once, grace=0) as chunks:
            async for chunk in chunks:
                came.append(chunk)
                await anyio.wait_all_tasks_blocked()

    assert b"".join(each.data for each in came if each.stream is OUT) == b"one\ntwo\nbegun\nthree\n"
    assert b"".join(each.data for each in came if each.stream is ERR) == b"error\nopen"


@pytest.mark.parametrize("ends", [True, False])
async def test_a_reader_that_leaves_early_ends_it(ends: bool) -> None:
    with anyio.fail_after(50):
        async with followed(Printed(*LOG, ends=ends), never) as chunks:
            assert await anext(chunks) == LOG[0]


async def test_what_podman_says_while_it_is_followed_is_raised_where_it_is_read() -> None:
    log = Printed(*LOG, ends=True)
    log.failure = GONE

    with anyio.fail_after(50):
        async with followed(log, never) as chunks:
            came = [await anext(chunks) for _ in LOG]
            with pytest.raises(NotFound):
                await anext(chunks)

    assert came == list(LOG)


async def test_a_container_that_is_gone_has_ended() -> None:
    async def gone() -> int:
        raise GONE

    with anyio.fail_after(50):
        async with followed(Printed(*LOG, ends=False), gone, grace=0.01) as chunks:
            assert [chunk async for chunk in chunks] == list(LOG)


async def follow(log: Printed, wait: Callable[[], Awaitable[int]]) -> None:
    with anyio.fail_after(50):
        async with followed(log, wait, grace=0.01) as chunks:
            async for _chunk in chunks:
                pass


async def test_what_goes_wrong_with_a_followed_log_leaves_its_block_as_it_is() -> None:
    log = Printed(*LOG, ends=True)
    log.failure = GONE

    async def fail() -> None:
        async with followed(Printed(*LOG, ends=False), never):
            raise ValueError("the caller's own")

    with pytest.raises(NotFound) as gone:
        await follow(log, never)
    with pytest.raises(ValueError, match="the caller's own"):
        await fail()

    assert gone.value is GONE


async def test_a_followed_log_that_is_begun_anew_leaves_its_block_as_that() -> None:
    log = Printed(*LOG, ends=False)

    async def begun_anew() -> int:
        await anyio.wait_all_tasks_blocked()
        log.chunks = LOG[2:]
        return 0

    with pytest.raises(LogIncomplete):
        await follow(log, begun_anew)


async def read_again(last: LastLines, *chunks: Chunk) -> list[Chunk]:
    async with Printed(*chunks, ends=True)() as log:
        return [chunk async for chunk in last.of(log)]


def lines_of(*chunks: Chunk, count: int = 1) -> LastLines:
    lines = LastLines(count)
    for chunk in chunks:
        lines.add(chunk)
    return lines


async def test_the_last_lines_of_the_same_log_have_what_came_since_behind_them() -> None:
    came = await read_again(lines_of(*LOG, count=2), *LOG, Chunk(ERR, b"ed\n"), Chunk(OUT, b"4\n"))

    assert came == [
        Chunk(OUT, b"three\n"),
        Chunk(ERR, b"open"),
        Chunk(ERR, b"ed\n"),
        Chunk(OUT, b"4\n"),
    ]


@pytest.mark.parametrize(
    "anew",
    [
        pytest.param([Chunk(OUT, b"four\n" * 100)], id="with more than there was"),
        pytest.param([Chunk(OUT, b"four\n")], id="with less"),
        pytest.param([Chunk(OUT, b"one\n")], id="in the same way, with less"),
        pytest.param([], id="with nothing"),
    ],
)
async def test_a_log_that_was_begun_anew_since_its_lines_were_counted_is_no_success(
    anew: list[Chunk],
) -> None:
    with pytest.raises(LogIncomplete):
        await read_again(lines_of(*LOG), *anew)


async def test_a_long_log_is_known_again_and_one_that_begins_otherwise_is_another() -> None:
    long = [Chunk(OUT, b"%05d\n" % number * 10_000) for number in range(50)]

    assert await read_again(lines_of(*long), *long) == [Chunk(OUT, b"00049\n")]
    with pytest.raises(LogIncomplete):
        await read_again(lines_of(*long), *long[1:], *long)
