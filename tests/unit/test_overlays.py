"""The volumes for what a container writes to its overlays, over a podman in memory."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable
from dataclasses import replace
from typing import Any, cast

import anyio
import pytest

from barasync.aiopodman import (
    ContainerSpec,
    ImageInspect,
    Mount,
    NotFound,
    Podman,
    PodmanError,
)
from barasync.config.schema import ArtifactsOn, WorkspaceMode
from barasync.engine.gate import Gates
from barasync.engine.overlays import OverlayWrites
from barasync.engine.place import FreshPlace
from barasync.errors import EXIT_NOT_PASSED
from barasync.images.elf import idle_executable
from barasync.matrix.outcome import Status
from barasync.matrix.platforms import native
from tests.unit.fake_podman import FakePodman, Script, Volumes, refused
from tests.unit.world import World, nothing_measured

pytestmark = pytest.mark.anyio
LABELS = {"barasync.run": "run1", "barasync.cell": "a", "barasync.attempt": "1"}
SPEC = ContainerSpec(
    image="image",
    name="c",
    labels=LABELS,
    command=("true",),
    memory_bytes=1 << 20,
    overlays=(Mount("/project", "/workspace"),),
)


class Images:
    """Has none, and takes what is imported."""

    def __init__(self) -> None:
        self.imported: list[bytes] = []

    async def inspect(self, reference: str) -> ImageInspect:
        await anyio.lowlevel.checkpoint()
        raise refused(NotFound, f"no such image {reference}")

    async def import_(self, chunks: AsyncIterable[bytes], **_settings: object) -> str:
        self.imported.append(b"".join([chunk async for chunk in chunks]))
        return f"image{len(self.imported) - 1}"


def podman(volumes: Volumes) -> tuple[FakePodman, Podman]:
    fake = FakePodman(lambda _cell: Script())
    fake.volumes = volumes
    return fake, cast("Podman", fake)


def place(client: Podman) -> FreshPlace:
    return FreshPlace(
        client, SPEC, gates=Gates(), cgroup=None, phase=nothing_measured, keeps_overlays=True
    )


async def test_a_container_writes_to_volumes_that_are_gone_with_it() -> None:
    volumes = Volumes()
    fake, client = podman(volumes)

    async with place(client):
        (created,) = fake.created
        assert created.overlays[0].options == (
            "upperdir=/volumes/c-upper0/_data",
            "workdir=/volumes/c-work0/_data",
        )
        assert volumes.present == {"c-upper0": LABELS, "c-work0": LABELS}

    assert volumes.present == {}
    assert fake.present == {}


async def test_a_container_that_shows_the_overlay_has_nothing_else_of_the_cell() -> None:
    fake, client = podman(Volumes())
    images = Images()
    fake.images = images  # type: ignore[attr-defined]  # only here anybody asks for it
    async with place(client) as _container:
        writes = OverlayWrites(client, SPEC, Gates())
        await writes.make()
        async with writes.shown(30.4) as shown:
            assert shown.id in fake.present
        shows = fake.created[-1]

    (root,) = images.imported
    assert idle_executable(native(os.uname().machine)) in root
    assert (shows.image, shows.entrypoint, shows.command) == ("image0", ("/idle",), ())
    assert (shows.memory_bytes, shows.cgroup_parent, shows.timeout) == (None, None, 30)
    assert shows.overlays == writes.spec.overlays
    assert dict(shows.labels) == LABELS
    assert fake.present == {}


async def test_a_container_that_shows_the_overlay_changes_no_owner_and_no_label() -> None:
    """What is mounted is the host's, and the container has another user."""
    fake, client = podman(Volumes())
    fake.images = Images()  # type: ignore[attr-defined]  # only here anybody asks for it
    mounts = (Mount("/out", "/out", ("U", "ro", "z")), Mount("v", "/v", ("Z",)))
    writes = OverlayWrites(client, replace(SPEC, mounts=mounts), Gates())
    await writes.make()

    async with writes.shown(30):
        assert fake.created[-1].mounts == (Mount("/out", "/out", ("ro",)), Mount("v", "/v"))
    assert writes.spec.mounts == mounts


