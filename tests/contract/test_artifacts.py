"""Artifacts out of containers of real podmans."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from barasync.aiopodman import Container, Mount, PathStat, Podman
from barasync.artifacts.collect import collect
from barasync.artifacts.extract import Limits
from barasync.artifacts.ledger import Ledgers
from barasync.artifacts.place import below
from barasync.matrix.outcome import Collected
from tests.contract.running import created, finish, shell

pytestmark = pytest.mark.anyio
LIMITS = Limits()
LARGE = 80 << 20


@asynccontextmanager
async def ended(podman: Podman, image: str, script: str) -> AsyncIterator[Container]:
    """A container in which a script has run, whatever it ended with."""
    async with created(podman, shell(image, script)) as container:
        await finish(container)
        yield container


async def fetch(container: Container, place: Path, *sources: str) -> tuple[Collected, ...]:
    with Ledgers() as ledgers, below(place) as root:
        return (await collect(container, sources, root, LIMITS, ledgers)).artifacts


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


async def test_files_and_directories_come_out_as_they_were(
    podman: Podman, busybox: str, tmp_path: Path
) -> None:
    script = """
        cd /workspace && mkdir -p out/deep out/empty && cd out
        echo app >app && chmod 755 app && chmod 4711 deep && touch -d @1000000000 app
        ln -s ../app deep/link && ln app twin && echo log >/tmp/log && chmod 000 /tmp/log
    """
    async with ended(podman, busybox, script) as container:
        results = await fetch(container, tmp_path, "out", "/tmp/log")

    out = tmp_path / "out"
    assert [(result.problem, result.refused) for result in results] == [(None, ())] * 2
    assert [(result.files, result.bytes) for result in results] == [(2, 8), (1, 4)]
    assert results[0].destination == str(out)
    assert (out / "deep/link").read_text() == "app\n"
    assert (out / "deep/link").readlink() == Path("../app")
    assert (out / "twin").samefile(out / "app")
    assert (out / "app").stat().st_mtime == 1_000_000_000
    assert stat.S_IMODE((out / "app").stat().st_mode) == 0o755
    assert stat.S_IMODE((out / "deep").stat().st_mode) == 0o711
    assert (out / "empty").is_dir()
    assert (tmp_path / "log").read_text() == "log\n"


async def test_artifacts_come_out_of_a_container_that_failed(
    podman: Podman, busybox: str, tmp_path: Path
) -> None:
    async with ended(podman, busybox, "echo why >log; exit 3") as container:
        with Ledgers() as ledgers, below(tmp_path) as root:
            collection = await collect(container, ["log"], root, LIMITS, ledgers, workspace="/")

    assert [result.problem for result in collection.artifacts] == [None]
    assert (tmp_path / "log").read_text() == "why\n"


async def test_what_is_missing_is_said_and_the_rest_arrives(
    podman: Podman, busybox: str, tmp_path: Path
) -> None:
    script = "cd /workspace; echo x >there; ln -s nowhere dangling"
    async with ended(podman, busybox, script) as container:
        results = await fetch(container, tmp_path, "missing", "there", "dangling", "/nodir/x")

    assert [result.problem for result in results] == [
        "/workspace/missing is not in the container",
        None,
        "/workspace/dangling is not in the container",
        "/nodir/x is not in the container",
    ]
    assert names(tmp_path) == ["there"]


async def test_archive_holds_anything__what_could_do_harm_here_is_left_out_and_listed(
    podman: Podman, busybox: str, tmp_path: Path
) -> None:
    script = """
        mkdir /workspace/out && cd /workspace/out
        mkfifo pipe; ln -s /etc/passwd absolute; ln -s ../../etc outward; echo fine >fine
    """
    async with ended(podman, busybox, script) as container:
        (result,) = await fetch(container, tmp_path, "out")

    assert names(tmp_path / "out") == ["fine"]
    assert set(result.refused) == {
        "out/pipe: it is a named pipe",
        "out/absolute: it is a symbolic link to the absolute path /etc/passwd",
        "out/outward: it is a symbolic link that can lead outside: ../../etc",
    }


async def test_archive_follows_the_path__a_source_that_is_a_link_gives_what_it_leads_to(
    podman: Podman, busybox: str, tmp_path: Path
) -> None:
    script = "cd /workspace; mkdir build-17; echo x >build-17/app; ln -s build-17 latest"
    async with ended(podman, busybox, script) as container:
        (result,) = await fetch(container, tmp_path, "latest/")

    assert result.problem is None
    assert (tmp_path / "latest/app").read_text() == "x\n"
    assert not (tmp_path / "latest").is_symlink()


async def test_patterns_take_what_they_match__hard_links_with_their_bytes(
    podman: Podman, busybox: str, tmp_path: Path
) -> None:
    script = """
        cd /workspace && mkdir -p build/a/deep build/z && echo app >build/a/deep/object
        ln build/a/deep/object build/library && echo log >build/z/test.log
        echo other >build/other && echo one >one.txt && echo hidden >.hidden.txt
    """
    async with ended(podman, busybox, script) as container:
        results = await fetch(
            container, tmp_path, "build/lib*", "build/**/*.log", "*.txt", "build/*.so"
        )

    assert [result.problem for result in results] == [
        None,
        None,
        None,
        "nothing below /workspace/build matches the pattern build/*.so",
    ]
    assert names(tmp_path) == ["build", "workspace"]
    assert names(tmp_path / "build") == ["library", "z"]
    assert (tmp_path / "build/library").read_text() == "app\n"
    assert (tmp_path / "build/z/test.log").read_text() == "log\n"
    assert names(tmp_path / "workspace") == [".hidden.txt", "one.txt"]


@pytest.mark.parametrize("kind", ["volume", "bind"])
async def test_volumes_and_binds_come_out_with_their_root_and_in_part(
    podman: Podman, busybox: str, tmp_path: Path, kind: str
) -> None:
    source = "barasync-test-volume" if kind == "volume" else str(tmp_path / "shared")
    if kind == "bind":
        (tmp_path / "shared").mkdir()
    script = "cd /cache && mkdir -p d && echo x >f && echo y >d/g && ln -sf f link && ln d/g h"
    spec = replace(shell(busybox, script), mounts=(Mount(source, "/cache"),))
    try:
        async with created(podman, spec) as container:
            await finish(container)
            results = await fetch(container, tmp_path, "/cache", "/cache/d/g")
            patterns = await fetch(container, tmp_path / "patterns", "/cache/*/g", "/cache/l*")
    finally:
        if kind == "volume":
            await podman.volumes.remove(source)

    assert [(result.problem, result.refused) for result in (*results, *patterns)] == [
        (None, ())
    ] * 4
    assert names(tmp_path / "cache") == ["d", "f", "h", "link"]
    assert (tmp_path / "cache/h").read_text() == "y\n"
    assert (tmp_path / "g").read_text() == "y\n"
    assert names(tmp_path / "patterns/cache") == ["d", "link"]


async def test_names_of_any_bytes_come_out(podman: Podman, busybox: str, tmp_path: Path) -> None:
    wanted = [b"caf\xe9", b"line\nbreak", "größe".encode(), b"x" * 250]
    script = "mkdir /workspace/out; cd /workspace/out; printf '%b\\0' " + " ".join(
        "'" + "".join(f"\\0{byte:o}" for byte in name) + "'" for name in wanted
    )
    async with ended(podman, busybox, f"{script} | xargs -0 touch") as container:
        (result,) = await fetch(container, tmp_path, "out")

    assert result.problem is None
    assert {os.fsencode(path.name) for path in (tmp_path / "out").iterdir()} == set(wanted)


async def test_a_place_that_is_only_there_while_the_container_runs_is_no_artifact(
    podman: Podman, busybox: str, tmp_path: Path
) -> None:
    async with ended(podman, busybox, "true") as container:
        (result,) = await fetch(container, tmp_path, "/proc")

    assert result.destination is None
    assert names(tmp_path) == []


async def test_containers_that_have_just_ended_lose_nothing(
    podman: Podman, busybox: str, tmp_path: Path
) -> None:
    """Podman unmounts a container some time after its end, while its archives are made."""
    script = "cd /workspace; for name in a b c d; do echo $name >$name; done"
    collected: list[Collected] = []

    async def one(number: int) -> None:
        async with ended(podman, busybox, script) as container:
            collected.extend(await fetch(container, tmp_path / str(number), *"abcd"))

    async with anyio.create_task_group() as group:
        for number in range(12):
            group.start_soon(one, number)

    assert [result.problem for result in collected] == [None] * 48
    for number in range(12):
        assert (tmp_path / f"{number}/d").read_text() == "d\n"


async def test_artifacts_come_out_of_a_container_that_runs(
    podman: Podman, busybox: str, tmp_path: Path
) -> None:
    script = "echo x >/workspace/out; echo ready; sleep 1000"
    async with (
        created(podman, shell(busybox, script)) as container,
        container.start_attached() as chunks,
    ):
        await anext(chunks)
        (result,) = await fetch(container, tmp_path, "out")

    assert result.problem is None
    assert (tmp_path / "out").read_text() == "x\n"


class Interrupted:
    """A container to which something happens once an archive of it has begun to arrive."""

    def __init__(self, container: Container, event: anyio.Event, resume: anyio.Event) -> None:
        self.container = container
        self.event = event
        self.resume = resume

    @asynccontextmanager
    async def archive(self, path: str) -> AsyncIterator[AsyncIterator[bytes]]:
        async with self.container.archive(path) as chunks:
            yield self._watched(chunks)

    async def stat(self, path: str) -> PathStat | None:
        return await self.container.stat(path)

    async def _watched(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for chunk in chunks:
            yield chunk
            self.event.set()
            await self.resume.wait()


def large(directory: str) -> str:
    return f"mkdir {directory}; dd if=/dev/zero of={directory}/large bs=1M count={LARGE >> 20}"


async def test_a_container_that_is_removed_meanwhile_is_a_problem_and_leaves_nothing(
    podman: Podman, busybox: str, tmp_path: Path
) -> None:
    begun, removed = anyio.Event(), anyio.Event()
    results: list[Collected] = []

    async def receive(container: Container) -> None:
        interrupted = Interrupted(container, begun, removed)
        with Ledgers() as ledgers, below(tmp_path) as root:
            collection = await collect(interrupted, ["out"], root, LIMITS, ledgers)
        results.extend(collection.artifacts)

    async with (
        ended(podman, busybox, large("/workspace/out")) as container,
        anyio.create_task_group() as group,
    ):
        group.start_soon(receive, container)
        await begun.wait()
        await container.remove(force=True, timeout=0)
        removed.set()

    assert results[0].problem == (
        "podman cut the archive of /workspace/out off; nothing of it was kept"
    )
    assert names(tmp_path) == []


async def test_a_collection_that_is_cancelled_meanwhile_leaves_nothing(
    podman: Podman, busybox: str, tmp_path: Path
) -> None:
    begun = anyio.Event()
    async with ended(podman, busybox, large("/workspace/out")) as container:
        async with anyio.create_task_group() as group:
            interrupted = Interrupted(container, begun, anyio.Event())
            group.start_soon(fetch, interrupted, tmp_path, "out")
            await begun.wait()
            group.cancel_scope.cancel()

        assert names(tmp_path) == []
        (result,) = await fetch(container, tmp_path, "out")

    assert (result.problem, result.bytes) == (None, LARGE)


async def test_an_artifact_beyond_the_limits_is_a_problem_and_leaves_nothing(
    podman: Podman, busybox: str, tmp_path: Path
) -> None:
    async with ended(podman, busybox, large("/workspace/out")) as container:
        with Ledgers() as ledgers, below(tmp_path) as root:
            collection = await collect(container, ["out"], root, Limits(bytes=1 << 20), ledgers)

    (result,) = collection.artifacts

    assert result.problem is not None
    assert result.problem.startswith("the archive of /workspace/out is refused: the files have")
    assert names(tmp_path) == []
