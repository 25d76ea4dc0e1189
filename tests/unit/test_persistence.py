"""Which requests are sent again, and when no more."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import anyio
import httpx2
import pytest
from anyio.abc import SocketStream

from barasync.aiopodman.endpoint import Endpoint, unix_url
from barasync.aiopodman.errors import (
    APIError,
    ConnectError,
    NotFound,
    RequestTimeout,
    ServerError,
    TransportError,
)
from barasync.aiopodman.transport import Transport
from tests.unit.transports import mocked, read_request, served, until_closed

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Forgetful:
    """Answers the first request of its first connection, and lets every later one down there."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests: list[bytes] = []

    async def handle(self, stream: SocketStream) -> None:
        self.connections += 1
        is_first = self.connections == 1
        self.requests.append(await read_request(stream))
        await stream.send(OK)
        self.requests.append(await read_request(stream))
        if not is_first:
            await stream.send(OK)


async def test_idle_connections_close__a_get_is_sent_again(tmp_path: Path) -> None:
    server = Forgetful()

    async with (
        served(tmp_path, server.handle) as endpoint,
        Transport(endpoint, timeout=5) as transport,
    ):
        await transport.request("GET", "/first")
        answer = await transport.request("GET", "/second")

        assert answer.body == b"OK"
        assert [head.split()[1] for head in server.requests] == [b"/first", b"/second", b"/second"]


async def test_a_post_is_not_sent_again(tmp_path: Path) -> None:
    server = Forgetful()

    async with (
        served(tmp_path, server.handle) as endpoint,
        Transport(endpoint, timeout=5) as transport,
    ):
        await transport.request("GET", "/first")
        with pytest.raises(TransportError):
            await transport.request("POST", "/second")

        assert len(server.requests) == 2


async def test_a_get_on_a_connection_of_its_own_is_not_sent_again(tmp_path: Path) -> None:
    requests: list[bytes] = []

    async def handle(stream: SocketStream) -> None:
        requests.append(await read_request(stream))

    async with served(tmp_path, handle) as endpoint, Transport(endpoint, timeout=5) as transport:
        with pytest.raises(TransportError):
            await transport.request("GET", "/x")

    assert len(requests) == 1


async def ok(stream: SocketStream) -> None:
    await read_request(stream)
    await stream.send(OK)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_service_that_is_away_for_a_moment_is_waited_for(
    tmp_path: Path, method: str
) -> None:
    transport = Transport(Endpoint(unix_url(str(tmp_path / "s")), "a test"), timeout=5)
    transport.bear_outages(20)
    answers: list[bytes] = []

    async def request() -> None:
        answers.append((await transport.request(method, "/x")).body)

    async with transport, anyio.create_task_group() as group:
        group.start_soon(request)
        await anyio.wait_all_tasks_blocked()
        async with served(tmp_path, ok):
            while not answers:
                await anyio.lowlevel.checkpoint()

    assert answers == [b"OK"]


