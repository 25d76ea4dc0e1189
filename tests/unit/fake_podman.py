"""A podman for tests of the engine: containers are scripts of what they do, in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio

from barasync.aiopodman import (
    Chunk,
    Conflict,
    ContainerInspect,
    ContainerSpec,
    ContainerState,
    ContainerSummary,
    NotFound,
    PathStat,
    PodmanError,
    Received,
    Stream,
    TransportError,
)
from barasync.aiopodman.models import VolumeSummary
from barasync.aiopodman.output import rest
from barasync.aiopodman.version import negotiate

FOREVER = 1000


def refused(kind: type[PodmanError], text: str) -> PodmanError:
    return kind(status=500, cause=text, message=text, method="POST", path="/x")  # type: ignore[call-arg] # an APIError


@dataclass
class Script:
    """What a container does: print, then end with a code, or never end by itself.

    One that outlives its monitor closes its output and is said to run for ever. `log` is what
    podman has kept of its output, by default all unless the stream breaks, `heeds_sigterm` the exit
    code it makes of SIGTERM if it does not ignore it, and `again` what it does when it is made a
    second time.
    """

    output: tuple[tuple[Stream, bytes], ...] = ()
    exit_code: int = 0
    refuses: PodmanError | None = None
    breaks: bool = False
    sticks: bool = False
    warnings: tuple[str, ...] = ()
    outlives_its_monitor: bool = False
    log: tuple[tuple[Stream, bytes], ...] = ()
    heeds_sigterm: int | None = None
    again: Script | None = None
    archive: Callable[[], AsyncIterator[bytes]] | None = None


@dataclass
class FakeContainer:
    podman: FakePodman
    id: str
    spec: ContainerSpec
    script: Script
    exit_code: int | None = None
    warnings: tuple[str, ...] = ()
    ended: anyio.Event = field(default_factory=anyio.Event)

    @asynccontextmanager
    async def start_attached(
        self, received: Received, *, before_start: Callable[[], Awaitable[None]] | None = None
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        self.podman.check()
        if self.script.refuses is not None:
            raise self.script.refuses
        if before_start is not None:
            await before_start()
        yield self._chunks(received)

    async def _chunks(self, received: Received) -> AsyncIterator[Chunk]:
        for stream, data in self.script.output:
            received.add(Chunk(stream, data))
            yield Chunk(stream, data)
        if self.script.breaks:
            self.exit_code = self.script.exit_code
            raise TransportError("the connection broke")
        if self.script.outlives_its_monitor:
            return
        if self.script.exit_code == FOREVER:
            await self.ended.wait()
            self.podman.check()
        else:
            self.exit_code = self.script.exit_code

    async def init(self) -> None:
        self.podman.check()

    async def start(self) -> None:
        self.podman.check()

    @asynccontextmanager
    async def remaining_output(
        self, received: Received, *, follow: bool
    ) -> AsyncIterator[AsyncIterator[Chunk]]:
        async def log() -> AsyncIterator[Chunk]:
            kept = () if self.script.breaks else self.script.output
            for stream, data in self.script.log or kept:
                yield Chunk(stream, data)
            if follow:
                await self.ended.wait()

        yield rest(received, log())

    async def kill(self, signal: str) -> None:
        self.podman.check()
        self.podman.signals.append(signal)
        if self.script.outlives_its_monitor:
            return
        if self.exit_code is not None:
            raise refused(Conflict, "container state improper")
        if signal == "SIGTERM":
            if self.script.heeds_sigterm is None:
                return
            self.exit_code = self.script.heeds_sigterm
        else:
            self.exit_code = 137
        self.ended.set()

    async def wait(self, conditions: object = ()) -> int:  # noqa: ARG002 - it has ended
        self.podman.check()
        return self.exit_code or 0

    async def inspect(self) -> ContainerInspect:
        self.podman.check()
        status = "running" if self.exit_code is None else "exited"
        state = ContainerState(status=status, exit_code=self.exit_code or 0)
        return ContainerInspect(id=self.id, state=state)

    @asynccontextmanager
    async def archive(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        if self.script.archive is None:
            raise refused(NotFound, f"no such path {path}")
        yield self.script.archive()

    async def stat(self, _path: str) -> PathStat | None:
        return None if self.script.archive is None else PathStat(is_directory=False, target=None)

    async def remove(self, **_options: Any) -> None:
        self.podman.check()
        if self.script.sticks:
            raise refused(PodmanErrorWithStatus, "device or resource busy")
        self.podman.present.pop(self.id, None)


class PodmanErrorWithStatus(PodmanError):
    """What podman says when it cannot remove a container."""

    def __init__(self, **facts: object) -> None:
        super().__init__(facts["message"])


class Volumes:
    """Keeps the names of volumes; makes `room` of them.

    Those in `used` it does not remove, the first `refusals` times that it is asked.
    """

    def __init__(self, room: int = 10) -> None:
        self.present: dict[str, Mapping[str, str]] = {}
        self.room = room
        self.used: set[str] = set()
        self.refusals = FOREVER

    async def create(self, name: str, *, labels: Mapping[str, str]) -> VolumeSummary:
        await anyio.lowlevel.checkpoint()
        if len(self.present) == self.room:
            raise PodmanError("no locks are left")
        self.present[name] = labels
        return VolumeSummary(name=name, mountpoint=f"/volumes/{name}/_data")

    async def exists(self, name: str) -> bool:
        await anyio.lowlevel.checkpoint()
        return name in self.present

    async def list(self, **_filters: Any) -> list[VolumeSummary]:
        await anyio.lowlevel.checkpoint()
        return [
            VolumeSummary(name=name, labels=dict(labels)) for name, labels in self.present.items()
        ]

    async def remove(self, name: str, *, missing_ok: bool = False) -> None:
        await anyio.lowlevel.checkpoint()
        assert name in self.present or missing_ok
        if name in self.used and self.refusals:
            self.refusals -= 1
            raise refused(Conflict, "volume is being used")
        self.present.pop(name, None)


class FakePodman:
    """Makes the container that `script_of` gives for a cell; `die` ends it for good.

    An image whose ID is in `missing` was removed.
    """

    def __init__(self, script_of: Callable[[str], Script]) -> None:
        self.containers = self
        self.system = self
        self.volumes = Volumes()
        self.present: dict[str, FakeContainer] = {}
        self.created: list[ContainerSpec] = []
        self.signals: list[str] = []
        self.dead = False
        self.missing: set[str] = set()
        self.version = negotiate("5.4.2")
        self._script_of = script_of

    @property
    def presence(self) -> FakePodman:
        return self

    async def count(self) -> int:
        return 0

    def die(self) -> None:
        """End the service: streams break, requests fail."""
        self.dead = True
        for container in self.present.values():
            container.ended.set()

    def check(self) -> None:
        if self.dead:
            raise TransportError("nobody answers")

    async def ping(self) -> None:
        self.check()

    async def create(self, spec: ContainerSpec) -> FakeContainer:
        self.check()
        if spec.image in self.missing:
            raise refused(NotFound, "no such image")
        cell = spec.labels.get("barasync.cell")
        script = Script() if cell is None else self._script_of(cell)
        if script.again is not None and spec.labels["barasync.attempt"] != "1":
            script = script.again
        name = f"id{len(self.created)}"
        container = FakeContainer(self, name, spec, script, warnings=script.warnings)
        self.created.append(spec)
        self.present[container.id] = container
        return container

    async def list(self, **_filters: Any) -> list[ContainerSummary]:
        self.check()
        return [
            ContainerSummary(
                id=each.id,
                names=[each.spec.name] if each.spec.name else [],
                labels=dict(each.spec.labels),
            )
            for each in self.present.values()
        ]

    def handle(self, container: str) -> FakeContainer:
        return self.present[container]
