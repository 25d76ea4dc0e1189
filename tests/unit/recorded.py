"""A podman service that answers as it was recorded, and remembers what it was asked."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from barasync.aiopodman import (
    Endpoint,
    Podman,
)

ENDPOINT = Endpoint("unix:///nowhere/podman.sock", "a test")
ID = "90e472ab6e30c8f657411f97fae1c68359681935a7302c47c48d7186311a8921"
CONTAINER = f"/libpod/containers/{ID}"
TIMEOUT_SECONDS = 5
NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


@dataclass
class Seen:
    """A request as the service sees it, without the version in its path."""

    method: str
    path: str
    query: dict[str, list[str]]
    body: bytes
    headers: httpx2.Headers
    read_seconds: float | None = None
    """How long its answer is waited for, `None` for as long as it takes."""

    @property
    def filters(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = json.loads(self.query["filters"][0])
        return found


@dataclass
class Service:
    """Answers every request with `answer`, but for the ping; remembers what it was asked."""

    version: str = "5.4.2"
    answer: httpx2.Response | None = None
    seen: list[Seen] = field(default_factory=list)
    prefix: str = ""

    def handle(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/libpod/_ping":
            return httpx2.Response(200, text="OK", headers={"Libpod-API-Version": self.version})
        self.prefix, slash, path = request.url.path[1:].partition("/")
        query: dict[str, list[str]] = {}
        for name, value in request.url.params.multi_items():
            query.setdefault(name, []).append(value)
        self.seen.append(
            Seen(
                request.method,
                slash + path,
                query,
                request.content,
                request.headers,
                request.extensions["timeout"]["read"],
            )
        )
        assert self.answer is not None
        return self.answer

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Podman]:
        transport = httpx2.MockTransport(self.handle)
        async with Podman(ENDPOINT, timeout=TIMEOUT_SECONDS, transport=transport) as podman:
            yield podman

    @property
    def only(self) -> Seen:
        (seen,) = self.seen
        return seen


def answering(*args: Any, version: str = "5.4.2", **kwargs: Any) -> Service:
    return Service(version=version, answer=httpx2.Response(*args, **kwargs))


def refusing(status: int, cause: str) -> Service:
    return answering(status, json={"cause": cause, "message": cause, "response": status})


def frame(stream: int, payload: bytes) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(payload).to_bytes(4, "big") + payload


async def stream_of(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