async def test_a_connection_is_asked_for_until_somebody_is_there(tmp_path: Path) -> None:
    transport = Transport(Endpoint(unix_url(str(tmp_path / "s")), "a test"), timeout=5)
    transport.bear_outages(20)
    received: list[bytes] = []

    async def give_over(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(b"HTTP/1.1 101 UPGRADED\r\n\r\nhere")

    async def attach() -> None:
        async with transport.upgraded("/x", query={}) as duplex:
            received.append(await duplex.receive())

    async with transport, anyio.create_task_group() as group:
        group.start_soon(attach)
        await anyio.wait_all_tasks_blocked()
        async with served(tmp_path, give_over):
            while not received:
                await anyio.lowlevel.checkpoint()

    assert received == [b"here"]


async def test_a_service_that_stays_away_is_waited_for_once(tmp_path: Path) -> None:
    async with Transport(Endpoint(unix_url(str(tmp_path / "s")), "x"), timeout=5) as transport:
        transport.bear_outages(0.2)
        with pytest.raises(ConnectError):
            await transport.request("GET", "/x")
        gave_up = anyio.current_time()
        for _ in range(100):
            with pytest.raises(ConnectError):
                await transport.request("GET", "/x")

    assert anyio.current_time() - gave_up < 10, "each of the others would have taken 0.2 s"


class Partial:
    """Lets every request to `/bad` down and answers all others, until it `breaks` for all."""

    def __init__(self) -> None:
        self.breaks = 0

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/bad":
            raise httpx2.ReadError("broke off")
        if self.breaks:
            self.breaks -= 1
            raise httpx2.ConnectError("nobody is there")
        return httpx2.Response(200)


async def test_a_request_that_keeps_failing_gives_up_although_others_succeed() -> None:
    service = Partial()
    failed = anyio.Event()

    async def fail(transport: Transport) -> None:
        with pytest.raises(TransportError, match="broke off"):
            await transport.request("GET", "/bad")
        failed.set()

    async with mocked(service) as transport:
        transport.bear_outages(0.1)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                group.start_soon(fail, transport)
                while not failed.is_set():
                    await transport.request("GET", "/good")
                    await anyio.lowlevel.checkpoint()
        service.breaks = 2
        await transport.request("GET", "/good")  # its own outage is borne all the same

    assert service.breaks == 0


async def test_what_may_have_had_an_effect_is_not_sent_again(tmp_path: Path) -> None:
    requests: list[bytes] = []

    async def handle(stream: SocketStream) -> None:
        requests.append(await read_request(stream))

    async with served(tmp_path, handle) as endpoint, Transport(endpoint, timeout=5) as transport:
        transport.bear_outages(20)
        with pytest.raises(TransportError):
            await transport.request("POST", "/x")

    assert len(requests) == 1


class Troubled:
    """Answers the first requests with what it is given, or not at all, and every later one."""

    def __init__(self, *answers: httpx2.Response | Exception) -> None:
        self.requests: list[str] = []
        self._answers = iter(answers)

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(request.method)
        answer = next(self._answers, None)
        if isinstance(answer, Exception):
            raise answer
        return answer or httpx2.Response(200, content=b"OK")


def failure(status: int = 500, cause: str = "database is locked") -> httpx2.Response:
    return httpx2.Response(status, json={"cause": cause, "message": cause, "response": status})


async def streamed(transport: Transport, method: str = "GET") -> bytes:
    async with transport.stream(method, "/x", headers_within=5) as data:
        return b"".join([piece async for piece in data])


async def requested(transport: Transport, method: str = "GET") -> bytes:
    return (await transport.request(method, "/x")).body


BOTH = pytest.mark.parametrize("send", [requested, streamed])


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Send again at once."""
    monkeypatch.setattr("barasync.aiopodman.persistence._FAILURE_PAUSES", (0.0, 0.0))


@BOTH
@pytest.mark.parametrize("status", [500, 503])
async def test_a_get_that_podman_failed_on_is_sent_again(
    send: Callable[[Transport], Awaitable[bytes]], status: int
) -> None:
    service = Troubled(failure(status), failure(status))

    async with mocked(service) as transport:
        assert await send(transport) == b"OK"

    assert service.requests == ["GET"] * 3


@BOTH
@pytest.mark.usefixtures("hasty")
async def test_a_get_that_podman_keeps_failing_on_is_given_up_with_its_words(
    send: Callable[[Transport], Awaitable[bytes]],
) -> None:
    service = Troubled(*(failure() for _ in range(9)))

    async with mocked(service) as transport:
        with pytest.raises(ServerError, match="database is locked"):
            await send(transport)

    assert service.requests == ["GET"] * 3


@BOTH
@pytest.mark.usefixtures("hasty")
async def test_a_get_that_is_not_answered_in_time_is_sent_again(
    send: Callable[[Transport], Awaitable[bytes]],
) -> None:
    service = Troubled(httpx2.ReadTimeout("x"), failure())

    async with mocked(service) as transport:
        assert await send(transport) == b"OK"

    assert service.requests == ["GET"] * 3


@BOTH
@pytest.mark.parametrize(
    "answer",
    [
        failure(500, "no such container"),
        failure(500, "image not known"),
        failure(500, "container state improper"),
        failure(404),
        failure(501),
    ],
    ids=lambda answer: f"{answer.status_code} {answer.json()['cause']}",
)
async def test_what_podman_says_for_certain_is_not_asked_again(
    send: Callable[[Transport], Awaitable[bytes]], answer: httpx2.Response
) -> None:
    service = Troubled(answer)

    async with mocked(service) as transport:
        with pytest.raises(APIError):
            await send(transport)

    assert service.requests == ["GET"]


@pytest.mark.parametrize("send", [requested, streamed])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize("answer", [failure(), httpx2.ReadTimeout("x")], ids=["500", "timeout"])
async def test_what_changes_something_is_not_sent_again_because_podman_failed(
    send: Callable[[Transport, str], Awaitable[bytes]],
    method: str,
    answer: httpx2.Response | Exception,
) -> None:
    service = Troubled(answer)

    async with mocked(service) as transport:
        with pytest.raises((ServerError, RequestTimeout)):
            await send(transport, method)

    assert service.requests == [method]


@pytest.mark.usefixtures("hasty")
async def test_a_service_that_never_answers_is_asked_twice_and_no_longer(tmp_path: Path) -> None:
    requests: list[bytes] = []

    async def handle(stream: SocketStream) -> None:
        requests.append(await read_request(stream))
        await until_closed(stream)

    async with served(tmp_path, handle) as endpoint, Transport(endpoint, timeout=0.1) as transport:
        with pytest.raises(RequestTimeout):
            await transport.request("GET", "/x")
        with pytest.raises(RequestTimeout):
            async with transport.stream("GET", "/x", headers_within=0.1):
                pytest.fail("the block must not be entered")

    assert len(requests) == 4


async def test_a_stream_that_breaks_after_its_headers_is_not_begun_again() -> None:
    async def breaking() -> AsyncIterator[bytes]:
        yield b"first"
        raise httpx2.ReadError("broke off")

    service = Troubled(httpx2.Response(200, content=breaking()))

    async with mocked(service) as transport:
        with pytest.raises(TransportError, match="broke off"):
            await streamed(transport)

    assert service.requests == ["GET"]


BROKEN = httpx2.ReadError("broke off")
NO_SUCH = failure(404, "no such container")


async def test_a_delete_whose_first_try_had_its_effect_is_done() -> None:
    service = Troubled(BROKEN, NO_SUCH)

    async with mocked(service) as transport:
        transport.bear_outages(20)
        answer = await transport.request("DELETE", "/x")

    assert (answer.status, answer.body, service.requests) == (404, b"", ["DELETE"] * 2)


@pytest.mark.parametrize("first", [None, httpx2.ConnectError("nobody is there")])
async def test_a_delete_that_was_heard_once_says_that_there_is_nothing(
    first: Exception | None,
) -> None:
    service = Troubled(*filter(None, [first, NO_SUCH]))

    async with mocked(service) as transport:
        transport.bear_outages(20)
        with pytest.raises(NotFound):
            await transport.request("DELETE", "/x")


@pytest.mark.parametrize("answer", [failure(409, "it is in use"), failure()], ids=["409", "500"])
async def test_a_delete_that_is_refused_the_second_time_is_not_done(
    answer: httpx2.Response,
) -> None:
    async with mocked(Troubled(BROKEN, answer)) as transport:
        transport.bear_outages(20)
        with pytest.raises(APIError):
            await transport.request("DELETE", "/x")


async def test_a_get_that_finds_nothing_the_second_time_finds_nothing() -> None:
    async with mocked(Troubled(BROKEN, NO_SUCH)) as transport:
        transport.bear_outages(20)
        with pytest.raises(NotFound):
            await transport.request("GET", "/x")


@pytest.mark.parametrize(
    "answer", [failure(), httpx2.ReadTimeout("x"), BROKEN], ids=["500", "timeout", "broken"]
)
@pytest.mark.parametrize("patience", [0.0, None])
async def test_what_is_to_happen_once_is_not_asked_for_again(
    answer: httpx2.Response | Exception, patience: float | None
) -> None:
    service = Troubled(answer)

    async with mocked(service) as transport:
        transport.bear_outages(20)
        with pytest.raises((ServerError, TransportError)):
            await transport.request("GET", "/x", once=True, patience=patience)

    assert service.requests == ["GET"]


async def test_what_is_to_happen_once_waits_for_somebody_to_ask() -> None:
    service = Troubled(httpx2.ConnectError("nobody is there"))

    async with mocked(service) as transport:
        transport.bear_outages(20)
        await transport.request("GET", "/x", once=True)

    assert service.requests == ["GET"] * 2
