"""A podman whose events are watched: what it tells over one connection after another."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import httpx2
import trio.testing

from barasync.aiopodman import Event, Podman
from tests.unit.recorded import ENDPOINT, ID, NOON

SECOND = 1_000_000_000
BEGINNING = int(NOON.timestamp()) * SECOND


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


def in_virtual_time(run: Callable[[], Awaitable[None]]) -> None:
    """Run something for which time passes as soon as everybody waits."""
    clock = trio.testing.MockClock(autojump_threshold=0)
    anyio.run(run, backend="trio", backend_options={"clock": clock})
