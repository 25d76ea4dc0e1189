"""A run of cells by the real engine and the real client, on the fake."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from barasync.aiopodman import Chunk, Podman, Stream
from barasync.artifacts.collect import Collection
from barasync.artifacts.place import Place, below
from barasync.config.policies import Policy
from barasync.config.schema import CellSettings
from barasync.engine.caches import Caches
from barasync.engine.claims import Capacity
from barasync.engine.detached import Detachment
from barasync.engine.gate import Gates
from barasync.engine.identity import Identity, Liveness
from barasync.engine.job import Session
from barasync.engine.once import Once
from barasync.engine.run import Run, RunResult
from barasync.engine.scheduler import Scheduler, Task
from barasync.engine.turn import Preparation
from barasync.events import AnyEvent, CellStarted
from barasync.images.programs import Programs
from barasync.images.snapshot import snapshots_of
from barasync.masking.masker import Masker
from barasync.matrix.cells import Cell
from barasync.matrix.outcome import Outcome, OutputCounts
from barasync.matrix.plan import Plan
from barasync.matrix.platforms import Platform
from barasync.networks.listeners import Listen, listeners
from barasync.networks.namespace import Enter, enter
from barasync.workspace.copies import CopySource
from tests.fake.images import native_architecture
from tests.fake.service import FakeService
from tests.rig.waiting import wait_until

CLIENT_SECONDS = 5.0
"""More than a busy host keeps an answer of the fake waiting."""

IMPATIENT_SECONDS = 1.0
"""For a test that waits until the client gives a request up."""

CELL = "barasync.cell"

_PLATFORM = Platform(native_architecture())

IDENTITY = Identity(host="here", boot="b1", namespace="4026531836", pid=100, start=5000)


class Output:
    """The log of an attempt, in memory."""

    def __init__(self) -> None:
        self.streams = dict.fromkeys(Stream, b"")

    async def write(self, chunk: Chunk) -> None:
        self.streams[chunk.stream] += chunk.data

    @property
    def counts(self) -> OutputCounts:
        return OutputCounts(
            stdout_bytes=len(self.streams[Stream.STDOUT]),
            stderr_bytes=len(self.streams[Stream.STDERR]),
        )


class Record:
    """Keeps the output of every cell; artifacts go below `root`."""

    def __init__(self, root: Place) -> None:
        self.outputs: dict[str, Output] = {}
        self.services: dict[tuple[str, int, str], Output] = {}
        self.events: list[AnyEvent] = []
        self.collections: dict[str, Collection] = {}
        self.on_event: Callable[[AnyEvent], None] = lambda _event: None
        self._root = root

    def emit(self, event: AnyEvent) -> None:
        self.events.append(event)
        self.on_event(event)

    @asynccontextmanager
    async def open_log(self, cell: str, _number: int) -> AsyncIterator[Output]:
        self.outputs[cell] = Output()
        yield self.outputs[cell]

    @asynccontextmanager
    async def open_service_log(self, cell: str, number: int, service: str) -> AsyncIterator[Output]:
        self.services[cell, number, service] = Output()
        # As that on disk: tasks within it end when it is closed.
        async with anyio.create_task_group():
            yield self.services[cell, number, service]

    def artifacts(self, cell: str, _number: int) -> Place:
        return self._root / cell

    async def keep_manifest(self, cell: str, _number: int, collection: Collection) -> None:
        self.collections[cell] = collection

    async def remove_stale(self, _cell: str, _number: int) -> None:
        """Leave them: that is the affair of the recorder that writes to disk."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that has ended, and what its cells printed."""

    result: RunResult
    record: Record

    def outcome(self, cell: str = "a") -> Outcome:
        return self.result.outcomes[cell]

    def stdout(self, cell: str = "a") -> bytes:
        return self.record.outputs[cell].streams[Stream.STDOUT]

    def stderr(self, cell: str = "a") -> bytes:
        return self.record.outputs[cell].streams[Stream.STDERR]


def alive(_labels: Mapping[str, str]) -> Liveness:
    return Liveness.ALIVE


