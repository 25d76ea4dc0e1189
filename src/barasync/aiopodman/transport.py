"""HTTP over podman's unix socket, by `httpx2`, which only the modules of connections know besides.

Two clients share the socket. *Control* serves requests that podman answers at once: it has a read
timeout and a bounded pool. *Streaming* serves answers that last as long as a container does: it has
neither, because a silent container is not an error and every cell holds a stream.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType, TracebackType
from typing import Self
from urllib.parse import urlencode

import anyio
import httpcore2
import httpx2
from anyio import CancelScope

from barasync.aiopodman.download import download
from barasync.aiopodman.endpoint import Endpoint, probe
from barasync.aiopodman.errors import (
    ConnectError,
    PodmanError,
    ProtocolError,
    RequestTimeout,
    TransportError,
)
from barasync.aiopodman.persistence import Absence, Persistence
from barasync.aiopodman.unix import UnixBackend
from barasync.aiopodman.upgrade import Duplex, Refused, upgrade
from barasync.aiopodman.wire.refusal import refusal

HTTPTransport = httpx2.AsyncBaseTransport
"""What a test may put in the place of the socket, for example `httpx2.MockTransport`."""

Query = Mapping[str, str | int | bool | Sequence[str] | None]
"""Parameters of a request: `None` is left out, a sequence is repeated, a bool is `true`/`false`."""

NOT_FOUND = 404
CONTROL_CONNECTIONS = 20
# Podman closes a connection that was idle for 10 s (twice its default --time of 5).
_KEEPALIVE_SECONDS = 5.0
_MAX_ERROR_BYTES = 64 * 1024
_BASE_URL = "http://podman"
_VERSION_PREFIX = re.compile(r"^/v[0-9.]+(?=/)")

_TRANSLATION: dict[type[BaseException], type[PodmanError]] = {
    httpx2.HTTPError: TransportError,
    httpx2.ConnectError: ConnectError,
    httpx2.ConnectTimeout: ConnectError,
    httpx2.TimeoutException: RequestTimeout,
    httpx2.RemoteProtocolError: ProtocolError,
    httpx2.DecodingError: ProtocolError,
    httpx2.TooManyRedirects: ProtocolError,
    httpx2.InvalidURL: TransportError,
    httpx2.CookieConflict: TransportError,
    httpx2.StreamError: TransportError,
    httpcore2.NetworkError: TransportError,
    httpcore2.ConnectError: ConnectError,
    httpcore2.ConnectTimeout: ConnectError,
    httpcore2.TimeoutException: RequestTimeout,
    httpcore2.ConnectionNotAvailable: TransportError,
    httpcore2.ProtocolError: TransportError,
    httpcore2.RemoteProtocolError: ProtocolError,
    httpcore2.ProxyError: TransportError,
    httpcore2.UnsupportedProtocol: TransportError,
}
# The library has one class for bytes that are not HTTP and for a connection that just ends.
_DISCONNECTED = ("Server disconnected", "peer closed connection")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that was read to its end; the names of `headers` are in any case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport:
    """Sends requests to the podman service at `endpoint`, a unix socket.

    `timeout` bounds, in seconds, every wait for podman on the control client and for the headers
    of a stream. Open it with `async with`; leaving the block closes every connection, also under
    tasks that are reading a stream or an upgraded one: a `TransportError` there.
    `transport` replaces the socket in tests.

    `bear_outages` makes it wait for a service that went away and comes back; `persistence` says
    which requests are sent again then.
    """

    def __init__(
        self, endpoint: Endpoint, *, timeout: float, transport: HTTPTransport | None = None
    ) -> None:
        self.endpoint = endpoint
        self.socket_path = endpoint.socket_path
        self.timeout = timeout
        self._absence = Absence()
        self._backend = UnixBackend()
        self._control = self._client(timeout, CONTROL_CONNECTIONS, transport)
        self._streaming = self._client(None, None, transport)

    async def __aenter__(self) -> Self:
        await self._control.__aenter__()
        await self._streaming.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.bear_outages(0.0)
        with CancelScope(shield=True):
            await self._control.aclose()
            await self._streaming.aclose()
            await self._backend.aclose()

    def bear_outages(self, seconds: float) -> None:
        """Have each request bear a service that is away for so long."""
        self._absence.bearable = seconds

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Query = MappingProxyType({}),
        headers: Mapping[str, str] = MappingProxyType({}),
        content: bytes | AsyncIterable[bytes] | None = None,
        patience: float | None = 0.0,
        once: bool = False,
    ) -> Answer:
        """Send a request and read the whole answer.

        `patience` is how many seconds longer than `timeout` podman may take by the nature of the
        request; `None` for as long as it takes. `persistence` says which requests are sent again,
        and what `once` changes in that. Where a DELETE had its effect before it was sent again, the
        answer is podman's refusal, 404 without a body.

        Raises:
            APIError: podman refused.
            TransportError: the request or its answer did not get through.
            ProtocolError: the answer is not HTTP.
        """
        if patience is None:
            client, limits = self._streaming, httpx2.Timeout(None, connect=self.timeout)
        else:
            client = self._control
            limits = httpx2.Timeout(self.timeout, read=self.timeout + patience)
        request = client.build_request(
            method, _target(path, query), headers=headers, content=content, timeout=limits
        )
        response = await self._send(client, request, whole=True, within=limits.read, once=once)
        return Answer(response.status_code, response.headers, response.content)

    @asynccontextmanager
    async def stream(
        self,
        method: str,
        path: str,
        *,
        query: Query = MappingProxyType({}),
        headers: Mapping[str, str] = MappingProxyType({}),
        content: AsyncIterable[bytes] | None = None,
        headers_within: float | None,
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Send a request and yield the bytes of its answer as they come, once the headers are here.

        `headers_within` bounds the wait for the headers, in seconds; nothing bounds the wait for
        the bytes. Leaving the block closes the connection, wherever the answer stands.

        Raises:
            APIError, TransportError, ProtocolError: as `request`; on entering, or for the last two
                while iterating.
        """
        target = _target(path, query)
        request = self._streaming.build_request(
            method, target, headers=dict(headers), content=content
        )
        response = await self._send(self._streaming, request, whole=False, within=headers_within)
        body = response.aiter_bytes()
        try:
            yield _Body(self, body, request)
        finally:
            with CancelScope(shield=True):
                await body.aclose()
                await response.aclose()

    @asynccontextmanager
    async def upgraded(
        self, path: str, *, query: Query, content: bytes | None = None
    ) -> AsyncIterator[Duplex]:
        """POST a request, and yield the connection once podman has given it over.

        It is sent again only where nobody took it: podman may have begun what the connection is
        for. Leaving the block closes the connection.

        Raises:
            APIError, TransportError, ProtocolError: as `request`, on entering.
        """
        headers = {"Connection": "Upgrade", "Upgrade": "tcp", "Content-Type": "application/json"}
        request = self._streaming.build_request(
            "POST", _target(path, query), headers=headers, content=content
        )
        duplex = await self._upgrade(request)
        try:
            yield duplex
        finally:
            await duplex.aclose()

    async def _upgrade(self, request: httpx2.Request) -> Duplex:
        persistence = Persistence(self._absence, request.method, patience=self.timeout)
        while True:
            try:
                return await self._upgrade_once(request)
            except PodmanError as error:
                await persistence.after(error, connection_is_new=True)

    async def _upgrade_once(self, request: httpx2.Request) -> Duplex:
        async with self.translated(request):
            with anyio.move_on_after(self.timeout):
                try:
                    duplex = await upgrade(
                        self._backend,
                        self.socket_path,
                        request,
                        partial(self.translated, request),
                    )
                except Refused as refused:
                    self._absence.answered()
                    text = await self._read_some(refused.response, request)
                    raise _refusal(request, refused.response, text) from None
                self._absence.answered()
                return duplex
            raise httpx2.ReadTimeout(f"no headers within {self.timeout} s")

    def _client(
        self, timeout: float | None, connections: int | None, transport: HTTPTransport | None
    ) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            base_url=_BASE_URL,
            transport=transport or _UnixTransport(self.socket_path, connections, self._backend),
            timeout=httpx2.Timeout(timeout, connect=self.timeout),
            headers={"Accept-Encoding": "identity"},
            trust_env=False,
        )

    async def _send(
        self,
        client: httpx2.AsyncClient,
        request: httpx2.Request,
        *,
        whole: bool,
        within: float | None,
        once: bool = False,
    ) -> httpx2.Response:
        """Send a request until it is answered or given up; the answer is no error.

        `within` is how long an answer may take, in seconds. `once` and the one exception are those
        of `request`.
        """
        persistence = Persistence(self._absence, request.method, patience=within, once=once)
        while True:
            connection = _Connection()
            request.extensions = {**request.extensions, "trace": connection}
            try:
                return await self._send_once(client, request, whole=whole, within=within)
            except PodmanError as error:
                if persistence.was_done(error):
                    return httpx2.Response(NOT_FOUND)
                await persistence.after(error, connection_is_new=connection.is_new)

    async def _send_once(
        self,
        client: httpx2.AsyncClient,
        request: httpx2.Request,
        *,
        whole: bool,
        within: float | None,
    ) -> httpx2.Response:
        async with self.translated(request):
            # The client's own limits bound each wait of an answer that is read as a whole.
            with anyio.move_on_after(None if whole else within) as waiting:
                response = await client.send(request, stream=not whole)
            if waiting.cancelled_caught:
                raise httpx2.ReadTimeout(f"no headers within {within} s")
        self._absence.answered()
        if response.is_error:
            text = response.content if whole else await self._read_some(response, request)
            raise _refusal(request, response, text)
        return response

    async def _read_some(self, response: httpx2.Response, request: httpx2.Request) -> bytes:
        """Read the beginning of an error's text and close the connection."""
        text = b""
        body = response.aiter_bytes()
        try:
            with anyio.move_on_after(self.timeout):
                async with self.translated(request):
                    async for data in body:
                        text += data
                        if len(text) >= _MAX_ERROR_BYTES:
                            break
        finally:
            with CancelScope(shield=True):
                await body.aclose()
                await response.aclose()
        return text

    @asynccontextmanager
    async def translated(self, request: httpx2.Request) -> AsyncIterator[None]:
        """Turn every exception of the HTTP library into one of this package's."""
        try:
            yield
        except tuple(_TRANSLATION) as error:
            kind = next(_TRANSLATION[cls] for cls in type(error).__mro__ if cls in _TRANSLATION)
            text = str(error)
            what = f"{request.method} {_path(request)}"
            if kind is ConnectError:
                reason = await probe(self.endpoint) or f"{self.socket_path}: {text}"
                raise ConnectError(f"podman cannot be reached: {reason}") from error
            if kind is RequestTimeout:
                raise RequestTimeout(
                    f"podman at {self.socket_path} did not answer in time ({what})"
                ) from error
            if kind is ProtocolError and text.startswith(_DISCONNECTED):
                raise TransportError(
                    f"podman at {self.socket_path} closed the connection before the end of its "
                    f"answer ({what})"
                ) from error
            if kind is ProtocolError:
                raise ProtocolError(
                    f"the service at {self.socket_path} does not speak HTTP: {text} ({what})"
                ) from error
            raise kind(
                f"the connection to podman at {self.socket_path} broke ({what})"
                + (f": {text}" if text else "")
            ) from error


