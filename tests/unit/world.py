"""A run of cells over a podman in memory, put together."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import pytest

from barasync.aiopodman import Chunk, Podman
from barasync.artifacts.collect import Collection
from barasync.artifacts.place import Place
from barasync.config.schema import CellSettings
from barasync.engine.caches import Caches
from barasync.engine.claims import Capacity
from barasync.engine.identity import Liveness
from barasync.engine.job import Session
from barasync.engine.memory import LookAtMemory
from barasync.engine.once import Once
from barasync.engine.run import Run, RunResult
from barasync.engine.scheduler import Scheduler, Task
from barasync.engine.turn import Preparation
from barasync.events import (
    AnyEvent,
    RunFinished,
)
from barasync.images.programs import Programs
from barasync.masking.masker import Masker
from barasync.matrix.cells import Cell
from barasync.matrix.outcome import OutputCounts, Status
from barasync.matrix.plan import Plan
from barasync.matrix.platforms import Platform
from tests.unit.fake_podman import FakePodman, Script

AMD64 = Platform("amd64")


class MemoryLog:
    def __init__(self) -> None:
        self.chunks: list[Chunk] = []

    async def write(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)

    @property
    def counts(self) -> OutputCounts:
        return OutputCounts(stdout_bytes=sum(len(chunk.data) for chunk in self.chunks))


class MemoryRecorder:
    """Keeps everything; `on_event` lets a test act in the middle of a run."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self.logs: dict[str, MemoryLog] = {}
        self.on_event: Callable[[AnyEvent], None] = lambda _event: None
        self.root = Place(-1, Path("/nonexistent"))

    def emit(self, event: AnyEvent) -> None:
        self.events.append(event)
        self.on_event(event)

    @asynccontextmanager
    async def open_log(self, cell: str, _number: int) -> AsyncIterator[MemoryLog]:
        self.logs[cell] = MemoryLog()
        yield self.logs[cell]

    @asynccontextmanager
    async def open_service_log(
        self, _cell: str, _number: int, _service: str
    ) -> AsyncIterator[MemoryLog]:
        yield MemoryLog()

    def artifacts(self, cell: str, _number: int) -> Place:
        return self.root / cell

    async def keep_manifest(self, cell: str, number: int, _collection: Collection) -> str:
        return f"{cell}-{number}"

    async def remove_stale(self, _cell: str, _number: int) -> None:
        """Leave them: that is the affair of the recorder that writes to disk."""


def cell(name: str, **settings: Any) -> Cell:
    given = {
        "image": "image",
        "command": ("{rule}",),
        "timeout": None,
        "network": "none",
        **settings,
    }
    return Cell(
        id=name,
        arch="amd64",
        platform=AMD64,
        config=name,
        settings=CellSettings(**given),
        provenance={},
    )


async def prepared(_image: str, _platform: Platform) -> str:
    return "image-id"


def alive(_labels: Mapping[str, str]) -> Liveness:
    return Liveness.ALIVE


class World:
    """A run of cells over scripts, put together."""

    def __init__(
        self,
        scripts: dict[str, Script],
        *,
        jobs: int = 8,
        fail_fast: bool = False,
        deadline: float | None = None,
        look_at_memory: LookAtMemory | None = None,
        image: Callable[[str, Platform], Any] = prepared,
        native: Platform = AMD64,
        podmans_secrets: Mapping[str, str] = MappingProxyType({}),
        masker: Masker | None = None,
        locks: Path = Path("/nonexistent"),
        **settings: Any,
    ) -> None:
        self.podman = FakePodman(lambda name: scripts[name])
        self.recorder = MemoryRecorder()
        cells = tuple(cell(name, **settings) for name in scripts)
        session = Session(
            podman=cast("Podman", self.podman),
            run="run1",
            labels={"barasync.run": "run1"},
            project=Path("/nonexistent"),
            cgroup=None,
            rlimits=(),
            clock=time.monotonic,
            look_at_memory=look_at_memory,
            secrets=podmans_secrets,
            masker=masker or Masker(),
        )
        self.run = Run(
            Plan(rule="tests", args=(), cells=cells),
            session,
            Preparation(
                images=Once(lambda key: image(*key)),
                native=native,
                workspace=prepared,
                caches=Caches(
                    cast("Podman", self.podman),
                    locks,
                    labels={"barasync.run": "run1"},
                    judge=alive,
                ),
                programs=Programs(cast("Podman", self.podman), Path("/nonexistent/programs.json")),
                has_bar=lambda _mode: pytest.fail("a cell with a command does not call bar"),
            ),
            self.recorder,
            scheduler=Scheduler([Task(id=name) for name in scripts], Capacity(jobs=jobs)),
            fail_fast=fail_fast,
            deadline=deadline,
            wall_clock=lambda: 0.0,
        )

    async def result(self) -> RunResult:
        result = await self.run.execute()
        assert isinstance(self.recorder.events[-1], RunFinished)
        return result

    async def statuses(self) -> dict[str, Status]:
        result = await self.result()
        return {name: outcome.status for name, outcome in result.outcomes.items()}


@contextmanager
def nothing_measured(_phase: str) -> Iterator[None]:
    """A phase that nobody measures."""
    yield
