from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
import httpcore2
import httpx2
import pytest
from anyio.abc import SocketStream

from barasync.aiopodman.endpoint import Endpoint, unix_url
from barasync.aiopodman.errors import (
    ConnectError,
    NotFound,
    PodmanError,
    ProtocolError,
    RequestTimeout,
    ServerError,
    TransportError,
)
from barasync.aiopodman.transport import Transport

pytestmark = pytest.mark.anyio

NOWHERE = Endpoint(unix_url("/nowhere/podman.sock"), "a test")
HTTP_ERRORS = [
    value
    for library in (httpx2, httpcore2)
    for value in vars(library).values()
    if isinstance(value, type) and issubclass(value, Exception)
]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def mocked(handler: Callable[[httpx2.Request], httpx2.Response]) -> Transport:
    return Transport(NOWHERE, timeout=5, transport=httpx2.MockTransport(handler))


def failing(error: Exception) -> Transport:
    def handler(_: httpx2.Request) -> httpx2.Response:
        raise error

    return mocked(handler)


@asynccontextmanager
async def served(
    tmp_path: Path, handle: Callable[[SocketStream], Awaitable[None]]
) -> AsyncIterator[Endpoint]:
    """A server on a unix socket that gives each connection to `handle`.

    Leave the block after every client has closed: it waits for the handlers to notice.
    """

    async def handle_and_close(stream: SocketStream) -> None:
        async with stream:
            with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
                await handle(stream)

    path = str(tmp_path / "s")
    async with (
        await anyio.create_unix_listener(path) as listener,
        anyio.create_task_group() as handlers,
        anyio.create_task_group() as server,
    ):
        server.start_soon(listener.serve, handle_and_close, handlers)
        yield Endpoint(unix_url(path), "a test")
        server.cancel_scope.cancel()


async def until_closed(stream: SocketStream) -> None:
    """Wait until the client closes the connection."""
    with pytest.raises(anyio.EndOfStream):
        await stream.receive()


async def read_request(stream: SocketStream) -> bytes:
    """Read the head of a request that has no body."""
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive()
    return head


@pytest.mark.parametrize(
    "kind", HTTP_ERRORS, ids=lambda kind: f"{kind.__module__.partition('.')[0]}-{kind.__name__}"
)
async def test_every_exception_of_the_http_library_becomes_one_of_ours(
    kind: type[Exception],
) -> None:
    error = kind.__new__(kind)
    Exception.__init__(error, "a reason")

    async with failing(error) as transport:
        with pytest.raises(PodmanError) as caught:
            await transport.request("POST", "/v5.0.0/libpod/containers/create")

    assert caught.value.__cause__ is error
    assert type(caught.value).__module__ == "barasync.aiopodman.errors"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (httpx2.ConnectError("x"), ConnectError),
        (httpx2.ConnectTimeout("x"), ConnectError),
        (httpx2.ReadTimeout("x"), RequestTimeout),
        (httpx2.PoolTimeout("x"), RequestTimeout),
        (httpx2.ReadError("x"), TransportError),
        (httpx2.WriteError("x"), TransportError),
        (httpx2.RemoteProtocolError("illegal status line"), ProtocolError),
        (httpx2.RemoteProtocolError("Server disconnected without a response."), TransportError),
        (httpx2.RemoteProtocolError("peer closed connection without …"), TransportError),
    ],
)
async def test_an_exception_becomes_the_one_a_caller_can_act_on(
    error: Exception, expected: type[PodmanError]
) -> None:
    async with failing(error) as transport:
        with pytest.raises(PodmanError) as caught:
            await transport.request("POST", "/v5.0.0/libpod/containers/create")

    assert type(caught.value) is expected
    assert "/nowhere/podman.sock" in str(caught.value)


async def test_an_error_names_the_request_without_the_version() -> None:
    async with failing(httpx2.ReadTimeout("x")) as transport:
        with pytest.raises(RequestTimeout, match=r"in time \(POST /libpod/commit\)"):
            await transport.request("POST", "/v5.0.0/libpod/commit")


async def test_a_missing_socket_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s"

    async with Transport(Endpoint(unix_url(str(path)), "a test"), timeout=5) as transport:
        with pytest.raises(ConnectError, match=f"{path} does not exist"):
            await transport.request("GET", "/libpod/_ping")


async def test_a_file_that_is_no_socket_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.touch()

    async with Transport(Endpoint(unix_url(str(path)), "a test"), timeout=5) as transport:
        with pytest.raises(ConnectError, match=f"{path} is not a socket"):
            await transport.request("GET", "/libpod/_ping")