async def run(
    service: FakeService,
    scripts: str | Mapping[str, str],
    *,
    destination: Path = Path("/nonexistent"),
    outage: float = 0.0,
    masker: Masker | None = None,
    copies: tuple[CopySource, ...] = (),
    snapshot: str | None = None,
    keep_failed: bool = False,
    proxies: Mapping[str, str] | None = None,
    jobs: int | None = None,
    fail_fast: bool = False,
    interrupted_at: str | None = None,
    interrupted_once: Callable[[], bool] | None = None,
    client_seconds: float = CLIENT_SECONDS,
    policy: Policy | None = None,
    enter: Enter = enter,
    listen: Listen = listeners,
    gates: Gates | None = None,
    detachment: Detachment | None = None,
    **settings: Any,
) -> Ran:
    """Run a shell script per cell, or one in the cell `a`, all at once or `jobs` at a time.

    The run is interrupted when the cell `interrupted_at` starts, or once `interrupted_once` holds.
    Artifacts go below `destination`; a service that is away is waited for `outage` seconds, and an
    answer for `client_seconds`.
    `enter` reaches the namespaces of cells under a `policy`, `listen` sees what listens in them.
    With a `detachment` the containers of cells go on.
    """
    cells = {"a": scripts} if isinstance(scripts, str) else scripts
    image = service.image("localhost/cell")

    async def prepared(_reference: str, _platform: Platform) -> str:
        return image

    async with AsyncExitStack() as stack:
        record = Record(stack.enter_context(below(destination)))
        podman = await stack.enter_async_context(
            Podman(service.endpoint, timeout=client_seconds, outage=outage)
        )
        session = Session(
            podman=podman,
            run="run1",
            labels=IDENTITY.labels("run1"),
            project=Path("/nonexistent"),
            cgroup=None,
            rlimits=(),
            clock=time.monotonic,
            masker=masker or Masker(),
            copies=copies,
            proxies=proxies or {},
            enter=enter,
            listen=listen,
            gates=gates or Gates(),
            detachment=detachment,
            snapshots={} if snapshot is None else snapshots_of(snapshot, tuple(cells)),
            keep_failed=keep_failed,
        )
        plan = Plan(
            rule="tests",
            args=(),
            cells=tuple(_cell(name, script, policy, settings) for name, script in cells.items()),
        )
        preparation = Preparation(
            images=Once(lambda key: prepared(*key)),
            native=_PLATFORM,
            workspace=prepared,
            caches=Caches(
                podman, Path("/nonexistent"), labels={"barasync.run": "run1"}, judge=alive
            ),
            programs=Programs(podman, Path("/nonexistent/programs.json")),
            has_bar=lambda _mode: False,
        )
        started = Run(
            plan,
            session,
            preparation,
            record,
            scheduler=Scheduler([Task(id=name) for name in cells], Capacity(jobs=jobs)),
            fail_fast=fail_fast,
            deadline=None,
            wall_clock=lambda: 0.0,
        )

        def look(event: AnyEvent) -> None:
            if isinstance(event, CellStarted) and event.cell == interrupted_at:
                started.interrupt()

        record.on_event = look
        if interrupted_once is None:
            return Ran(await started.execute(), record)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_interrupt, started, interrupted_once)
            result = await started.execute()
        return Ran(result, record)


async def _interrupt(run: Run, once: Callable[[], bool]) -> None:
    await to_thread.run_sync(wait_until, once, "the run is where it is to be interrupted")
    run.interrupt()


def _cell(name: str, script: str, policy: Policy | None, settings: Mapping[str, Any]) -> Cell:
    network = "none" if policy is None else policy.name
    given = {
        "image": "image",
        "command": ("sh", "-c", script),
        "timeout": None,
        "network": network,
        **settings,
    }
    return Cell(
        id=name,
        arch=_PLATFORM.architecture,
        platform=_PLATFORM,
        config=name,
        settings=CellSettings(**given),
        provenance={},
        policy=policy,
    )
