from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import anyio
import pytest

from barasync.aiopodman import (
    Conflict,
    ContainerStats,
    Endpoint,
    Podman,
    PodmanError,
    StatsReport,
    TransportError,
)
from barasync.engine.sampler import Sampler
from barasync.matrix.outcome import Usage
from tests.unit.fake_podman import refused


class Statistics:
    """Stands for the client: each opening is a stream of reports, at whose end it may break."""

    def __init__(self, *openings: Sequence[StatsReport | PodmanError]) -> None:
        self.openings = list(openings)
        self.exhausted = anyio.Event()
        self.containers = self

    @asynccontextmanager
    async def stats(self) -> AsyncIterator[AsyncIterator[StatsReport]]:
        if not self.openings:
            self.exhausted.set()
            await anyio.sleep_forever()
        yield self._reports(self.openings.pop(0))

    async def _reports(
        self, opening: Sequence[StatsReport | PodmanError]
    ) -> AsyncIterator[StatsReport]:
        for report in opening:
            await anyio.lowlevel.checkpoint()
            if isinstance(report, PodmanError):
                raise report
            yield report


def sampler() -> Sampler:
    return Sampler(Podman(Endpoint("unix:///nowhere/podman.sock", "a test")))


def sample(container: str, memory: int, cpu: int) -> ContainerStats:
    return ContainerStats(container_id=container, memory_bytes=memory, cpu_nanoseconds=cpu)


def test_the_highest_figures_are_kept_and_marked_as_not_exact() -> None:
    sampled = sampler()
    sampled.take([sample("a", 100, 1_000_000_000), sample("b", 7, 0)])
    sampled.take([sample("a", 300, 1_500_000_000)])
    sampled.take([sample("a", 200, 2_000_000_000)])

    assert sampled.usage("a") == Usage(peak_memory_bytes=300, cpu_seconds=2.0, exact=False)
    assert sampled.usage("b") == Usage(peak_memory_bytes=7, cpu_seconds=0.0)


def test_a_container_without_a_sample_has_no_figures() -> None:
    assert sampler().usage("a") == Usage()


def test_the_figures_kept_are_bounded() -> None:
    sampled = sampler()
    for number in range(5000):
        sampled.take([sample(str(number), 1, 1)])

    assert sampled.usage("0") == Usage()
    assert sampled.usage("4999").peak_memory_bytes == 1
    assert len(sampled._figures) <= 1024


def report(container: str, memory: int) -> StatsReport:
    return StatsReport(stats=[sample(container, memory, 1)])


@pytest.mark.anyio
async def test_a_stream_that_ends_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("barasync.engine.sampler._FIRST_PAUSE_SECONDS", 0.001)
    statistics = Statistics(
        [report("a", 1)],
        [report("b", 2), TransportError("the connection broke")],
        [StatsReport(error={"cause": "no such container"}), report("unheard", 9)],
        [TransportError("nobody listens")],
        [report("c", 3)],
    )
    sampled = Sampler(cast("Podman", statistics))

    async with anyio.create_task_group() as group:
        group.start_soon(sampled.run)
        with anyio.fail_after(10):
            await statistics.exhausted.wait()
        group.cancel_scope.cancel()

    peaks = {name: sampled.usage(name).peak_memory_bytes for name in ("a", "b", "c", "unheard")}
    assert peaks == {"a": 1, "b": 2, "c": 3, "unheard": None}


@pytest.mark.anyio
async def test_a_podman_without_statistics_is_not_asked_again() -> None:
    statistics = Statistics([refused(Conflict, "not supported in rootless mode")], [report("a", 1)])
    sampled = Sampler(cast("Podman", statistics))

    with anyio.fail_after(10):
        await sampled.run()

    assert sampled.usage("a") == Usage()
