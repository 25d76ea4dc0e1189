"""What containers consume, out of podman's statistics: the newest sample, and shares of a core."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import anyio

from barasync.aiopodman import (
    ContainerStats,
    ContainerSummary,
    Podman,
    PodmanError,
    ProtocolError,
    SamplingFailed,
    StatsReport,
)
from barasync.cli.resolution import called

_PAUSE_SECONDS = 0.2
_TRIES = 10
_LEAST_NANOSECONDS = 100_000_000
"""Between samples that are nearer to each other the share of a core is not to be told."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a container consumes; `cpu_percent` is of one core since the sample before, if any."""

    container: ContainerSummary
    stats: ContainerStats
    cpu_percent: float | None


class Meter:
    """Turns samples into figures: how much of a core was used takes two of them.

    The time between them is podman's, who knows when it took them: they may wait on their way.
    """

    def __init__(self) -> None:
        self._before: dict[str, ContainerStats] = {}

    def figures(
        self, sample: StatsReport, containers: Mapping[str, ContainerSummary]
    ) -> list[Figures]:
        """Return the figures of those `containers` that a sample has, by name.

        What podman 4 tells of one that has just ended, that it consumes nothing, is left out.
        """
        found, before = [], self._before
        self._before = {}
        for stats in sample.stats or ():
            container = containers.get(stats.container_id)
            if container is None or not (stats.cpu_nanoseconds or stats.memory_bytes):
                continue
            self._before[container.id] = stats
            percent = None
            if (earlier := before.get(container.id)) is not None:
                gap = stats.taken_at_nanoseconds - earlier.taken_at_nanoseconds
                if gap >= _LEAST_NANOSECONDS:
                    used = stats.cpu_nanoseconds - earlier.cpu_nanoseconds
                    percent = max(0, used) / gap * 100
                elif gap >= 0:
                    self._before[container.id] = earlier
            found.append(Figures(container, stats, percent))
        return sorted(found, key=lambda each: called(each.container))


class Newest:
    """The newest sample: one that nobody has taken gives way to the next."""

    def __init__(self) -> None:
        self._sample = StatsReport()
        self._there = anyio.Event()

    def put(self, sample: StatsReport) -> None:
        """Have a sample taken next, in the place of any before."""
        self._sample = sample
        self._there.set()

    async def take(self) -> StatsReport:
        """Return the newest sample that was not taken, once there is one."""
        await self._there.wait()
        self._there = anyio.Event()
        return self._sample


@asynccontextmanager
async def newest_samples(podman: Podman) -> AsyncIterator[Newest]:
    """Read podman's statistics during the block, however long one waits with the next sample.

    Podman ends a stream when a container vanishes while it looks; then it is asked again.

    Raises:
        ExceptionGroup: of a `PodmanError`: podman has no statistics, does not answer, or has ended
            ten streams in a row without a sample.
    """
    newest = Newest()
    async with anyio.create_task_group() as group:
        group.start_soon(_read, podman, newest)
        yield newest
        group.cancel_scope.cancel()


async def _read(podman: Podman, newest: Newest) -> None:
    failures = 0
    while True:
        trouble: PodmanError = SamplingFailed("podman ended its statistics without a sample")
        try:
            async with podman.containers.stats() as samples:
                async for sample in samples:
                    newest.put(sample)
                    failures = 0
        except ProtocolError as error:
            trouble = error
        failures += 1
        if failures == _TRIES:
            raise trouble
        await anyio.sleep(_PAUSE_SECONDS)
