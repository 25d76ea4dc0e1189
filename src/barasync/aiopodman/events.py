"""Events: what happens to containers and images, as podman notices it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime

from barasync.aiopodman.libpod import Libpod, encode_filters
from barasync.aiopodman.models import Event
from barasync.aiopodman.streams import DecodedStream
from barasync.aiopodman.wire.ndjson import RecordDecoder


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
        "since": _timestamp(since),
        "until": _timestamp(until),
    }
    async with libpod.stream("GET", "events", query) as data:
        yield DecodedStream(data, RecordDecoder(Event))


def _timestamp(moment: datetime | str | None) -> str | None:
    return moment.astimezone().isoformat() if isinstance(moment, datetime) else moment
