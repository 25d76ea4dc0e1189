"""What cells consume, sampled, for services whose cgroups cannot be seen from here."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

import anyio

from barasync.aiopodman import Conflict, ContainerStats, Podman, PodmanError
from barasync.matrix.outcome import Usage

_NANOSECONDS = 1e9
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 10.0
_KEPT = 1024
"""Containers whose figures are kept: those of other users of the service come as well."""


class Sampler:
    """Follows one stream of podman's statistics and keeps the highest figures of each container.

    A peak between two samples, a second apart, is missed, and a container that ends before the
    first sample has no figures: they are marked as not exact.
    """

    def __init__(self, podman: Podman) -> None:
        self._podman = podman
        self._figures: OrderedDict[str, Usage] = OrderedDict()

    async def run(self) -> None:
        """Sample until cancelled, or until podman says it has no statistics (rootless, cgroup v1).

        Podman ends the stream when a container vanishes while it looks, and when it ends itself:
        then another one is opened, after a pause that grows as long as no sample comes.
        """
        pause = _FIRST_PAUSE_SECONDS
        while True:
            try:
                async with self._podman.containers.stats() as samples:
                    async for sample in samples:
                        if sample.error is not None:
                            break
                        self.take(sample.stats or ())
                        pause = _FIRST_PAUSE_SECONDS
            except Conflict:
                return
            except PodmanError:
                # No verdict depends on samples, and whatever does will meet the error as well.
                pass
            await anyio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)

    def take(self, sample: Iterable[ContainerStats]) -> None:
        """Take note of a sample."""
        for one in sample:
            before = self._figures.pop(one.container_id, Usage())
            self._figures[one.container_id] = Usage(
                peak_memory_bytes=max(before.peak_memory_bytes or 0, one.memory_bytes),
                cpu_seconds=max(before.cpu_seconds or 0.0, one.cpu_nanoseconds / _NANOSECONDS),
            )
            if len(self._figures) > _KEPT:
                self._figures.popitem(last=False)

    def usage(self, container: str) -> Usage:
        """Return the figures of a container, an empty `Usage` where none came."""
        return self._figures.get(container, Usage())
