"""The volumes of caches: their names, their mounts, and how they are had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from barasync.aiopodman import APIError, Conflict, Mount, Podman, ServerError, VolumeSummary
from barasync.engine.caches import Caches, cache_mount, describe, find_caches
from barasync.errors import EngineUnavailable
from barasync.matrix.caches import cache_volumes
from barasync.matrix.cells import Cell
from barasync.matrix.platforms import Platform
from tests.unit import world

pytestmark = pytest.mark.anyio


def cell(*caches: str, image: str = "toolchain") -> Cell:
    return world.cell("debug", caches=caches, image=image)


def refused(kind: type[APIError], cause: str) -> APIError:
    return kind(status=500, cause=cause, message="", method="POST", path="/volumes/create")


class Volumes:
    def __init__(self, error: Exception | None = None, found: tuple[str, ...] = ()) -> None:
        self.made: dict[str, dict[str, str]] = {}
        self._error = error
        self._found = found

    async def create(self, name: str, *, labels: dict[str, str]) -> None:
        if self._error is not None:
            raise self._error
        self.made[name] = labels

    async def list(self) -> list[VolumeSummary]:
        return [VolumeSummary(name=name) for name in self._found]


class FakePodman:
    def __init__(self, volumes: Volumes) -> None:
        self.volumes = volumes


def caches(volumes: Volumes, locks: Path) -> Caches:
    return Caches(cast("Podman", FakePodman(volumes)), locks)


def test_a_volume_is_of_one_name_one_architecture_and_one_image() -> None:
    (volume,) = cache_volumes(cell("cargo:/c"))
    arm = replace(cell("cargo:/c"), arch="arm64", platform=Platform("arm64", variant="v8"))
    others = [cell("pip:/c"), cell("cargo:/c", image="other"), arm]

    assert volume.volume.startswith("barasync-cache-cargo-amd64-")
    assert len({volume.volume, *(cache_volumes(other)[0].volume for other in others)}) == 4
    assert cache_volumes(cell("cargo:/elsewhere:cow"))[0].volume == volume.volume


def test_only_copy_on_write_caches_are_mounted_as_an_overlay() -> None:
    alone, shared = cache_volumes(cell("a:/a", "b:/b:cow"))

    assert cache_mount(alone) == Mount(alone.volume, "/a")
    assert cache_mount(shared) == Mount(shared.volume, "/b", ("O",))


async def test_a_volume_is_made_with_what_tells_people_whose_it_is(tmp_path: Path) -> None:
    volumes = Volumes()
    async with caches(volumes, tmp_path).held(cell("cargo:/c"), on_wait=pytest.fail):
        ((name, labels),) = volumes.made.items()

    assert describe(VolumeSummary(name=name, labels=labels)) == "amd64, toolchain"
    assert describe(VolumeSummary(name=name)) == ""


async def test_a_volume_that_is_there_already_is_used(tmp_path: Path) -> None:
    volumes = Volumes(refused(Conflict, "volume already exists"))

    async with caches(volumes, tmp_path).held(cell("cargo:/c"), on_wait=pytest.fail):
        pass


async def test_a_volume_that_cannot_be_made_is_the_engines_failure(tmp_path: Path) -> None:
    volumes = Volumes(refused(ServerError, "no space left on device"))

    with pytest.raises(EngineUnavailable, match="cache cargo: no space left"):
        async with caches(volumes, tmp_path).held(cell("cargo:/c"), on_wait=pytest.fail):
            pass


async def test_caches_are_found_by_name() -> None:
    podman = FakePodman(Volumes(found=("data", "barasync-cache-cargo-amd64-1", "barasync-x")))

    found = await find_caches(cast("Podman", podman))

    assert [each.name for each in found] == ["barasync-cache-cargo-amd64-1"]