async def test_a_socket_that_nobody_serves_is_named(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with await anyio.create_unix_listener(str(path)):
        pass

    async with Transport(Endpoint(unix_url(str(path)), "a test"), timeout=5) as transport:
        with pytest.raises(ConnectError, match=f"nobody listens on {path}"):
            await transport.request("GET", "/libpod/_ping")


async def test_parameters_are_written_as_podman_reads_them() -> None:
    seen: list[str] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        seen.extend(f"{name}={value}" for name, value in request.url.params.multi_items())
        return httpx2.Response(200)

    async with mocked(handler) as transport:
        await transport.request(
            "GET", "/x", query={"a": True, "b": False, "c": None, "d": 0, "e": ("1 2", "&")}
        )

    assert seen == ["a=true", "b=false", "d=0", "e=1 2", "e=&"]


async def test_a_refusal_carries_podmans_words() -> None:
    body = {"cause": "no such container", "message": "no container with ID x", "response": 404}

    async with mocked(lambda _: httpx2.Response(404, json=body)) as transport:
        with pytest.raises(NotFound, match="no container with ID x") as caught:
            await transport.request("POST", "/v4.3.1/libpod/containers/x/kill")

    assert caught.value.method == "POST"
    assert caught.value.path == "/libpod/containers/x/kill"


@pytest.mark.parametrize("status", [200, 201, 204, 304])
async def test_an_answer_that_is_no_error_is_returned(status: int) -> None:
    async with mocked(lambda _: httpx2.Response(status, headers={"A": "b"})) as transport:
        answer = await transport.request("POST", "/x")

    assert (answer.status, answer.headers["a"], answer.body) == (status, "b", b"")


async def test_a_stream_that_is_refused_raises_on_entering() -> None:
    body = {"cause": "no such container", "message": "x", "response": 404}

    async with mocked(lambda _: httpx2.Response(404, json=body)) as transport:
        with pytest.raises(NotFound):
            async with transport.stream("GET", "/x", headers_within=5):
                pytest.fail("the block must not be entered")


async def test_the_text_of_a_refused_stream_is_read_only_to_a_limit() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000

    async with mocked(lambda _: httpx2.Response(500, content=endless())) as transport:
        with pytest.raises(ServerError):
            async with transport.stream("GET", "/x", headers_within=5):
                pytest.fail("the block must not be entered")


async def test_a_stream_is_read_as_it_arrives(tmp_path: Path) -> None:
    first_read = anyio.Event()

    async def handle(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\n\r\nfirst")
        await first_read.wait()
        await stream.send(b"second")

    async with (
        served(tmp_path, handle) as endpoint,
        Transport(endpoint, timeout=5) as transport,
        transport.stream("POST", "/x", headers_within=5) as data,
    ):
        assert await anext(data) == b"first"
        first_read.set()
        assert [piece async for piece in data] == [b"second"]


async def test_leaving_a_stream_early_closes_its_connection(tmp_path: Path) -> None:
    closed = anyio.Event()

    async def handle(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\n\r\nfirst")
        await until_closed(stream)
        closed.set()

    async with served(tmp_path, handle) as endpoint, Transport(endpoint, timeout=5) as transport:
        async with transport.stream("POST", "/x", headers_within=5) as data:
            await anext(data)
        with anyio.fail_after(5):
            await closed.wait()


async def test_headers_that_do_not_come_are_a_timeout(tmp_path: Path) -> None:
    async def handle(stream: SocketStream) -> None:
        await read_request(stream)
        await until_closed(stream)

    async with served(tmp_path, handle) as endpoint, Transport(endpoint, timeout=5) as transport:
        with pytest.raises(RequestTimeout, match="did not answer in time"):
            async with transport.stream("POST", "/x", headers_within=0.01):
                pytest.fail("the block must not be entered")


async def test_an_answer_that_does_not_come_is_a_timeout(tmp_path: Path) -> None:
    async def handle(stream: SocketStream) -> None:
        await read_request(stream)
        await until_closed(stream)

    async with served(tmp_path, handle) as endpoint, Transport(endpoint, timeout=0.01) as transport:
        with pytest.raises(RequestTimeout, match="did not answer in time"):
            await transport.request("GET", "/x")


@pytest.mark.parametrize(
    ("answer", "expected", "message"),
    [
        (b"", TransportError, "closed the connection before the end"),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nOK",
            TransportError,
            "closed the connection",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", ProtocolError, "does not speak HTTP"),
    ],
    ids=["nothing", "half", "not HTTP"],
)
async def test_a_broken_answer_says_how_it_is_broken(
    tmp_path: Path, answer: bytes, expected: type[PodmanError], message: str
) -> None:
    async def handle(stream: SocketStream) -> None:
        await read_request(stream)
        if answer:
            await stream.send(answer)

    async with served(tmp_path, handle) as endpoint, Transport(endpoint, timeout=5) as transport:
        with pytest.raises(expected, match=message):
            await transport.request("POST", "/x")


async def test_a_stream_that_breaks_in_a_chunk_is_an_error(tmp_path: Path) -> None:
    async def handle(stream: SocketStream) -> None:
        await read_request(stream)
        await stream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfir")

    async with (
        served(tmp_path, handle) as endpoint,
        Transport(endpoint, timeout=5) as transport,
        transport.stream("GET", "/x", headers_within=5) as data,
    ):
        with pytest.raises(TransportError, match="closed the connection before the end"):
            [piece async for piece in data]


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
