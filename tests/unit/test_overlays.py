"""The volumes for what a container writes to its overlays, over a podman in memory."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Mapping
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
from barasync.aiopodman.models import VolumeSummary
from barasync.engine.gate import Gates
from barasync.engine.overlays import OverlayWrites
from barasync.engine.place import FreshPlace
from barasync.images.elf import idle_executable
from barasync.matrix.platforms import native
from tests.unit.fake_podman import FakePodman, Script, refused
from tests.unit.world import nothing_measured

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


class Volumes:
    """Keeps the names of volumes; makes `room` of them."""

    def __init__(self, room: int = 10) -> None:
        self.present: dict[str, Mapping[str, str]] = {}
        self.room = room

    async def create(self, name: str, *, labels: Mapping[str, str]) -> VolumeSummary:
        await anyio.lowlevel.checkpoint()
        if len(self.present) == self.room:
            raise PodmanError("no locks are left")
        self.present[name] = labels
        return VolumeSummary(name=name, mountpoint=f"/volumes/{name}/_data")

    async def remove(self, name: str, *, missing_ok: bool = False) -> None:
        await anyio.lowlevel.checkpoint()
        assert name in self.present or missing_ok
        self.present.pop(name, None)


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
    fake.volumes = volumes  # type: ignore[attr-defined]  # only here anybody asks for it
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
