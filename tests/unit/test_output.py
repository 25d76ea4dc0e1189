"""What a container printed is compared with podman's log, and read from it where nothing came."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NoReturn

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barasync.aiopodman import Chunk, LogIncomplete, OutputLost, Stream
from barasync.aiopodman.output import (
    BEGINNING_BYTES,
    Beginning,
    Received,
    complete,
    is_as_long_as_its_log,
    missing_bytes,
    rest,
)
from barasync.aiopodman.spec import LOG_BYTES
from barasync.aiopodman.wire.frames import FrameDecoder

pytestmark = pytest.mark.anyio

NOTICE = b"Error: read unixpacket @->/proc/self/fd/35/attach: read: connection reset by peer\r\n"


def out(data: bytes) -> Chunk:
    return Chunk(Stream.STDOUT, data)


def err(data: bytes) -> Chunk:
    return Chunk(Stream.STDERR, data)


async def chunks_of(chunks: Iterable[Chunk]) -> AsyncIterator[Chunk]:
    for chunk in chunks:
        yield chunk


async def completed(attached: Iterable[Chunk], log: Iterable[Chunk]) -> list[Chunk]:
    @asynccontextmanager
    async def open_log() -> AsyncIterator[AsyncIterator[Chunk]]:
        yield chunks_of(log)

    return [chunk async for chunk in complete(chunks_of(attached), open_log, Received())]


@pytest.mark.parametrize("notice", [err(NOTICE), out(NOTICE)], ids=["frames", "a terminal"])
async def test_the_log_is_replayed_when_the_connection_was_never_accepted(notice: Chunk) -> None:
    log = [out(b"one\n"), err(b"two\n")]

    assert await completed([notice], log) == log


async def test_the_log_of_a_container_that_prints_nothing_is_not_read() -> None:
    def open_log() -> NoReturn:
        raise AssertionError

    assert [chunk async for chunk in complete(chunks_of([]), open_log, Received())] == []


@pytest.mark.parametrize(
    "printed",
    [
        [out(b"one\n"), err(b"two\n")],
        [err(NOTICE), out(b"more\n")],
        [out(b"before\n"), err(NOTICE)],
        [err(NOTICE + b"and more\n")],
    ],
)
async def test_what_came_is_passed_on_as_it_is(printed: list[Chunk]) -> None:
    assert await completed(printed, printed) == printed


async def test_a_container_may_print_podmans_words() -> None:
    assert await completed([err(NOTICE)], [err(NOTICE)]) == [err(NOTICE)]


@pytest.mark.parametrize(
    ("attached", "log", "lost"),
    [
        ([out(b"two\n")], [out(b"one\ntwo\n")], "4 bytes of stdout"),
        ([out(b"y\n" * 50)], [out(b"y\n" * 80)], "60 bytes of stdout"),
        ([out(b"one\n")], [out(b"one\n"), err(b"oh\n")], "3 bytes of stderr"),
        (
            [out(bytes(range(256)) * 1000)],
            [out(b"lost" + bytes(range(256)) * 1000)],
            "4 bytes of stdout",
        ),
    ],
)
async def test_a_missing_beginning_is_an_error(
    attached: list[Chunk], log: list[Chunk], lost: str
) -> None:
    with pytest.raises(OutputLost, match=lost):
        await completed(attached, log)


async def test_the_log_is_compared_once_and_no_more_of_it_is_read_than_that_takes() -> None:
    piece = bytes(8192)
    read = opened = 0

    async def endless() -> AsyncIterator[Chunk]:
        nonlocal read
        while True:
            read += len(piece)
            yield out(piece)

    @asynccontextmanager
    async def open_log() -> AsyncIterator[AsyncIterator[Chunk]]:
        nonlocal opened
        opened += 1
        yield endless()

    output = complete(chunks_of([out(piece)] * 100), open_log, Received())

    assert sum([len(chunk.data) async for chunk in output]) == 100 * len(piece)
    assert opened == 1
    assert read == 2 * BEGINNING_BYTES


async def test_a_log_that_is_ahead_of_what_came_is_no_loss() -> None:
    stdout = [out(b"%06d\n" % number) for number in range(20_000)]

    printed = await completed(stdout, [err(b"soon to come\n"), *stdout])

    assert printed == stdout


async def resumed(received: Received, log: Iterable[Chunk]) -> bytes:
    return b"".join([chunk.data async for chunk in rest(received, chunks_of(log))])


def after(*chunks: Chunk) -> Received:
    received = Received()
    for chunk in chunks:
        received.add(chunk)
    return received


async def test_the_log_goes_on_where_the_stream_broke_off() -> None:
    received = after(out(b"one\ntw"), err(b"x"))
    log = [out(b"one\n"), err(b"xy"), out(b"two\n"), out(b"three\n")]

    assert await resumed(received, log) == b"yo\nthree\n"
    assert received.totals == {Stream.STDOUT: 14, Stream.STDERR: 2}
    assert await resumed(received, log) == b""


@given(st.binary(min_size=1, max_size=500), st.data())
def test_wherever_a_stream_breaks_off_nothing_is_lost_or_doubled(
    data: bytes, cuts: st.DataObject
) -> None:
    came = cuts.draw(st.integers(0, len(data)))
    frame = cuts.draw(st.integers(1, 64))
    log = [out(data[start : start + frame]) for start in range(0, len(data), frame)]
    received = after(out(data[:came])) if came else Received()

    assert anyio.run(resumed, received, log) == data[came:]


@pytest.mark.parametrize(
    ("log", "message"),
    [
        ([out(b"four\n")], "no longer holds the beginning"),
        ([out(b"one\n")], "ends before its output was cut off"),
        ([err(b"one\ntwo\n")], "ends before its output was cut off"),
    ],
)
async def test_a_log_that_does_not_have_what_came_is_an_error(
    log: list[Chunk], message: str
) -> None:
    with pytest.raises(LogIncomplete, match=message):
        await resumed(after(out(b"one\ntwo\n")), log)


async def test_a_log_that_has_more_at_the_beginning_is_a_loss() -> None:
    with pytest.raises(OutputLost, match="first 4 bytes of stdout"):
        await resumed(after(out(b"two\n")), [out(b"one\n"), out(b"two\n")])


def frames(*frames: Chunk) -> Received:
    """What a connection brought, through the decoder."""
    headed = b"".join(
        bytes([one.stream, 0, 0, 0]) + len(one.data).to_bytes(4, "big") + one.data for one in frames
    )
    return after(*FrameDecoder().feed(headed))


@pytest.mark.parametrize(
    ("received", "length"),
    [
        (frames(), 0),
        (frames(out(b"one\n")), 49),
        (frames(out(b"one")), 49),
        (frames(out(b"one"), out(b"two"), err(b"err\n")), 147),
        (frames(out(b"a\nb\nc"), out(b"\n")), 47 + 47 + 47 + 46),
    ],
)
async def test_what_came_tells_how_long_the_log_is(
    tmp_path: Path, received: Received, length: int
) -> None:
    log = tmp_path / "ctr.log"
    log.write_bytes(bytes(length))
    longer = tmp_path / "longer.log"
    longer.write_bytes(bytes(length + 46))

    assert received.log_bytes == length
    assert await is_as_long_as_its_log(received, str(log)) is True
    assert await is_as_long_as_its_log(received, str(longer)) is False


async def test_the_length_of_a_log_that_is_not_here_or_was_begun_anew_tells_nothing(
    tmp_path: Path,
) -> None:
    log = tmp_path / "ctr.log"
    log.write_bytes(b"")
    long = after(*[out(bytes(LOG_BYTES // 4))] * 5)

    assert await is_as_long_as_its_log(Received(), str(tmp_path / "other")) is None
    assert await is_as_long_as_its_log(Received(), "") is None
    assert await is_as_long_as_its_log(long, str(log)) is None


async def test_whatever_is_wrong_with_the_log_all_that_comes_is_read() -> None:
    @asynccontextmanager
    async def open_log() -> AsyncIterator[AsyncIterator[Chunk]]:
        yield chunks_of([out(b"lost"), *printed])

    printed = [out(bytes(range(256)) * 32)] * 40
    received = Received()
    with pytest.raises(OutputLost, match="4 bytes of stdout"):
        [chunk async for chunk in complete(chunks_of(printed), open_log, received)]

    assert received.totals == {Stream.STDOUT: 40 * 8192}


async def test_who_checks_the_end_himself_has_the_log_left_alone() -> None:
    def open_log() -> NoReturn:
        raise AssertionError

    output = complete(chunks_of([out(b"one\n")]), open_log, Received(), check_end=False)

    assert [chunk async for chunk in output] == [out(b"one\n")]


def test_a_beginning_is_bounded() -> None:
    beginning = Beginning()

    for _ in range(100):
        beginning.add(out(bytes(5000)))

    assert beginning.bytes == BEGINNING_BYTES


@given(st.binary(max_size=2000), st.integers(0, 2000))
def test_every_loss_at_the_beginning_of_a_short_stream_is_counted(data: bytes, lost: int) -> None:
    received = data[lost:]

    assert missing_bytes(data, received, ended=True) == len(data) - len(received)


@given(st.binary(max_size=2000), st.integers(0, 2000), st.booleans())
def test_either_may_be_ahead_of_the_other(data: bytes, cut: int, log_is_ahead: bool) -> None:
    recorded, received = (data, data[:cut]) if log_is_ahead else (data[:cut], data)

    assert missing_bytes(recorded, received, ended=False) == 0


def test_a_log_that_was_rotated_is_no_loss() -> None:
    received = b"".join(b"line %d\n" % number for number in range(20_000))[:BEGINNING_BYTES]

    assert missing_bytes(b"line 19999\n", received, ended=False) == 0
