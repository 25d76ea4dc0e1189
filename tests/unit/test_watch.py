"""Events across the outages of a service: none told twice, none left out."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest

from barasync.aiopodman import (
    ConnectError,
    Event,
    EventActor,
    EventsLost,
    NotFound,
    Podman,
    RequestTimeout,
)
from barasync.aiopodman.watch import LATE_SECONDS, MOST_KEPT, Horizon
from tests.unit.recorded import ENDPOINT, ID, NOON

pytestmark = pytest.mark.anyio

SECOND = 1_000_000_000
BEGINNING = int(NOON.timestamp()) * SECOND


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def event(nanoseconds: int, action: str = "start") -> Event:
    return Event(
        type="container", action=action, actor=EventActor(id=ID), time_nano=BEGINNING + nanoseconds
    )


def record(nanoseconds: int, action: str = "start", kind: str = "container") -> bytes:
    document = {
        "Type": kind,
        "Action": action,
        "Actor": {"ID": ID},
        "timeNano": BEGINNING + nanoseconds,
    }
    return json.dumps(document).encode() + b"\n"


async def broken(*pieces: bytes) -> AsyncIterator[bytes]:
    """A stream whose service dies."""
    for piece in pieces:
        yield piece
    raise httpx2.ReadError("reset")


async def ended(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


Connection = Callable[[], httpx2.Response]


@asynccontextmanager
async def service(
    *connections: Connection, version: str = "4.3.1", cuts: AsyncIterator[bytes] | None = None
) -> AsyncIterator[tuple[Podman, list[str]]]:
    """A podman that answers each request for events in turn, and the `since` of each.

    `cuts` are the events of its own about its file, which a newer one is asked for.
    """
    answers = iter(connections)
    asked: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": version})
        if "log-rotation" in request.url.params.get("filters", ""):
            return httpx2.Response(200, content=cuts)
        asked.append(request.url.params["since"])
        assert request.url.params["stream"] == "true"
        return next(answers)()

    async with Podman(ENDPOINT, transport=httpx2.MockTransport(handle)) as podman:
        yield podman, asked


async def take(events: AsyncIterator[Event], count: int) -> list[int]:
    with anyio.fail_after(60):
        return [(await anext(events)).time_nano - BEGINNING for _ in range(count)]


def streaming(content: Callable[..., AsyncIterator[bytes]], *pieces: bytes) -> Connection:
    return lambda: httpx2.Response(200, content=content(*pieces))


@pytest.mark.parametrize("cut", [broken, ended], ids=["broken off", "ended"])
async def test_a_watch_goes_on_where_its_connection_ended(
    cut: Callable[..., AsyncIterator[bytes]],
) -> None:
    seconds = [second * SECOND for second in (1, 20, 22)]
    first = [record(each) for each in seconds[:2]]
    again = [record(20 * SECOND), record(20 * SECOND - 1), record(22 * SECOND)]
    async with (
        service(streaming(cut, *first), streaming(cut, b"".join(again))) as (podman, asked),
        podman.watch(since=NOON) as events,
    ):
        found = await take(events, 4)

    assert found == [*seconds[:2], 20 * SECOND - 1, seconds[2]]
    assert asked == ["2026-11-23T12:00:00.000000000Z", "2026-11-23T12:00:15.000000000Z"]


async def test_a_record_that_was_cut_is_told_when_it_is_whole() -> None:
    whole = record(3)
    async with (
        service(streaming(ended, whole[:20]), streaming(ended, whole)) as (podman, _),
        podman.watch(since=NOON) as events,
    ):
        assert await take(events, 1) == [3]


async def test_an_iteration_that_was_cancelled_goes_on() -> None:
    both = streaming(ended, record(1) + record(2))
    begun = anyio.Event()

    async def begins() -> AsyncIterator[bytes]:
        begun.set()
        await anyio.sleep_forever()
        yield b""

    async with (
        service(streaming(begins), both, both) as (podman, asked),
        podman.watch(since=NOON) as events,
    ):
        async with anyio.create_task_group() as group:
            group.start_soon(anext, events)
            await begun.wait()
            group.cancel_scope.cancel()
        assert await take(events, 2) == [1, 2]

    assert len(asked) == 2


async def test_a_service_that_stays_away_is_an_error_and_the_watch_may_go_on() -> None:
    def away() -> httpx2.Response:
        raise httpx2.ConnectError("nobody")

    async with (
        service(streaming(broken, record(1)), away, streaming(ended, record(1), record(2))) as (
            podman,
            _,
        ),
        podman.watch(since=NOON) as events,
    ):
        assert await take(events, 1) == [1]
        with pytest.raises(ConnectError):
            await anext(events)
        assert await take(events, 1) == [2]


async def test_a_refusal_is_no_outage() -> None:
    refusal = {"cause": "no such container", "message": "no such container", "response": 404}
    async with (
        service(lambda: httpx2.Response(404, json=refusal)) as (podman, _),
        podman.watch() as events,
    ):
        with pytest.raises(NotFound):
            await anext(events)


async def test_a_record_that_begins_behind_what_was_told_is_a_gap_that_is_told_once() -> None:
    later = [record(20 * SECOND), record(21 * SECOND)]
    async with (
        service(
            streaming(broken, record(SECOND), record(9 * SECOND)),
            streaming(ended, *later),
            streaming(ended, *later),
            streaming(ended, *later, record(22 * SECOND)),
        ) as (podman, asked),
        podman.watch(since=NOON) as events,
    ):
        found = await take(events, 2)
        with pytest.raises(EventsLost, match=r"no record of its events since .* 12:00:09") as lost:
            await anext(events)
        found += await take(events, 3)

    assert lost.value.since == NOON + dt.timedelta(seconds=9)
    assert found == [each * SECOND for each in (1, 9, 20, 21, 22)]
    assert asked[1:3] == ["2026-11-23T12:00:04.000000000Z"] * 2


async def test_what_a_newer_podman_misses_at_a_cut_of_its_file_is_asked_for_again() -> None:
    cut = anyio.Event()

    async def follows() -> AsyncIterator[bytes]:
        yield record(1)
        if cut.is_set():
            yield record(2)
        await anyio.sleep_forever()

    async def cuts() -> AsyncIterator[bytes]:
        await cut.wait()
        yield record(3, "log-rotation", kind="system")
        await anyio.sleep_forever()

    async def cut_while_the_next_one_is_awaited() -> None:
        await anyio.wait_all_tasks_blocked()
        cut.set()

    async with (
        service(*[streaming(follows)] * 3, version="5.4.2", cuts=cuts()) as (podman, _),
        podman.watch(since=NOON) as events,
    ):
        found = await take(events, 1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cut_while_the_next_one_is_awaited)
            found += await take(events, 1)

    assert found == [1, 2]


async def test_what_is_raised_beside_the_iteration_comes_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with service(version="5.4.2") as (podman, _), podman.watch():
            raise ZeroDivisionError


async def test_podmans_cut_of_its_own_file_is_no_event_and_no_gap() -> None:
    cut = record(30 * SECOND, "log-rotation", kind="system")
    async with (
        service(
            streaming(broken, record(1), cut),
            streaming(ended, cut, record(1), cut, record(31 * SECOND)),
        ) as (podman, _),
        podman.watch(since=NOON) as events,
    ):
        assert await take(events, 2) == [1, 31 * SECOND]


async def test_without_an_event_before_the_outage_there_is_no_gap_to_be_told() -> None:
    async with (
        service(streaming(broken), streaming(ended, record(SECOND))) as (podman, _),
        podman.watch(since=NOON) as events,
    ):
        assert await take(events, 1) == [SECOND]


async def test_a_service_that_takes_the_request_and_does_not_answer_is_an_error() -> None:
    async def never(_: httpx2.Request) -> httpx2.Response:
        await anyio.sleep_forever()
        raise AssertionError

    def handle(request: httpx2.Request) -> httpx2.Response | Awaitable[httpx2.Response]:
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": "5.4.2"})
        return never(request)

    transport = httpx2.MockTransport(handle)  # type: ignore[arg-type] # it awaits what it gets
    async with (
        Podman(ENDPOINT, timeout=0.01, transport=transport) as podman,
        podman.watch() as events,
    ):
        with anyio.fail_after(60), pytest.raises(RequestTimeout):
            await anext(events)


def told(horizon: Horizon, events: Sequence[Event]) -> list[int]:
    return [each.time_nano - BEGINNING for each in events if horizon.is_new(each)]


def test_an_event_has_a_time() -> None:
    assert event(1_500).time == NOON + dt.timedelta(microseconds=1)


def test_the_same_moment_may_have_several_events() -> None:
    events = [event(1, "start"), event(1, "died"), event(1, "start")]

    assert told(Horizon(BEGINNING), events) == [1, 1]


def test_what_is_asked_for_again_overlaps_but_not_with_what_was_before_the_watch() -> None:
    horizon = Horizon(BEGINNING)
    assert horizon.since == BEGINNING

    horizon.is_new(event(SECOND))
    assert horizon.since == BEGINNING

    horizon.is_new(event(60 * SECOND))
    assert horizon.since == BEGINNING + (60 - LATE_SECONDS) * SECOND


def test_an_event_that_is_late_is_told_and_moves_nothing_back() -> None:
    horizon = Horizon(BEGINNING)

    assert told(horizon, [event(60 * SECOND), event(3 * SECOND)]) == [60 * SECOND, 3 * SECOND]
    assert horizon.since == BEGINNING + (60 - LATE_SECONDS) * SECOND


def test_memory_is_bounded_and_what_is_forgotten_is_not_asked_for() -> None:
    horizon = Horizon(BEGINNING)
    events = [event(number) for number in range(1, MOST_KEPT + 101)]

    assert len(told(horizon, events)) == len(events)
    assert horizon.since == BEGINNING + 101
    again = [each for each in events if each.time_nano >= horizon.since]
    assert told(horizon, again) == []
    assert len(again) == MOST_KEPT
