"""Builds of a Containerfile that are given up or killed, from the command line: what is left."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from barasync.aiopodman import Podman
from barasync.engine.usage import parse_mounts
from tests.contract.running import run, shell
from tests.rig import libpod
from tests.rig.busybox import native_architecture
from tests.rig.command import Barasync, read_errors_until
from tests.rig.services import RigService

pytestmark = [pytest.mark.anyio, pytest.mark.whole_host]

FROM = f"FROM localhost/busybox:{native_architecture()}\n"
WAITING = "waiting now"
CONFIGURATION = '[images.app]\ncontainerfile = "Containerfile"\nnetwork = "none"\n'


Working = Callable[[], list[str]]
"""Lists the containers that builders work in and that were not there before the test."""


@pytest.fixture
def working(service: RigService) -> Working:
    def working_containers() -> list[str]:
        return libpod.working_containers(service.endpoint.socket_path)

    others = working_containers()
    return lambda: [each for each in working_containers() if each not in others]


@pytest.fixture
def barasync(
    service: RigService, busybox: str, tmp_path: Path, working: Working
) -> Iterator[Barasync]:
    assert busybox
    project = tmp_path / "project"
    project.mkdir()
    environ = {**os.environ, "NO_COLOR": "1", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    barasync = Barasync(project, service.endpoint.url, environ)
    barasync.configure(CONFIGURATION)
    text = f"{FROM}RUN echo one\nRUN echo {WAITING}; exec sleep 600\n"
    (project / "Containerfile").write_text(text)
    yield barasync
    assert working() == []
    assert build_cgroups() == []


async def images(podman: Podman) -> set[str]:
    return {image.id for image in await podman.images.list(all=True)}


def build_cgroups() -> list[str]:
    found = parse_mounts(Path("/proc/self/mountinfo").read_text()).roots
    return sorted({path.name for root in found for path in root.glob("barasync-*+app-*")})


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["int", "term"])
async def test_a_signal_ends_the_step_and_leaves_nothing(
    podman: Podman, working: Working, barasync: Barasync, number: signal.Signals
) -> None:
    before = await images(podman)

    def interrupt() -> int:
        with barasync.running("image", "build", "app", "--verbose", "--no-cache") as process:
            read_errors_until(process, f"| {WAITING}")
            assert len(build_cgroups()) == 1
            process.send_signal(number)
            process.communicate(timeout=30)
            return process.returncode

    assert await to_thread.run_sync(interrupt) == 128 + number

    assert working() == []
    assert await images(podman) == before
    assert build_cgroups() == []


async def test_a_step_that_takes_too_long_is_killed_and_leaves_nothing(
    podman: Podman, barasync: Barasync
) -> None:
    before = await images(podman)
    barasync.configure(f"{CONFIGURATION}timeout = 1\n")
    text = f"{FROM}RUN exec sleep 600\n"
    await anyio.Path(barasync.directory / "Containerfile").write_text(text)

    ended = await to_thread.run_sync(barasync, "image", "build", "app", "--no-cache")

    assert ended.code == 5, ended.err
    said = "Containerfile: step 2/3 RUN exec sleep 600: took longer than 1 s and was killed\n"
    assert said in ended.err
    assert "`timeout` of [images.app]" in ended.err
    assert await images(podman) == before


async def test_clean_ends_and_removes_what_a_killed_build_left(
    podman: Podman, working: Working, barasync: Barasync
) -> None:
    before = await images(podman)

    def kill() -> None:
        with barasync.running("image", "build", "app", "--verbose", "--no-cache") as process:
            read_errors_until(process, f"| {WAITING}")
            process.kill()

    await to_thread.run_sync(kill)
    (cgroup,) = build_cgroups()
    assert working()

    ended = await to_thread.run_sync(barasync, "clean")

    assert ended.code == 0, ended.out + ended.err
    assert cgroup.split("+")[1].startswith(f"app-{native_architecture()}.")
    run = cgroup.removeprefix("barasync-").partition("+")[0]
    lines = [line for line in ended.out.splitlines() if f" (run {run}" in line]
    mine = [line for line in lines if line.startswith(("build app-", "layer "))]
    # What another test's killed podman left is named behind that.
    assert [line.split()[0] for line in mine if ": removed" in line] == ["build", "layer"]
    assert build_cgroups() == []
    assert working() == []
    # Layers of other tests' dead runs go as well.
    assert await images(podman) <= before


async def test_a_log_in_the_context_is_not_part_of_it(podman: Podman, barasync: Barasync) -> None:
    text = f"{FROM}COPY . /app\nRUN echo made\n"
    await anyio.Path(barasync.directory / "Containerfile").write_text(text)

    def build() -> int:
        with (barasync.directory / "build.log").open("wb") as log:
            command = ("image", "build", "app", "--verbose")
            with barasync.running(*command, stdout=log.fileno(), stderr=log.fileno()) as process:
                return process.wait(50)

    code = await to_thread.run_sync(build)

    text = await anyio.Path(barasync.directory / "build.log").read_text()
    assert code == 0, text
    image = text.split("app ")[-2].split()[-1]
    ended = await run(podman, shell(image, "ls /app"))
    assert ended.stdout == b"Containerfile\nbarasync.toml\n"
    found = await podman.images.inspect(image)
    for name in found.repo_tags:
        await podman.images.remove(name)
