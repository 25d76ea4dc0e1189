"""A watch and what podman does to its file of events: nothing is missed, or it is told."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import httpx2
import pytest

from barasync.aiopodman import BadRequest, EventsLost, Podman, TransportError
from barasync.aiopodman import watch as watching
from tests.unit.recorded import ENDPOINT, NOON
from tests.unit.watched import (
    BEGINNING,
    SECOND,
    Connection,
    broken,
    ended,
    in_virtual_time,
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
        before = b""
        while True:
            await anyio.sleep(100)
            if before:
                # The cut before is in what is left of the file, and told again.
                yield before
                await anyio.wait_all_tasks_blocked()
            before = record(now(), "log-rotation", kind="system")
            yield before

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


def test_events_that_nobody_has_asked_for_are_no_silence() -> None:
    count = watching.MOST_AHEAD + 5

    async def follows() -> AsyncIterator[bytes]:
        yield b"".join(record(number) for number in range(1, count + 1))
        await anyio.sleep_forever()

    async def cuts() -> AsyncIterator[bytes]:
        await anyio.sleep(100)
        yield record(100 * SECOND, "log-rotation", kind="system")
        await anyio.sleep_forever()

    async def run() -> None:
        async with (
            service(
                streaming(follows), version="5.4.2", cuts=cuts, records=[record(99 * SECOND)]
            ) as (podman, _),
            podman.watch(since=NOON) as events,
        ):
            await anyio.sleep(200)
            assert await take(events, count) == [*range(1, count + 1)]
            with anyio.fail_after(60), pytest.raises(EventsLost):
                await anext(events)

    in_virtual_time(run)


def test_a_clock_that_is_ahead_of_the_services_hides_nothing_that_a_cut_took(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        watching, "time_ns", lambda: BEGINNING + round(anyio.current_time() + 3600) * SECOND
    )

    async def follows() -> AsyncIterator[bytes]:
        yield record(SECOND)
        await anyio.sleep_forever()

    async def cuts() -> AsyncIterator[bytes]:
        await anyio.sleep(100)
        yield record(100 * SECOND, "log-rotation", kind="system")
        await anyio.sleep_forever()

    async def run() -> None:
        oldest = record(100 * SECOND - 1, "pull", kind="image")
        async with (
            service(streaming(follows), version="5.4.2", cuts=cuts, records=[oldest]) as (
                podman,
                _,
            ),
            podman.watch(since=NOON) as events,
        ):
            assert await take(events, 1) == [SECOND]
            with anyio.fail_after(200), pytest.raises(EventsLost, match=r"since .* 12:01:39"):
                await anext(events)

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
            await anyio.sleep(0.5)
            yield record(number * SECOND, "log-rotation", kind="system")
        await anyio.sleep_forever()

    async def run() -> None:
        for version, connection, seconds in (("4.3.1", quiet, 60), ("5.4.2", silence, 10)):
            connections = [streaming(connection)] * 20 + [streaming(ended, record(SECOND))]
            begun = anyio.current_time()
            async with (
                service(*connections, version=version, cuts=cuts) as (podman, _),
                podman.watch(since=NOON) as events,
            ):
                await anext(events)
            assert anyio.current_time() - begun == pytest.approx(seconds, abs=0.1)

    in_virtual_time(run)


def test_a_service_that_was_away_is_told_of_once_though_two_connections_notice_it() -> None:
    away = anyio.Event()
    is_back = False

    async def breaks(*pieces: bytes) -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece
        await away.wait()
        if is_back:
            await anyio.sleep_forever()
        raise httpx2.ReadError("reset")

    def handle(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": "5.4.2"})
        if away.is_set() and not is_back:
            # Why nobody can be reached is looked at in a thread, for which this time does not wait.
            raise httpx2.ReadError("reset")
        if "log-rotation" in request.url.params.get("filters", ""):
            return httpx2.Response(200, content=breaks())
        if request.url.params["stream"] == "false":
            return httpx2.Response(200, content=record(1))
        return httpx2.Response(200, content=breaks(record(2 if is_back else 1)))

    async def run() -> None:
        nonlocal is_back
        async with (
            Podman(ENDPOINT, transport=httpx2.MockTransport(handle)) as podman,
            podman.watch(since=NOON) as events,
        ):
            assert await take(events, 1) == [1]
            away.set()
            with anyio.fail_after(60), pytest.raises(TransportError):
                await anext(events)
            await anyio.sleep(60)
            is_back = True
            assert await take(events, 1) == [2]

    in_virtual_time(run)


@pytest.mark.parametrize(("refused", "error"), [(True, BadRequest), (False, TransportError)])
def test_cuts_that_cannot_be_followed_are_an_error_each_time_that_somebody_asks(
    refused: bool, error: type[Exception]
) -> None:
    tries = 0

    def handle(request: httpx2.Request) -> httpx2.Response:
        nonlocal tries
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, headers={"Libpod-API-Version": "5.4.2"})
        if "log-rotation" in request.url.params.get("filters", ""):
            tries += 1
            if not refused:
                raise httpx2.ReadError("reset")
            return httpx2.Response(400, json={"message": "no such filter", "response": 400})
        streams = request.url.params["stream"] == "true"
        return httpx2.Response(200, content=silence() if streams else b"")

    async def run() -> None:
        async with (
            Podman(ENDPOINT, transport=httpx2.MockTransport(handle)) as podman,
            podman.watch() as events,
        ):
            for _ in range(2):
                with anyio.fail_after(60), pytest.raises(error):
                    await anext(events)
                await anyio.sleep(600)

    in_virtual_time(run)
    # What broke off is sent once more by any request.
    assert tries == (2 if refused else 4)