class _UnixTransport(httpx2.AsyncBaseTransport):
    """A pool of connections to one unix socket, at most `connections` of them.

    Without such a bound it serves streams; those that are fetched get connections of their own.
    """

    def __init__(self, path: str, connections: int | None, backend: UnixBackend) -> None:
        self._path = path
        self._backend = backend
        self._unbounded = connections is None
        self._pool = httpcore2.AsyncConnectionPool(
            uds=path,
            max_connections=connections,
            max_keepalive_connections=CONTROL_CONNECTIONS,
            keepalive_expiry=_KEEPALIVE_SECONDS,
            network_backend=backend,
        )

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._unbounded and request.method == "GET":
            return await download(self._backend, self._path, request)
        url = httpcore2.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        response = await self._pool.handle_async_request(
            httpcore2.Request(
                method=request.method,
                url=url,
                headers=request.headers.raw,
                content=request.stream,
                extensions=request.extensions,
            )
        )
        return httpx2.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_ResponseStream(response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _ResponseStream(httpx2.AsyncByteStream):
    """The pool's stream under the type of the client; closing it ends every generator below."""

    def __init__(self, response: httpcore2.Response) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._response.aiter_stream()

    async def aclose(self) -> None:
        await self._response.aclose()


class _Body(AsyncIterator[bytes]):
    """The bytes of a streamed answer, with the errors of this package."""

    def __init__(
        self, transport: Transport, data: AsyncIterator[bytes], request: httpx2.Request
    ) -> None:
        self._transport = transport
        self._data = data
        self._request = request

    async def __anext__(self) -> bytes:
        async with self._transport.translated(self._request):
            data = await anext(self._data, None)
        if data is None:
            raise StopAsyncIteration
        return data


class _Connection:
    """Notices whether a request opened a connection of its own or took one from the pool."""

    def __init__(self) -> None:
        self.is_new = False

    async def __call__(self, event: str, _details: object) -> None:
        """Take an event of the HTTP library's extension `trace`."""
        if event == "connection.connect_unix_socket.complete":
            self.is_new = True


def _target(path: str, query: Query) -> str:
    """Return a path with its parameters, and bytes that are not UTF-8 as they are.

    Podman 4.3.1 and 5.4.2 find no file by a name with such bytes, and say so.
    """
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        if value is None:
            continue
        if isinstance(value, bool):
            pairs.append((name, "true" if value else "false"))
        elif isinstance(value, str | int):
            pairs.append((name, str(value)))
        else:
            pairs.extend((name, item) for item in value)
    return f"{path}?{urlencode(pairs, errors='surrogateescape')}" if pairs else path


def _refusal(request: httpx2.Request, response: httpx2.Response, body: bytes) -> PodmanError:
    return refusal(
        response.status_code,
        body,
        method=request.method,
        path=_path(request),
        headers=response.headers,
    )


def _path(request: httpx2.Request) -> str:
    """Return a request's path without the version: `/libpod/containers/create`."""
    return _VERSION_PREFIX.sub("", request.url.path)
