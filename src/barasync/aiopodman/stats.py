"""What containers consume, as podman samples it, and the processes in them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NoReturn

import msgspec

from barasync.aiopodman.container_quirks import TOP_OF_NOTHING_IS_EMPTY
from barasync.aiopodman.errors import Conflict, SamplingFailed
from barasync.aiopodman.libpod import Libpod, segment
from barasync.aiopodman.models import ContainerStats, StatsReport
from barasync.aiopodman.streams import DecodedStream
from barasync.aiopodman.texts import refuse_text
from barasync.aiopodman.transport import Query
from barasync.aiopodman.wire.documents import decode_document
from barasync.aiopodman.wire.ndjson import RecordDecoder

_PATH = "containers/stats"
_NOTHING_RUNS = "top can only be used on running containers"


class Processes(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The processes of a container or a pod: what each column is, and the processes in rows."""

    titles: list[str] = []
    processes: list[list[str]] = []


@asynccontextmanager
async def open_stats(
    libpod: Libpod, containers: Sequence[str], *, interval: int
) -> AsyncIterator[AsyncIterator[StatsReport]]:
    """Yield samples as `Containers.stats` describes them.

    Source: `GET /libpod/containers/stats`.
    """
    query: Query = {"stream": True, "interval": interval, "containers": containers}
    async with libpod.stream("GET", _PATH, query, patience=interval) as data:
        yield _Samples(libpod, containers, DecodedStream(data, RecordDecoder(StatsReport)))


async def read_sample(libpod: Libpod, containers: Sequence[str]) -> list[ContainerStats]:
    """Return one sample as `Containers.sample` describes it.

    Source: `GET /libpod/containers/stats`.
    """
    query: Query = {"stream": False, "containers": containers}
    report = await libpod.get(_PATH, StatsReport, query)
    if report.error is not None:
        await _fail(libpod, containers, report.error)
    return report.stats or []


class _Samples(AsyncIterator[StatsReport]):
    """Samples, up to one that podman could not take."""

    def __init__(
        self, libpod: Libpod, containers: Sequence[str], reports: AsyncIterator[StatsReport]
    ) -> None:
        self._libpod = libpod
        self._containers = containers
        self._reports = reports

    async def __anext__(self) -> StatsReport:
        report = await anext(self._reports)
        if report.error is not None:
            await _fail(self._libpod, self._containers, report.error)
        return report


async def _fail(libpod: Libpod, containers: Sequence[str], error: object) -> NoReturn:
    """Raise why podman could not take a sample, which it does not say itself.

    Source: `GET /libpod/containers/{id}/json`.
    """
    for each in containers:
        # Of one that is not there it says so here.
        await libpod.read(f"containers/{segment(each)}/json")
    # The Go error that podman puts there has no members to be shown.
    said = f": {error}" if error else ", and podman does not say why"
    raise SamplingFailed(f"what containers consume could not be sampled{said}")


async def read_processes(
    libpod: Libpod, kind: str, name: str, descriptors: Sequence[str]
) -> Processes:
    """Return the processes of a container or a pod, as `Container.top` describes them.

    Source: `GET /libpod/containers/{id}/top`, `GET /libpod/pods/{name}/top`.
    """
    refuse_text("descriptors", descriptors)
    query: Query = {"stream": False, "ps_args": ",".join(descriptors) or None}
    path = f"{kind}/{segment(name)}/top"
    shown = await libpod.read(path, query)
    if not shown and libpod.has(TOP_OF_NOTHING_IS_EMPTY):
        raise Conflict(
            status=200,
            cause=_NOTHING_RUNS,
            message=_NOTHING_RUNS,
            method="GET",
            path=f"/libpod/{path}",
        )
    return decode_document(shown, Processes)
