"""The volumes of caches: their names, their mounts, and how they are had."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from barasync.aiopodman import APIError, Conflict, Mount, Podman, ServerError, VolumeSummary
from barasync.engine import identity
from barasync.engine.caches import Caches, describe, find_caches
from barasync.errors import EngineUnavailable
from barasync.matrix.caches import caches_of
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


def test_a_volume_is_of_one_name_one_architecture_one_image_and_one_owner() -> None:
    (cache,) = caches_of(cell("cargo:/c"))
    arm = replace(cell("cargo:/c"), arch="arm64", platform=Platform("arm64", variant="v8"))
    others = [cell("pip:/c"), cell("cargo:/c", image="other"), arm]
    volumes = [cache.volume("me"), cache.volume("him")]
    volumes += [caches_of(other)[0].volume("me") for other in others]

    assert volumes[0].startswith("barasync-cache-cargo-amd64-")
    assert len(set(volumes)) == 5
    assert caches_of(cell("cargo:/elsewhere:cow"))[0].volume("me") == volumes[0]


async def test_only_copy_on_write_caches_are_mounted_as_an_overlay(tmp_path: Path) -> None:
    volumes = Volumes()
    async with caches(volumes, tmp_path).held(
        cell("b:/b", "a:/a:cow"), on_wait=pytest.fail
    ) as mounts:
        shared, alone = sorted(volumes.made)

    assert mounts == (Mount(alone, "/b"), Mount(shared, "/a", ("O",)))


async def test_who_has_other_locks_has_other_volumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user, another home directory, another machine: nothing would keep them apart."""
    volumes = Volumes()

    async def use(locks: Path) -> None:
        async with caches(volumes, locks).held(cell("cargo:/c"), on_wait=pytest.fail):
            pass

    await use(tmp_path / "a")
    await use(tmp_path / "a")
    assert len(volumes.made) == 1
    await use(tmp_path / "b")
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    await use(tmp_path / "a")
    (tmp_path / "machine-id").write_text("another")
    monkeypatch.setattr(identity, "_MACHINE_ID", tmp_path / "machine-id")
    await use(tmp_path / "a")

    assert len(volumes.made) == 4


async def test_a_volume_is_made_with_what_tells_people_whose_it_is(tmp_path: Path) -> None:
    volumes = Volumes()
    async with caches(volumes, tmp_path).held(cell("cargo:/c"), on_wait=pytest.fail):
        ((name, labels),) = volumes.made.items()

    known = VolumeSummary(name=name, labels=labels)
    assert describe(known) == f"amd64, toolchain, user {os.getuid()}"
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


async def test_a_lock_that_cannot_be_had_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    """Such as a cache directory that a `sudo` has made its own."""
    (tmp_path / "locks").touch()

    with pytest.raises(EngineUnavailable, match=r"cache cargo: no lock: .*/locks") as caught:
        async with caches(Volumes(), tmp_path / "locks").held(
            cell("cargo:/c"), on_wait=pytest.fail
        ):
            pass

    assert f"{tmp_path}/locks" in (caught.value.hint or "")
    assert "XDG_CACHE_HOME" in (caught.value.hint or "")


async def test_caches_are_found_by_name() -> None:
    podman = FakePodman(Volumes(found=("data", "barasync-cache-cargo-amd64-1", "barasync-x")))

    found = await find_caches(cast("Podman", podman))

    assert [each.name for each in found] == ["barasync-cache-cargo-amd64-1"]
