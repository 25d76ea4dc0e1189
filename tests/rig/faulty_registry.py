"""A proxy in front of a registry that answers as registries do on a bad day."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_TIMEOUT = 30.0
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}

BLOB = r"GET /v2/.+/blobs/"
MANIFEST = r"(GET|HEAD) /v2/.+/manifests/"


@dataclass(slots=True, kw_only=True)
class Fault:
    """What happens to the first `times` requests that `matching` fits, `METHOD PATH`.

    They are answered with `status`; or, where that is 0, what they ask for stops after a half: the
    connection is closed, or stays open where it `stalls`.
    """

    matching: str
    status: int = 0
    stalls: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    times: int = 1_000_000


@dataclass(slots=True)
class FaultyRegistry:
    """A running proxy; `requests` are those that it got, `METHOD PATH`.

    `stalled` is set by the first answer that stalls, `abandoned` when its reader has gone.
    """

    port: int
    faults: list[Fault] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    stalled: threading.Event = field(default_factory=threading.Event)
    abandoned: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def seen(self, matching: str) -> int:
        """Return how many requests came that `matching` fits."""
        return sum(bool(re.match(matching, request)) for request in self.requests)

    def take(self, request: str) -> Fault | None:
        """Note a request; return what is to go wrong with it, used up by one time."""
        with self._lock:
            self.requests.append(request)
            for fault in self.faults:
                if fault.times > 0 and re.match(fault.matching, request):
                    fault.times -= 1
                    return fault
        return None


@contextmanager
def running(upstream: int) -> Iterator[FaultyRegistry]:
    """Run a proxy before the registry at the port `upstream`; without faults nothing goes wrong."""
    with _Server(upstream) as server:
        proxy = server.proxy
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def silent() -> Iterator[str]:
    """Yield the host of a registry that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


class _Server(ThreadingHTTPServer):
    """A server of its own port; it waits for its threads when it is closed."""

    daemon_threads = False

    def __init__(self, upstream: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream
        self.proxy = FaultyRegistry(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    """Passes one request on; every connection serves one, so that none outlives the proxy."""

    timeout = _TIMEOUT

    def _serve(self) -> None:
        assert isinstance(self.server, _Server)
        proxy, upstream = self.server.proxy, self.server.upstream
        fault = proxy.take(f"{self.command} {self.path}")
        body = self._body()
        if fault is not None and fault.status:
            self._refuse(fault)
            return
        connection = http.client.HTTPConnection("127.0.0.1", upstream, timeout=_TIMEOUT)
        try:
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                if name.lower() not in _HOP_BY_HOP:
                    connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        self.send_response(response.status)
        for name, value in response.getheaders():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        length = response.getheader("Content-Length") or str(len(content))
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content if fault is None else content[: len(content) // 2])
        if fault is not None and fault.stalls:
            self.wfile.flush()
            proxy.stalled.set()
            if not self.rfile.read(1):
                proxy.abandoned.set()

    do_GET = do_HEAD = _serve  # noqa: N815 - the base's names
    do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815 - likewise

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _refuse(self, fault: Fault) -> None:
        self.send_response(fault.status)
        for name, value in fault.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing."""
