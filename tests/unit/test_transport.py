from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from typing import Any

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
from barasync.aiopodman.upgrade import Duplex
from tests.unit.transports import mocked, read_request, served, until_closed

pytestmark = pytest.mark.anyio

HTTP_ERRORS = [
    value
    for library in (httpx2, httpcore2)
    for value in vars(library).values()
    if isinstance(value, type) and issubclass(value, Exception)
]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def failing(error: Exception) -> Transport:
    def handler(_: httpx2.Request) -> httpx2.Response:
        raise error

    return mocked(handler)


async def test_parameters_reach_podman_byte_by_byte() -> None:
    asked: list[bytes] = []

    def handler(request: httpx2.Request) -> httpx2.Response:
        asked.append(request.url.raw_path)
        return httpx2.Response(200)

    query = {"path": "/a b/\udcff+ü&", "all": True, "size": 3, "none": None, "name": ["x", "y"]}
    async with mocked(handler) as transport:
        await transport.request("GET", "/x", query=query)
        async with transport.stream("GET", "/x", query=query, headers_within=1):
            pass
        await transport.request("GET", "/x")

    encoded = b"/x?path=%2Fa+b%2F%FF%2B%C3%BC%26&all=true&size=3&name=x&name=y"
    assert asked == [encoded, encoded, b"/x"]


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


Opens = Callable[[Transport], AbstractAsyncContextManager[Any]]
OPEN: dict[str, Opens] = {
    "GET": lambda transport: transport.stream("GET", "/x", headers_within=5),
    "POST": lambda transport: transport.stream("POST", "/x", headers_within=5),
    "upgraded": lambda transport: transport.upgraded("/x", query={}),
}


class Silent:
    """Gives every connection what it asks for, and then sends nothing until it is closed."""

    def __init__(self) -> None:
        self.closed = anyio.Event()

    async def handle(self, stream: SocketStream) -> None:
        head = await read_request(stream)
        upgrade = b"upgrade: tcp" in head.lower()
        await stream.send(
            b"HTTP/1.1 101 UPGRADED\r\n\r\n" if upgrade else b"HTTP/1.1 200 OK\r\n\r\n"
        )
        await until_closed(stream)
        self.closed.set()


@pytest.mark.parametrize("kind", OPEN)
async def test_leaving_the_transport_closes_what_is_open(tmp_path: Path, kind: str) -> None:
    server = Silent()

    async with served(tmp_path, server.handle) as endpoint, AsyncExitStack() as streams:
        async with Transport(endpoint, timeout=5) as transport:
            await streams.enter_async_context(OPEN[kind](transport))
        with anyio.fail_after(60):
            await server.closed.wait()


@pytest.mark.parametrize("kind", OPEN)
async def test_whoever_reads_when_the_transport_is_left_hears_of_it(
    tmp_path: Path, kind: str
) -> None:
    heard: list[TransportError] = []

    async def read(opened: Any) -> None:
        with pytest.raises(TransportError) as caught:
            await (opened.receive() if isinstance(opened, Duplex) else anext(opened))
        heard.append(caught.value)

    with anyio.fail_after(60):
        async with (
            served(tmp_path, Silent().handle) as endpoint,
            AsyncExitStack() as streams,
            anyio.create_task_group() as group,
            Transport(endpoint, timeout=5) as transport,
        ):
            opened = await streams.enter_async_context(OPEN[kind](transport))
            group.start_soon(read, opened)
            await anyio.wait_all_tasks_blocked()

    assert len(heard) == 1


async def test_a_transport_that_was_left_gives_over_no_connection(tmp_path: Path) -> None:
    async with served(tmp_path, Silent().handle) as endpoint:
        async with Transport(endpoint, timeout=5) as transport:
            transport.bear_outages(60)
        with pytest.raises(ConnectError, match="the client is closed"):
            async with transport.upgraded("/x", query={}):
                pytest.fail("the block must not be entered")


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
