"""Images made of steps on a real podman, and what is told of them."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio import to_thread

from barasync.aiopodman import ContainerSpec, Podman
from barasync.config.schema import ImageNetwork
from barasync.engine.build import BuildContext, Builder, Built
from barasync.images.steps import (
    RunStep,
    Step,
)
from barasync.matrix.platforms import Platform, native
from barasync.workspace.scan import scan
from barasync.workspace.tree import Tree
from tests.contract.running import run as run_container
from tests.rig import libpod
from tests.rig.services import RigService

OFFLINE = ImageNetwork.NONE
NATIVE = native(os.uname().machine)
BASE = "localhost/barasync-test-steps"
RUN = {"barasync.run": "steps-test", "barasync.pid": "1"}
MAKER = {"barasync.maker.run": "steps-test"}
OCI = "application/vnd.oci.image.manifest.v1+json"
DOCKER = "application/vnd.docker.distribution.manifest.v2+json"


@dataclass
class Site:
    """A project whose images are built, and what was said."""

    podman: Podman
    project: Path
    logs: Path
    said: list[str] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)

    def context(self, **context: Any) -> BuildContext:
        async def tree() -> Tree:
            return await to_thread.run_sync(scan, self.project)

        given: dict[str, Any] = {
            "podman": self.podman,
            "project": self.project,
            "tree": tree,
            "labels": RUN,
            "maker": MAKER,
            "logs": self.logs,
            "locks": self.logs / "locks",
            "processors": anyio.CapacityLimiter(2),
            "on_progress": lambda _name, _platform, line: self.said.append(line),
            "on_output": lambda _name, _platform, line: self.printed.append(line),
        }
        return BuildContext(**(given | context))

    async def build(
        self, parent: str, *steps: Step, platform: Platform = NATIVE, **context: Any
    ) -> Built:
        with anyio.fail_after(50):
            return await Builder(self.context(**context)).build("app", parent, steps, platform)


@asynccontextmanager
async def cleared(podman: Podman, directory: Path) -> AsyncIterator[Site]:
    """Nothing that these tests make stays in the storage, and nothing is without a name."""
    project = directory / "project"
    project.mkdir()
    before = {image.id for image in await podman.images.list(all=True)}
    try:
        yield Site(podman, project, directory / "logs")
    finally:
        with anyio.fail_after(50, shield=True):
            # What the rig keeps may have been asked for by this test for the first time.
            new = [
                each
                for each in await podman.images.list(all=True)
                if each.id not in before and not libpod.is_of_rig(each.repo_tags)
            ]
            for image in new:
                await podman.images.remove(image.id, force=True, missing_ok=True)
    nameless = [image.id for image in new if not image.repo_tags]
    assert not nameless, f"images without a name: {nameless}"


def run(script: str) -> RunStep:
    return RunStep(script, network=OFFLINE)


def parent_of(service: RigService, text: str, kind: str = OCI) -> str:
    """Return the ID of an image that podman builds of a Containerfile."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        member, data = tarfile.TarInfo("Containerfile"), text.encode()
        member.size = len(data)
        tar.addfile(member, io.BytesIO(data))
    socket_path = service.endpoint.socket_path
    query = {"t": f"{BASE}:parent", "outputformat": kind, "layers": "false"}
    libpod.request(socket_path, "POST", "build", query=query, body=content.getvalue())
    found = libpod.request(socket_path, "GET", f"images/{BASE}:parent/json")
    return str(found["Id"])


async def output(podman: Podman, image: str, script: str) -> list[str]:
    """Return the lines that a script prints as root."""
    spec = ContainerSpec(image=image, entrypoint=("/bin/sh",), command=("-c", script), user="0:0")
    done = await run_container(podman, spec)
    assert done.state.state.exit_code == 0, done.stderr
    return done.stdout.decode().splitlines()
