"""Events: what happens to containers and images, as podman notices it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from barasync.aiopodman.libpod import Libpod, encode_filters
from barasync.aiopodman.models import EPOCH, Event
from barasync.aiopodman.streams import DecodedStream
from barasync.aiopodman.wire.ndjson import RecordDecoder

_NANOSECONDS = 1_000_000_000
_NANOSECONDS_OF_MICROSECOND = 1_000


def in_nanoseconds(time: datetime) -> int:
    """Return a time in nanoseconds since the epoch; one without an offset is local time."""
    microseconds = (time.astimezone(UTC) - EPOCH) // timedelta(microseconds=1)
    return microseconds * _NANOSECONDS_OF_MICROSECOND


def rfc3339(time: datetime | int) -> str:
    """Return a time, or what `in_nanoseconds` has made of it, as podman reads it exactly."""
    nanoseconds = time if isinstance(time, int) else in_nanoseconds(time)
    seconds, rest = divmod(nanoseconds, _NANOSECONDS)
    return f"{EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"


@asynccontextmanager
async def open_events(
    libpod: Libpod,
    *,
    filters: Mapping[str, Sequence[str]],
    stream: bool,
    since: datetime | str | None,
    until: datetime | None,
) -> AsyncIterator[AsyncIterator[Event]]:
    """Yield events as `Podman.events` describes them; a text is a time that podman can read.

    Source: `GET /libpod/events`.
    """
    query = {
        "stream": stream,
        "filters": encode_filters(filters),
        "since": since if since is None or isinstance(since, str) else rfc3339(since),
        "until": None if until is None else rfc3339(until),
    }
    async with libpod.stream("GET", "events", query) as data:
        yield DecodedStream(data, RecordDecoder(Event))
