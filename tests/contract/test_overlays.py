"""What cells wrote to overlays, volumes and tmpfs, when their containers have ended."""

from __future__ import annotations

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from anyio import to_thread

from barasync.aiopodman import Container, ContainerSpec, Mount, Podman
from barasync.artifacts.collect import Collection, collect
from barasync.artifacts.extract import Limits
from barasync.artifacts.ledger import Ledgers
from barasync.artifacts.mounts import mounts_of
from barasync.artifacts.place import below
from barasync.engine.gate import Gates
from barasync.engine.identity import CELL, RUN
from barasync.engine.overlays import OverlayWrites
from barasync.engine.place import FreshPlace
from barasync.engine.sweep import Remains, sweep
from tests.contract.running import created, finish, shell
from tests.rig.accounts import ensure_rootless_user
from tests.rig.busybox import HOST_BUSYBOX
from tests.rig.command import Barasync
from tests.rig.services import RigService
from tests.unit.world import nothing_measured

pytestmark = pytest.mark.anyio

WRITES = """
    set -e; cd /over
    rm gone; rm -r replaced; mkdir replaced out; echo new >replaced/new; echo out >out/file
    echo changed >kept; mkdir -m 700 secret; echo s >secret/file; chmod 600 secret/file
    chown -R 33:33 secret
"""


