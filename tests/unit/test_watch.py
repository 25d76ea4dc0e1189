"""Events across the outages of a service: none told twice, none left out."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import anyio
import httpx2
import pytest

from barasync.aiopodman import (
    ConnectError,
    EventsLost,
    NotFound,
    Podman,
    RequestTimeout,
)
from tests.unit.recorded import ENDPOINT, ID, NOON
from tests.unit.watched import (
    SECOND,
    broken,
    ended,
    record,
    service,
    silence,
    streaming,
    take,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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
    assert asked[:2] == ["2026-11-23T12:00:00.000000000Z", "2026-11-23T12:00:15.000000000Z"]


async def test_a_record_that_was_cut_is_told_when_it_is_whole() -> None:
    whole = record(3)
    async with (
        service(streaming(ended, whole[:20]), streaming(ended, whole)) as (podman, _),
        podman.watch(since=NOON) as events,
    ):
        assert await take(events, 1) == [3]


async def test_an_iteration_that_was_cancelled_goes_on_over_the_same_connection() -> None:
    begun, goes_on = anyio.Event(), anyio.Event()

    async def begins() -> AsyncIterator[bytes]:
        begun.set()
        await goes_on.wait()
        yield record(1) + record(2)
        await anyio.sleep_forever()

    async with (
        service(streaming(begins)) as (podman, asked),
        podman.watch(since=NOON) as events,
    ):
        await begun.wait()
        for _ in range(3):
            with anyio.move_on_after(0):
                await anext(events)
        goes_on.set()
        assert await take(events, 2) == [1, 2]

    assert len(asked) == 1


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
            streaming(ended, *later, record(22 * SECOND)),
            records=later[:1],
        ) as (podman, asked),
        podman.watch(since=NOON) as events,
    ):
        found = await take(events, 2)
        with anyio.fail_after(60), pytest.raises(EventsLost, match=r"since .* 12:00:09") as lost:
            await anext(events)
        found += await take(events, 3)

    assert lost.value.since == NOON + dt.timedelta(seconds=9)
    assert found == [each * SECOND for each in (1, 9, 20, 21, 22)]
    assert asked[1] == "2026-11-23T12:00:04.000000000Z"


async def test_a_gap_is_told_although_nothing_more_happens() -> None:
    async with (
        service(streaming(broken, record(SECOND)), records=[b""]) as (podman, _),
        podman.watch(since=NOON) as events,
    ):
        assert await take(events, 1) == [SECOND]
        with anyio.fail_after(60), pytest.raises(EventsLost):
            await anext(events)


async def test_what_is_raised_beside_the_iteration_comes_as_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with service(version="5.4.2") as (podman, _), podman.watch():
            raise ZeroDivisionError


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


async def test_a_watch_whose_block_was_left_asks_for_nothing() -> None:
    async with service(streaming(silence)) as (podman, asked):
        async with podman.watch() as events:
            await anyio.wait_all_tasks_blocked()
        with pytest.raises(RuntimeError, match="has been left"):
            await anext(events)

    assert len(asked) == 1


@pytest.fixture
def far_east(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local time of which UTC is nine hours behind."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "XXX-9")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_east")
async def test_a_time_without_an_offset_is_local_time() -> None:
    local = dt.datetime(2026, 11, 23, 21)  # noqa: DTZ001 - that is what is tested
    asked: list[httpx2.QueryParams] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": "4.3.1"})
        asked.append(request.url.params)
        return httpx2.Response(200, content=silence())

    async with Podman(ENDPOINT, transport=httpx2.MockTransport(handle)) as podman:
        async with podman.events(since=local, until=local):
            pass
        async with podman.watch(since=local):
            await anyio.wait_all_tasks_blocked()
        async with podman.containers.handle(ID).logs(since=local):
            pass

    times = [
        value for query in asked for name, value in query.items() if name in {"since", "until"}
    ]
    assert times == ["2026-11-23T12:00:00.000000000Z"] * 4
