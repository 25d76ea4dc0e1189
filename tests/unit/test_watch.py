"""Events across the outages of a service: none told twice, none left out."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager

import anyio
import httpx2
import pytest
import trio.testing

from barasync.aiopodman import (
    BadRequest,
    ConnectError,
    Event,
    EventsLost,
    NotFound,
    Podman,
    RequestTimeout,
)
from barasync.aiopodman import watch as watching
from tests.unit.recorded import ENDPOINT, ID, NOON

pytestmark = pytest.mark.anyio

SECOND = 1_000_000_000
BEGINNING = int(NOON.timestamp()) * SECOND


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


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


async def silence() -> AsyncIterator[bytes]:
    await anyio.sleep_forever()
    yield b""


Connection = Callable[[], httpx2.Response]


@asynccontextmanager
async def service(
    *connections: Connection,
    version: str = "4.3.1",
    cuts: Callable[[], AsyncIterator[bytes]] | None = None,
    records: Sequence[bytes] = (record(1),),
) -> AsyncIterator[tuple[Podman, list[str]]]:
    """A podman that answers each request for events in turn, and the `since` of each.

    `cuts` are the events of its own about its file, which a newer one is asked for. `records` are
    what its file begins with at each connection but the first; the last goes on.
    """
    answers = iter(connections)
    begins = iter(records)
    oldest = b""
    asked: list[str] = []

    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": version})
        if "log-rotation" in request.url.params.get("filters", ""):
            return httpx2.Response(200, content=cuts() if cuts is not None else silence())
        if request.url.params["stream"] == "false":
            nonlocal oldest
            oldest = next(begins, oldest)
            return httpx2.Response(200, content=oldest)
        asked.append(request.url.params["since"])
        assert request.url.params["stream"] == "true"
        return next(answers, streaming(silence))()

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
        service(*[streaming(follows)] * 3, version="5.4.2", cuts=cuts) as (podman, _),
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


async def test_what_was_received_before_a_cut_is_told_before_it_is_asked_again() -> None:
    count = watching.MOST_AHEAD + 20
    cutting = anyio.Event()

    async def follows() -> AsyncIterator[bytes]:
        yield b"".join(record(number) for number in range(1, count))
        yield record(count) + record(2 * SECOND)
        await anyio.sleep_forever()

    async def cuts() -> AsyncIterator[bytes]:
        await cutting.wait()
        yield record(SECOND, "log-rotation", kind="system")
        await anyio.sleep_forever()

    async def rest() -> AsyncIterator[bytes]:
        yield record(SECOND - 1) + record(2 * SECOND)
        await anyio.sleep_forever()

    async with (
        service(
            streaming(follows), streaming(rest), version="5.4.2", cuts=cuts, records=[record(1)]
        ) as (podman, asked),
        podman.watch(since=NOON) as events,
    ):
        found = await take(events, 3)
        await anyio.wait_all_tasks_blocked()
        cutting.set()
        await anyio.wait_all_tasks_blocked()
        found += await take(events, count - 1)

    assert found == [*range(1, count + 1), SECOND - 1, 2 * SECOND]
    assert len(asked) == 2


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


def in_virtual_time(run: Callable[[], Awaitable[None]]) -> None:
    """Run something for which time passes as soon as everybody waits."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    anyio.run(run, backend="trio", backend_options={"clock": clock})


@pytest.mark.parametrize("version", ["4.3.1", "5.4.2"])
def test_a_quiet_watch_misses_nothing_where_the_events_of_others_have_the_file_cut(
    version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "time_ns", lambda: BEGINNING + now())

    def now() -> int:
        return round(anyio.current_time() * SECOND)

    def follows(*pieces: bytes) -> Connection:
        async def content() -> AsyncIterator[bytes]:
            for piece in pieces:
                yield piece
            # Podman 4 ends an answer where it cuts its file, podman 5 goes on.
            await (anyio.sleep(100) if version == "4.3.1" else anyio.sleep_forever())

        return streaming(content)

    async def cuts() -> AsyncIterator[bytes]:
        while True:
            await anyio.sleep(100)
            yield record(now(), "log-rotation", kind="system")

    def begins(second: int) -> bytes:
        cut = record(second * SECOND + 1, "log-rotation", kind="system")
        return cut + record(second * SECOND, "pull", kind="image")

    connections = [follows(record(SECOND)), follows(), follows(), follows(record(310 * SECOND))]
    records = [begins(second) for second in (60, 160, 260)]

    async def run() -> None:
        # The fake's time is counted from here.
        assert now() < SECOND
        async with (
            service(*connections, version=version, cuts=cuts, records=records) as (podman, _),
            podman.watch(since=NOON) as events,
        ):
            with anyio.fail_after(1000):
                found = [(await anext(events)).time_nano - BEGINNING for _ in range(2)]
        assert found == [SECOND, 310 * SECOND]

    in_virtual_time(run)


def test_connections_that_end_at_once_have_longer_and_longer_pauses_between_them() -> None:
    followed = 0

    async def at_once() -> AsyncIterator[bytes]:
        nonlocal followed
        followed += 1
        return
        yield b""

    async def run() -> None:
        for version in ("4.3.1", "5.4.2"):
            ends = [streaming(ended)] * 1000 if version == "4.3.1" else []
            async with (
                service(*ends, version=version, cuts=at_once) as (podman, asked),
                podman.watch(since=NOON),
            ):
                await anyio.sleep(600)
                assert 100 < len(asked) < 150

    in_virtual_time(run)
    assert 100 < followed < 150


def test_after_a_cut_or_a_connection_that_has_lived_there_is_no_pause() -> None:
    async def quiet() -> AsyncIterator[bytes]:
        await anyio.sleep(3)
        return
        yield b""

    async def cuts() -> AsyncIterator[bytes]:
        for number in range(20):
            await anyio.sleep(3)
            yield record(number * SECOND, "log-rotation", kind="system")
        await anyio.sleep_forever()

    async def run() -> None:
        for version, connection in (("4.3.1", quiet), ("5.4.2", silence)):
            connections = [streaming(connection)] * 20 + [streaming(ended, record(SECOND))]
            begun = anyio.current_time()
            async with (
                service(*connections, version=version, cuts=cuts) as (podman, _),
                podman.watch(since=NOON) as events,
            ):
                await anext(events)
            assert anyio.current_time() - begun == pytest.approx(60, abs=0.1)

    in_virtual_time(run)


def test_cuts_that_cannot_be_followed_are_an_error_each_time_that_somebody_asks() -> None:
    tries = 0

    def handle(request: httpx2.Request) -> httpx2.Response:
        nonlocal tries
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": "5.4.2"})
        if "log-rotation" in request.url.params.get("filters", ""):
            tries += 1
            return httpx2.Response(400, json={"message": "no such filter", "response": 400})
        streams = request.url.params["stream"] == "true"
        return httpx2.Response(200, content=silence() if streams else b"")

    async def run() -> None:
        async with (
            Podman(ENDPOINT, transport=httpx2.MockTransport(handle)) as podman,
            podman.watch() as events,
        ):
            for _ in range(2):
                with anyio.fail_after(60), pytest.raises(BadRequest, match="no such filter"):
                    await anext(events)
                await anyio.sleep(600)

    in_virtual_time(run)
    assert tries == 2
