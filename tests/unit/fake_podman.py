"""A podman for tests of the engine: containers are scripts of what they do, in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
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
    PodmanError,
    Stream,
    TransportError,
)

FOREVER = -1


def refused(kind: type[PodmanError], text: str) -> PodmanError:
    return kind(status=500, cause=text, message=text, method="POST", path="/x")  # type: ignore[call-arg] # an APIError


@dataclass
class Script:
    """What a container does: print, then end with a code, or never end by itself."""

    output: tuple[tuple[Stream, bytes], ...] = ()
    exit_code: int = 0
    refuses: PodmanError | None = None
    breaks: bool = False
    sticks: bool = False


@dataclass
class FakeContainer:
    podman: FakePodman
    id: str
    spec: ContainerSpec
    script: Script
    exit_code: int | None = None
    ended: anyio.Event = field(default_factory=anyio.Event)

    @asynccontextmanager
    async def start_attached(self) -> AsyncIterator[AsyncIterator[Chunk]]:
        self.podman.check()
        if self.script.refuses is not None:
            raise self.script.refuses
        yield self._chunks()

    async def _chunks(self) -> AsyncIterator[Chunk]:
        for stream, data in self.script.output:
            yield Chunk(stream, data)
        if self.script.breaks:
            self.exit_code = self.script.exit_code
            raise TransportError("the connection broke")
        if self.script.exit_code == FOREVER:
            await self.ended.wait()
        else:
            self.exit_code = self.script.exit_code

    async def kill(self, _signal: str) -> None:
        if self.exit_code is not None:
            raise refused(Conflict, "container state improper")
        self.exit_code = 137
        self.ended.set()

    async def wait(self, conditions: object = ()) -> int:  # noqa: ARG002 - it has ended
        assert self.exit_code is not None
        return self.exit_code

    async def inspect(self) -> ContainerInspect:
        self.podman.check()
        status = "running" if self.exit_code is None else "exited"
        state = ContainerState(status=status, exit_code=self.exit_code or 0)
        return ContainerInspect(id=self.id, state=state)

    @asynccontextmanager
    async def archive(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        raise refused(NotFound, f"no such path {path}")
        yield

    async def remove(self, **_options: Any) -> None:
        self.podman.check()
        if self.script.sticks:
            raise refused(PodmanErrorWithStatus, "device or resource busy")
        self.podman.present.pop(self.id, None)


class PodmanErrorWithStatus(PodmanError):
    """What podman says when it cannot remove a container."""

    def __init__(self, **facts: object) -> None:
        super().__init__(facts["message"])


class FakePodman:
    """Makes the container that `script_of` gives for a cell; `dead` refuses every request."""

    def __init__(self, script_of: Callable[[str], Script]) -> None:
        self.containers = self
        self.system = self
        self.present: dict[str, FakeContainer] = {}
        self.created: list[ContainerSpec] = []
        self.dead = False
        self._script_of = script_of

    def check(self) -> None:
        if self.dead:
            raise TransportError("nobody answers")

    async def ping(self) -> None:
        self.check()

    async def create(self, spec: ContainerSpec) -> FakeContainer:
        self.check()
        container = FakeContainer(
            self, f"id{len(self.created)}", spec, self._script_of(spec.labels["barasync.cell"])
        )
        self.created.append(spec)
        self.present[container.id] = container
        return container

    async def list(self, **_filters: Any) -> list[ContainerSummary]:
        self.check()
        return [ContainerSummary(id=container) for container in self.present]

    def handle(self, container: str) -> FakeContainer:
        return self.present[container]