@pytest.mark.parametrize("room", [0, 1])
async def test_volumes_that_could_not_all_be_made_leave_none(room: int) -> None:
    volumes = Volumes(room)
    _, client = podman(volumes)

    with pytest.raises(PodmanError, match="no locks are left"):
        async with place(client):
            pytest.fail("there is no container")

    assert volumes.present == {}


async def test_a_cancelled_place_leaves_no_volume() -> None:
    volumes = Volumes()
    fake, client = podman(volumes)

    with anyio.CancelScope() as scope:
        scope.cancel()
        async with place(client):
            await anyio.sleep_forever()

    assert volumes.present == {}
    assert fake.present == {}


async def test_volumes_of_a_container_that_stays_are_left_to_clean() -> None:
    volumes = Volumes()
    fake, client = podman(volumes)
    fake._script_of = lambda _cell: Script(sticks=True)
    stuck: Any = place(client)

    async with stuck:
        pass

    assert stuck.leaked is not None
    assert set(volumes.present) == {"c-upper0", "c-work0"}


def overlaid(*cells: str) -> World:
    """Cells that pass, with overlays to collect artifacts from if they did not."""
    return World(
        {cell: Script() for cell in cells},
        workspace=WorkspaceMode.OVERLAY,
        artifacts=("out",),
        artifacts_on=ArtifactsOn.FAILED,
    )


async def test_a_volume_that_podman_keeps_is_named_and_makes_its_cell_leaked() -> None:
    world = overlaid("a", "b")
    world.podman.volumes.used = {"barasync-run1-a-1-upper0"}

    result = await world.result()

    assert set(world.podman.volumes.present) == {"barasync-run1-a-1-upper0"}
    assert result.problem == (
        "volume barasync-run1-a-1-upper0 (a) could not be removed: "
        "volume is being used (POST /x: 500); "
        "`podman volume rm barasync-run1-a-1-upper0`, or later `barasync clean`"
    )
    assert result.exit_code == EXIT_NOT_PASSED
    outcome = result.outcomes["a"]
    assert outcome.status is Status.LEAKED
    assert outcome.reason.startswith("volume barasync-run1-a-1-upper0 could not be removed")
    assert result.outcomes["b"].status is Status.PASSED


async def test_a_volume_that_was_in_use_goes_at_the_end_of_the_run_if_it_is_free_then() -> None:
    world = overlaid("a")
    world.podman.volumes.used = {"barasync-run1-a-1-upper0"}
    world.podman.volumes.refusals = 1

    result = await world.result()

    assert world.podman.volumes.present == {}
    assert result.problem is None
    assert result.outcomes["a"].status is Status.PASSED


@pytest.mark.parametrize(
    ("hanging", "seconds", "late"),
    [
        (
            "tests.unit.fake_podman.Volumes.create",
            "barasync.engine.overlays._MAKE_SECONDS",
            "podman did not make the volumes for overlays within 0.01 s",
        ),
        (
            "tests.unit.fake_podman.FakePodman.create",
            "barasync.aiopodman.lifetime.CREATE_SECONDS",
            "podman did not create the container in time",
        ),
    ],
)
async def test_a_podman_that_is_late_before_there_is_a_container_is_told_what_it_did_not_do(
    monkeypatch: pytest.MonkeyPatch, hanging: str, seconds: str, late: str
) -> None:
    async def create(*_arguments: object, **_settings: object) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr(hanging, create)
    monkeypatch.setattr(seconds, 0.01)

    outcome = (await overlaid("a").result()).outcomes["a"]

    assert (outcome.status, outcome.reason) == (Status.INFRASTRUCTURE_ERROR, late)
    assert outcome.container_id is None
