"""Long answers, each on a connection of its own, against a real socket."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman.endpoint import Endpoint
from barasync.aiopodman.errors import NotFound, ProtocolError, TransportError
from barasync.aiopodman.transport import Transport

pytestmark = pytest.mark.anyio

OK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Server:
    """Answers one request with whatever bytes it is given; `ended` once the client has left."""

    def __init__(self, listener: socket.socket, answer: bytes, *, closes: bool) -> None:
        self.request = b""
        self.ended = False
        self._listener = listener
        self._answer = answer
        self._closes = closes

    def serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection:
            while b"\r\n\r\n" not in self.request:
                self.request += connection.recv(65536)
            with suppress(BrokenPipeError):  # the client has left already
                connection.sendall(self._answer)
            if self._closes:
                connection.shutdown(socket.SHUT_WR)
            self.ended = connection.recv(1) == b""


@contextmanager
def server(directory: Path, answer: bytes, *, closes: bool = False) -> Iterator[Server]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.settimeout(20)
        listener.bind(str(directory / "s"))
        listener.listen()
        yield Server(listener, answer, closes=closes)


async def fetch(directory: Path, server: Server) -> bytes:
    endpoint = Endpoint(f"unix://{directory}/s", "a test")
    received = b""
    async with anyio.create_task_group() as group:
        group.start_soon(to_thread.run_sync, server.serve)
        async with (
            Transport(endpoint, timeout=10) as transport,
            transport.stream("GET", "/x", query={"path": "/a b"}, headers_within=10) as data,
        ):
            async for piece in data:
                received += piece
    return received


@pytest.mark.parametrize("closes", [True, False])
async def test_a_long_answer_is_read_to_its_end_and_its_connection_closed(
    tmp_path: Path, closes: bool
) -> None:
    content = bytes(range(256)) * 10_000
    chunks = b"".join(
        b"%x\r\n%b\r\n" % (len(part), part)
        for part in (content[start : start + 32768] for start in range(0, len(content), 32768))
    )
    with server(tmp_path, OK + chunks + b"0\r\n\r\n", closes=closes) as peer:
        received = await fetch(tmp_path, peer)

    assert received == content
    assert peer.ended
    assert peer.request.startswith(b"GET /x?path=%2Fa%20b HTTP/1.1\r\n") or (
        peer.request.startswith(b"GET /x?path=%2Fa+b HTTP/1.1\r\n")
    )
    assert b"\r\nHost: podman\r\n" in peer.request


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (b"", TransportError, "closed the connection before the end"),
        (b"HTTP/1.1 200 OK\r\n", TransportError, "closed the connection before the end"),
        (OK + b"5\r\nhel", TransportError, "closed the connection before the end"),
        (OK + b"5\r\nhello\r\n", TransportError, "closed the connection before the end"),
        (OK + b"what\r\n", ProtocolError, "does not speak HTTP"),
        (b"SSH-2.0\r\n\r\n", ProtocolError, "does not speak HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", ProtocolError, "does not speak HTTP"),
        (
            b'HTTP/1.1 404 Not Found\r\nContent-Length: 31\r\n\r\n{"cause":"gone","message":"it"}',
            NotFound,
            "it",
        ),
    ],
)
async def test_an_answer_that_is_none_is_an_error_and_its_connection_closed(
    tmp_path: Path, answer: bytes, error: type[Exception], message: str
) -> None:
    with server(tmp_path, answer, closes=True) as peer, pytest.raises(ExceptionGroup) as caught:
        await fetch(tmp_path, peer)

    (cause,) = caught.value.exceptions
    assert isinstance(cause, error)
    assert message in str(cause)
    assert peer.ended


async def test_leaving_a_long_answer_early_closes_its_connection(tmp_path: Path) -> None:
    endpoint = Endpoint(f"unix://{tmp_path}/s", "a test")
    with server(tmp_path, OK + b"5\r\nhello\r\n") as peer:
        async with anyio.create_task_group() as group:
            group.start_soon(to_thread.run_sync, peer.serve)
            async with (
                Transport(endpoint, timeout=10) as transport,
                transport.stream("GET", "/x", headers_within=10) as data,
            ):
                assert await anext(data) == b"hello"

    assert peer.ended


async def test_a_cancelled_wait_for_the_head_closes_the_connection(tmp_path: Path) -> None:
    endpoint = Endpoint(f"unix://{tmp_path}/s", "a test")
    with server(tmp_path, b"HTTP/1.1") as peer:
        async with anyio.create_task_group() as group:
            group.start_soon(to_thread.run_sync, peer.serve)
            async with Transport(endpoint, timeout=10) as transport:
                with pytest.raises(TransportError):
                    async with transport.stream("GET", "/x", headers_within=0.05):
                        pytest.fail("there was no head")

    assert peer.ended
