"""Connections that are given over, against a real socket: what is asked, sent, and made of it."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path

import anyio
import pytest

from barasync.aiopodman import (
    Chunk,
    Container,
    NotFound,
    ProtocolError,
    RequestTimeout,
    Stream,
    StreamTruncated,
)
from tests.unit.given_over import GIVEN_OVER, RESET, documented, serving
from tests.unit.recorded import CONTAINER, ID, answering, frame

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_attach_asks_for_the_connection_and_for_no_detach_keys(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, GIVEN_OVER) as (libpod, server),
        Container(libpod, ID).attach_stdin(stderr=False) as attachment,
    ):
        assert [chunk async for chunk in attachment.output] == []

    first, *headers = server.heads[0].decode().split("\r\n")
    assert first == (
        f"POST /v5.4.2{CONTAINER}/attach?stdin=true&stdout=true&stderr=false&stream=true"
        "&detachKeys= HTTP/1.1"
    )
    assert {"upgrade: tcp", "connection: upgrade"} <= {header.lower() for header in headers}


async def test_output_that_comes_with_the_answer_is_not_lost(tmp_path: Path) -> None:
    answer = GIVEN_OVER + frame(1, b"out\n") + frame(2, b"err\n")

    async with (
        serving(tmp_path, answer) as (libpod, _),
        Container(libpod, ID).attach_stdin() as attachment,
    ):
        chunks = [chunk async for chunk in attachment.output]

    assert chunks == [Chunk(Stream.STDOUT, b"out\n"), Chunk(Stream.STDERR, b"err\n")]


async def test_a_terminals_output_has_no_frames(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, GIVEN_OVER + b"\1\0\0\0ready\r\n") as (libpod, _),
        Container(libpod, ID, terminal=True).attach_stdin() as attachment,
    ):
        chunks = [chunk async for chunk in attachment.output]

    assert b"".join(chunk.data for chunk in chunks) == b"\1\0\0\0ready\r\n"


async def test_what_several_tasks_send_arrives_unmixed_and_then_its_end(tmp_path: Path) -> None:
    letters = [bytes([letter]) * 300_000 for letter in b"abc"]

    async with (
        serving(tmp_path, GIVEN_OVER, waits=True) as (libpod, server),
        Container(libpod, ID).attach_stdin() as attachment,
    ):
        async with anyio.create_task_group() as group:
            for data in letters:
                group.start_soon(attachment.send, data)
        await attachment.close_stdin()
        await attachment.close_stdin()
        assert [chunk async for chunk in attachment.output] == []
        with pytest.raises(ValueError, match="closed"):
            await attachment.send(b"more")

    assert server.sent in {b"".join(order) for order in permutations(letters)}


async def test_a_frame_that_breaks_off_is_an_error(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, GIVEN_OVER + frame(1, b"whole")[:-1]) as (libpod, _),
        Container(libpod, ID).attach_stdin() as attachment,
    ):
        with pytest.raises(StreamTruncated):
            [chunk async for chunk in attachment.output]


async def test_podmans_notice_at_the_end_is_no_output_and_elsewhere_it_is(tmp_path: Path) -> None:
    said = [frame(2, b"before\n" + RESET), frame(1, b"between\n" + RESET), frame(2, RESET)]
    at_last = [frame(2, RESET), frame(2, b"last" + RESET)]

    async with (
        serving(tmp_path, GIVEN_OVER + b"".join(said + at_last)) as (libpod, _),
        Container(libpod, ID).attach_stdin() as attachment,
    ):
        chunks = [chunk async for chunk in attachment.output]

    printed = dict.fromkeys(Stream, b"")
    for chunk in chunks:
        printed[chunk.stream] += chunk.data
    assert printed[Stream.STDOUT] == b"between\n" + RESET
    assert printed[Stream.STDERR] == b"before\n" + 3 * RESET + b"last"


DETACHED = b"Error: detached from container\r\n"
UNTAKEN = b"Error: write unixpacket @->/run/x/attach: write: broken pipe\n"


@pytest.mark.parametrize("notice", [RESET, UNTAKEN, DETACHED], ids=["reset", "untaken", "detached"])
@pytest.mark.parametrize(
    ("cut", "terminal"),
    # Of a terminal nothing tells that the rest is on its way, so that little is not held back.
    [(1, False), (7, False)]
    + [(cut, terminal) for cut in (8, 20, 24, -2, -1) for terminal in (False, True)],
)
async def test_a_notice_that_comes_in_two_reads_is_no_output(
    tmp_path: Path, notice: bytes, cut: int, terminal: bool
) -> None:
    whole = b"last" + notice if terminal else frame(2, b"last" + notice)
    cut += len(whole) if cut < 0 else len(whole) - len(notice)

    async with (
        serving(tmp_path, GIVEN_OVER + whole[:cut], rest=whole[cut:]) as (libpod, _),
        Container(libpod, ID, terminal=terminal).attach_stdin() as attachment,
    ):
        first = await anext(attachment.output)
        await attachment.send(b"x")
        more = [chunk async for chunk in attachment.output]

    assert (first.data, more) == (b"last", [])


@pytest.mark.parametrize("terminal", [False, True])
async def test_what_only_begins_as_a_notice_is_output(tmp_path: Path, terminal: bool) -> None:
    begun, more = b"last" + RESET[:30], b" and more\nError: det"
    whole = begun + more if terminal else frame(2, begun + more)
    cut = len(whole) - len(more)

    async with (
        serving(tmp_path, GIVEN_OVER + whole[:cut], rest=whole[cut:]) as (libpod, _),
        Container(libpod, ID, terminal=terminal).attach_stdin() as attachment,
    ):
        chunks = [await anext(attachment.output)]
        await attachment.send(b"x")
        chunks += [chunk async for chunk in attachment.output]

    assert b"".join(chunk.data for chunk in chunks) == begun + more


@pytest.mark.parametrize(
    ("printed", "terminal"),
    [(frame(2, b"E"), False), (frame(2, RESET[:30]), False), (b"E", True), (b"$ Error: ", True)],
)
async def test_whoever_waits_for_an_answer_is_heard_whatever_the_question_ends_with(
    tmp_path: Path, printed: bytes, terminal: bool
) -> None:
    async with (
        serving(tmp_path, GIVEN_OVER + printed, waits=True) as (libpod, _),
        Container(libpod, ID, terminal=terminal).attach_stdin() as attachment,
    ):
        with anyio.fail_after(50):
            assert printed.endswith((await anext(attachment.output)).data)


async def test_what_a_command_prints_last_on_stdout_is_output_whatever_it_is(
    tmp_path: Path,
) -> None:
    async with (
        serving(tmp_path, GIVEN_OVER + frame(1, b"a\n" + RESET)) as (libpod, _),
        Container(libpod, ID).attach_stdin() as attachment,
    ):
        printed = b"".join([chunk.data async for chunk in attachment.output])

    assert printed == b"a\n" + RESET


async def test_that_podman_detached_is_no_output(tmp_path: Path) -> None:
    answer = GIVEN_OVER + b"$ Error: detached from container\n"

    async with (
        serving(tmp_path, answer) as (libpod, _),
        Container(libpod, ID, terminal=True).attach_stdin() as attachment,
    ):
        chunks = [chunk async for chunk in attachment.output]

    assert b"".join(chunk.data for chunk in chunks) == b"$ "


async def test_a_refusal_is_the_error_that_its_cause_says(tmp_path: Path) -> None:
    answer = documented(500, {"cause": "no such container", "message": "x", "response": 500})

    async with serving(tmp_path, answer) as (libpod, _):
        with pytest.raises(NotFound, match=f"POST {CONTAINER}/attach: 500"):
            async with Container(libpod, ID).attach_stdin():
                pytest.fail("it was attached")


async def test_an_answer_without_the_connection_is_not_podmans_protocol(tmp_path: Path) -> None:
    async with serving(tmp_path, b"HTTP/1.1 200 OK\r\n\r\n") as (libpod, _):
        with pytest.raises(ProtocolError, match="not given over"):
            async with Container(libpod, ID).attach_stdin():
                pytest.fail("it was attached")


async def test_a_silent_service_is_given_up_and_the_connection_closed(tmp_path: Path) -> None:
    async with serving(tmp_path, b"", waits=True, within=1) as (libpod, _):
        with pytest.raises(RequestTimeout):
            async with Container(libpod, ID).attach_stdin():
                pytest.fail("it was attached")


async def test_cancelled_while_nothing_comes_it_leaves_no_connection(tmp_path: Path) -> None:
    async with (
        serving(tmp_path, GIVEN_OVER, waits=True) as (libpod, _),
        Container(libpod, ID).attach_stdin() as attachment,
    ):
        with anyio.move_on_after(0.01) as waiting:
            await anext(attachment.output)

    assert waiting.cancelled_caught


async def test_resize_gives_columns_and_rows() -> None:
    service = answering(201)

    async with service.client() as podman:
        await podman.containers.handle(ID).resize(100, 33)

    assert service.only.path == f"{CONTAINER}/resize"
    assert service.only.query == {"w": ["100"], "h": ["33"]}
