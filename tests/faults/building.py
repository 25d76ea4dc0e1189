"""A builder of steps on the fake, and what it leaves."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from barasync.aiopodman import Podman
from barasync.config.schema import STEP_SECONDS, ImageNetwork
from barasync.engine.build import BuildContext, Builder, Built
from barasync.images.steps import RunStep, Step
from barasync.matrix.platforms import Platform
from barasync.workspace.scan import scan
from barasync.workspace.tree import Tree
from tests.fake.images import native_architecture
from tests.fake.service import FakeService
from tests.rig.waiting import wait_until

CLIENT_SECONDS = 5.0
RUN = {"barasync.run": "build-1", "barasync.pid": "1"}
MAKER = {"barasync.maker.run": "build-1"}
PLATFORM = Platform(native_architecture())


@dataclass
class Site:
    """A project, a service, and everything that a builder said."""

    service: FakeService
    project: Path
    logs: Path
    said: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def builder(self, *, outage: float = 0.0, **context: Any) -> AsyncIterator[Builder]:
        """A builder of a process of its own: it knows of nothing that was made before.

        A service that is away is waited for `outage` seconds.
        """

        async def tree() -> Tree:
            return await to_thread.run_sync(scan, self.project)

        async with Podman(self.service.endpoint, timeout=CLIENT_SECONDS, outage=outage) as podman:
            given: dict[str, Any] = {
                "podman": podman,
                "project": self.project,
                "tree": tree,
                "labels": RUN,
                "maker": MAKER,
                "logs": self.logs,
                "locks": self.logs / "locks",
                "processors": anyio.CapacityLimiter(os.cpu_count() or 1),
                "on_progress": lambda name, _platform, line: self.said.append(f"{name}: {line}"),
                "on_output": lambda _name, _platform, line: self.printed.append(line),
            }
            yield Builder(BuildContext(**(given | context)))

    async def build(
        self,
        *steps: Step,
        name: str = "app",
        step_seconds: float | None = STEP_SECONDS,
        **context: Any,
    ) -> Built:
        """Build on an image with empty directories."""
        base = self.service.image("localhost/base")
        async with self.builder(**context) as builder:
            return await builder.build(name, base, steps, PLATFORM, step_seconds=step_seconds)

    @property
    def nameless(self) -> list[str]:
        """The images without a name."""
        return [image for image, told in self.service.images.items() if not told["RepoTags"]]

    def names(self, image: str) -> list[str]:
        """The names of an image."""
        return list(self.service.images[image]["RepoTags"])

    def config(self, image: str) -> dict[str, Any]:
        """What an image gives to its containers."""
        return dict(self.service.images[image]["Config"])

    def labels(self, image: str) -> dict[str, str]:
        """The labels of an image."""
        return dict(self.service.images[image]["Labels"])


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what the builder is to do."""
    await to_thread.run_sync(wait_until, holds, "what the builder is to do")


def run(script: str) -> RunStep:
    """A script without a network."""
    return RunStep(script, network=ImageNetwork.NONE)
