"""What `image build` costs that finds every step made: requests, and modules that it loads."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest

from barasync.aiopodman import Podman
from barasync.images.manifest import publish
from barasync.matrix.platforms import Platform, parse
from tests.fake.images import native_architecture
from tests.fake.service import FakeService

pytestmark = pytest.mark.anyio

NATIVE = Platform(native_architecture())
OTHER = parse("riscv64")
# Nothing is executed: no emulator is needed.
DECLARED = """
[images.app]
from = "localhost/base:latest"
env = { A = "1" }
workdir = "/srv"
copy = ["file:/srv/file", "file:/srv/other"]
"""
# Each took a hundredth of a second or more of the processor, or loads much of the others.
NOT_LOADED = {
    "barasync.cli.cleaning",
    "barasync.cli.execute",
    "barasync.cli.execution",
    "barasync.cli.image_prune",
    "barasync.cli.matrix",
    "barasync.cli.run",
    "barasync.aiopodman.service",
    "barasync.engine.beginnings",
    "barasync.engine.job",
    "barasync.engine.pruning",
    "barasync.engine.reaper",
    "barasync.images.bootstrap",
    "barasync.images.emulation",
    "barasync.matrix.plan",
    "pydantic",
    "rich",
    "structlog",
}


async def build(service: FakeService, project: Path) -> str:
    """Build for two platforms in a process of its own; return what it said and loaded."""
    command = [sys.executable, "-X", "importtime", "-m", "barasync", "image", "build", "app"]
    command += ["--arch", f"{NATIVE.architecture},riscv64", "--url", service.endpoint.url]
    environ: Mapping[str, str] = {
        "PATH": os.defpath,
        "HOME": str(project.parent),
        "XDG_CACHE_HOME": str(project.parent / "cache"),
    }
    done = await anyio.run_process(command, cwd=project, env=environ, check=False)
    said = done.stderr.decode()
    assert done.returncode == 0, said
    return said


@pytest.fixture
async def project(service: FakeService, tmp_path: Path) -> Path:
    members = {
        platform: service.image(f"localhost/{platform.architecture}", platform.architecture)
        for platform in (NATIVE, OTHER)
    }
    async with Podman(service.endpoint, timeout=5) as podman:
        await publish(podman, "localhost/base:latest", members)
    project = tmp_path / "project"
    project.mkdir()
    (project / "file").write_text("text")
    (project / "barasync.toml").write_text(DECLARED)
    return project


async def test_a_build_that_finds_everything_asks_for_one_list(
    service: FakeService, project: Path
) -> None:
    await build(service, project)
    asked_before = len(service.requests)

    said = await build(service, project)

    asked = Counter(list(service.requests)[asked_before:])
    assert said.count(": cached\n") == 2 * 2
    assert asked == {
        "ping": 1,
        "image-list": 1,
        "image-inspect": 2 + 1,  # the base for each platform, and its member for the other
        "manifest-exists": 2,
        "manifest": 2,  # of the base, and of the image's name
    }


async def test_a_build_that_finds_everything_loads_nothing_that_makes_images(
    service: FakeService, project: Path
) -> None:
    await build(service, project)

    said = await build(service, project)

    loaded = set(re.findall(r"^import time:.*\| +(\S+)$", said, re.MULTILINE))
    assert "barasync.engine.build" in loaded
    assert loaded & NOT_LOADED == set()
