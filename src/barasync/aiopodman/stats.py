"""Statistics: what running containers consume, as podman samples it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.models import StatsReport
from barasync.aiopodman.streams import DecodedStream
from barasync.aiopodman.wire.ndjson import RecordDecoder

_INTERVAL_SECONDS = 1


@asynccontextmanager
async def open_stats(libpod: Libpod) -> AsyncIterator[AsyncIterator[StatsReport]]:
    """Yield samples as `Containers.stats` describes them.

    Source: `GET /libpod/containers/stats`.
    """
    query = {"stream": True, "interval": _INTERVAL_SECONDS}
    async with libpod.stream("GET", "containers/stats", query, unhurried=True) as data:
        yield DecodedStream(data, RecordDecoder(StatsReport))