@pytest.fixture
def lower() -> Iterator[Path]:
    """A directory that everybody may read, as a project of the user of the rootless podman."""
    account = ensure_rootless_user()
    directory = Path(tempfile.mkdtemp(prefix="barasync-test-lower-"))
    (directory / "replaced").mkdir()
    for name in ("gone", "kept", "replaced/old", "untouched"):
        (directory / name).write_text(f"{name}\n")
    for path in (directory, *directory.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
async def bare(podman: Podman) -> AsyncIterator[str]:
    """The ID of an image that has `touch` and nothing else, and a user other than root."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("touch")
        member.size, member.mode = HOST_BUSYBOX.stat().st_size, 0o755
        with HOST_BUSYBOX.open("rb") as program:
            archive.addfile(member, program)

    async def root() -> AsyncIterator[bytes]:
        yield buffer.getvalue()

    image = await podman.images.import_(
        root(), reference="localhost/barasync-test-bare:1", changes=("USER 1234:2345", "CMD [x]")
    )
    yield image
    await podman.images.remove(image, force=True)


def files(directory: Path) -> dict[str, str]:
    return {
        str(path.relative_to(directory)): path.read_text()
        for path in directory.rglob("*")
        if path.is_file()
    }


async def volumes(podman: Podman) -> set[str]:
    return {volume.name for volume in await podman.volumes.list()}


async def check_writes(podman: Podman, image: str, lower: Path, place: Path) -> None:
    """Run a container on an overlay, and collect from it when it has ended."""
    before = await volumes(podman)
    spec = replace(
        shell(image, WRITES), name="barasync-test-over", overlays=(Mount(str(lower), "/over"),)
    )
    writes = OverlayWrites(podman, spec, Gates())
    await writes.make()
    try:
        async with created(podman, writes.spec) as container:
            ended = await finish(container)
            assert ended.state.state.exit_code == 0, ended.stderr
            async with writes.shown(30) as shown:
                sources = ["/over", "/over/gone", "/over/re*/*", "/over/secret"]
                with Ledgers() as ledgers, below(place) as root:
                    collection = await collect(shown, sources, root, Limits(), ledgers)
    finally:
        await writes.remove()

    assert [result.problem for result in collection.artifacts] == [
        None,
        "/over/gone is not in the container",
        None,
        None,
    ]
    assert files(place / "over") == {
        "kept": "changed\n",
        "untouched": "untouched\n",
        "replaced/new": "new\n",
        "out/file": "out\n",
        "secret/file": "s\n",
    }
    assert files(lower)["kept"] == "kept\n"
    assert await volumes(podman) == before
    assert writes.leaked is None


async def test_what_was_written_to_an_overlay_is_shown_after_the_end(
    podman: Podman, busybox: str, lower: Path, tmp_path: Path
) -> None:
    await check_writes(podman, busybox, lower, tmp_path)


async def test_what_was_written_to_an_overlay_is_shown_without_root(
    rootless_podman: Podman, rootless_busybox: str, lower: Path, tmp_path: Path
) -> None:
    await check_writes(rootless_podman, rootless_busybox, lower, tmp_path)


async def test_an_overlay_is_shown_of_an_image_without_a_shell_for_any_user(
    service: RigService, bare: str, tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    project.chmod(0o777)
    barasync = Barasync(project, service.endpoint.url, {**os.environ, "NO_COLOR": "1"})
    barasync.configure(
        f"""
        [defaults]
        image = "{bare}"
        command = ["/touch", "made"]
        workspace = "overlay"
        artifacts = ["made"]
        """
    )

    ended = await to_thread.run_sync(barasync, "matrix", "tests")

    assert ended.code == 0, ended.out + ended.err
    (cell,) = barasync.statuses()
    assert (barasync.record() / "artifacts" / cell / "made").is_file()
    assert not (project / "made").exists()


async def test_what_is_lost_with_the_process_is_a_problem_that_says_so(
    podman: Podman, busybox: str, lower: Path, tmp_path: Path
) -> None:
    spec = replace(
        shell(busybox, "echo x >/over/x"),
        overlays=(Mount(str(lower), "/over"),),
        hidden=("/memory",),
    )

    results = await collected(podman, spec, tmp_path, "/over", "/over/x", "/memory/y", "/proc")

    advice = "have the command copy what is wanted to /workspace or a volume"
    assert results == [
        f"/over is on an overlay, gone with the container's process; {advice}",
        f"/over/x is on an overlay, gone with the container's process; {advice}",
        f"/memory/y is on a tmpfs, gone with the container's process; {advice}",
        f"/proc is on a file system of the kernel, gone with the container's process; {advice}",
    ]
    assert files(tmp_path) == {}


async def test_a_directory_comes_without_what_is_mounted_in_it_and_says_so(
    podman: Podman, busybox: str, lower: Path, tmp_path: Path
) -> None:
    """An archive would have the host's files there, where the container saw something else."""
    (lower / "out").mkdir()
    spec = replace(
        shell(busybox, "echo x >/workspace/x; echo y >/workspace/out/y"),
        mounts=(Mount(str(lower), "/workspace"),),
        hidden=("/workspace/replaced",),
    )
    async with created(podman, spec) as container:
        await finish(container)
        collection = await ended_collection(container, tmp_path, "/workspace", "/workspace/out")

    assert [result.problem for result in collection.artifacts] == [None, None]
    assert collection.artifacts[0].refused == (
        (
            "/workspace/replaced: something is mounted there; "
            "what it holds comes when it is named itself"
        ),
    )
    assert sorted(files(tmp_path / "workspace")) == ["gone", "kept", "out/y", "untouched", "x"]
    assert files(tmp_path / "out") == {"y": "y\n"}


async def ended_collection(container: Container, place: Path, *sources: str) -> Collection:
    mounts = mounts_of(await container.inspect(), workspace="/workspace")
    with Ledgers() as ledgers, below(place) as root:
        return await collect(container, sources, root, Limits(), ledgers, mounts=mounts)


async def collected(
    podman: Podman, spec: ContainerSpec, place: Path, *sources: str
) -> list[str | None]:
    async with created(podman, spec) as container:
        await finish(container)
        collection = await ended_collection(container, place, *sources)
    return [result.problem for result in collection.artifacts]


async def test_a_volume_that_another_container_uses_is_named_at_the_end_of_the_run(
    podman: Podman, busybox: str, lower: Path
) -> None:
    spec = replace(
        shell(busybox, "true"),
        name="barasync-test-kept",
        labels={RUN: "test-kept", CELL: "a"},
        overlays=(Mount(str(lower), "/over"),),
    )
    place = FreshPlace(
        podman, spec, gates=Gates(), cgroup=None, phase=nothing_measured, keeps_overlays=True
    )
    async with place:
        user = replace(
            shell(busybox, "true"), mounts=(Mount("barasync-test-kept-upper0", "/used"),)
        )
        holder = await podman.containers.create(user)
    try:
        kept = await sweep(podman, "test-kept", None)
    finally:
        await holder.remove(force=True, missing_ok=True)
        free = await sweep(podman, "test-kept", None)

    assert not kept.proven
    (problem,) = kept.problems
    assert problem.startswith("volume barasync-test-kept-upper0 (a) could not be removed: ")
    assert holder.id in problem
    assert "`podman volume rm barasync-test-kept-upper0`" in problem
    assert free == Remains()
