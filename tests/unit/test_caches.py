"""The volumes of caches: their names, their mounts, and how they are had."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

import anyio
import msgspec
import pytest

from barasync.aiopodman import (
    APIError,
    Conflict,
    ContainerSpec,
    ContainerSummary,
    Mount,
    NotFound,
    Podman,
    ServerError,
    VolumeSummary,
)
from barasync.engine import caches as engine_caches
from barasync.engine import identity
from barasync.engine.caches import Caches, describe, find_caches, users_label
from barasync.engine.detached import attempt_name, detached_name
from barasync.engine.identity import ATTEMPT, CACHES, CELL, RUN, Liveness
from barasync.engine.not_begun import ImageGone
from barasync.errors import ConfigError, EngineUnavailable
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
        if name in self.made:
            raise refused(Conflict, "volume already exists")
        self.made[name] = labels

    async def list(self) -> list[VolumeSummary]:
        return [VolumeSummary(name=name) for name in self._found]

    async def exists(self, name: str) -> bool:
        return name in self.made

    async def remove(self, name: str, *, missing_ok: bool) -> None:
        assert missing_ok
        self.made.pop(name, None)


class Containers:
    """Those of other runs; one of a live run is gone the second time it is looked for."""

    def __init__(self, present: dict[str, ContainerSummary], *, sticks: bool) -> None:
        self.present = present
        self.removed: list[str] = []
        self.looks = 0
        self.created: list[ContainerSpec] = []
        self._sticks = sticks

    async def list(self, *, labels: dict[str, None], all: bool) -> list[ContainerSummary]:  # noqa: A002
        assert all
        assert list(labels) == [CACHES]
        self.looks += 1
        found = list(self.present.values())
        if self.looks > 1:
            self.present.clear()
        return found

    def handle(self, container: str) -> Containers:
        self.removed.append(container)
        return self

    async def remove(self, **_options: bool) -> None:
        if self._sticks:
            raise refused(ServerError, "cannot stop it")
        if self.removed:
            self.present.pop(self.removed[-1], None)

    async def create(self, spec: ContainerSpec) -> Containers:
        self.created.append(spec)
        return self

    async def init(self) -> None:
        pass


class FakePodman:
    def __init__(
        self,
        volumes: Volumes | None = None,
        others: tuple[ContainerSummary, ...] = (),
        *,
        sticks: bool = False,
    ) -> None:
        self.volumes = volumes or Volumes()
        self.containers = Containers({each.id: each for each in others}, sticks=sticks)


def judge(labels: Mapping[str, str]) -> Liveness:
    return Liveness(labels["liveness"])


def caches(podman: FakePodman | Volumes, locks: Path) -> Caches:
    fake = podman if isinstance(podman, FakePodman) else FakePodman(podman)
    return Caches(cast("Podman", fake), locks, labels={RUN: "mine"}, judge=judge)


async def other(
    uses: str,
    locks: Path,
    liveness: Liveness = Liveness.DEAD,
    *,
    run: str = "other",
    state: str = "running",
) -> ContainerSummary:
    """A container of another run with the caches that a cell of it would have."""
    async with caches(FakePodman(), locks).held(cell(uses), "image-id", tell=pytest.fail) as mounts:
        labels = {RUN: run, "liveness": liveness.value, **users_label(mounts)}
    return ContainerSummary(id="1" * 64, names=["of-other"], state=state, labels=labels)


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
        cell("b:/b", "a:/a:cow"), "image-id", tell=pytest.fail
    ) as mounts:
        shared, alone = sorted(volumes.made)

    assert mounts == (Mount(alone, "/b"), Mount(shared, "/a", ("O",)))


async def test_who_has_other_locks_has_other_volumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user, another home directory, another machine: nothing would keep them apart."""
    volumes = Volumes()

    async def use(locks: Path) -> None:
        async with caches(volumes, locks).held(cell("cargo:/c"), "image-id", tell=pytest.fail):
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
    async with caches(volumes, tmp_path).held(cell("cargo:/c"), "image-id", tell=pytest.fail):
        ((name, labels),) = volumes.made.items()

    known = VolumeSummary(name=name, labels=labels)
    assert describe(known) == f"amd64, toolchain, user {os.getuid()}"
    assert describe(VolumeSummary(name=name)) == ""


async def test_a_volume_that_is_there_already_is_used(tmp_path: Path) -> None:
    volumes = Volumes()
    for _ in range(2):
        async with caches(volumes, tmp_path).held(cell("cargo:/c"), "image-id", tell=pytest.fail):
            assert len(volumes.made) == 1


async def test_a_volume_that_cannot_be_made_is_the_engines_failure(tmp_path: Path) -> None:
    volumes = Volumes(refused(ServerError, "no space left on device"))

    with pytest.raises(EngineUnavailable, match="cache cargo: no space left"):
        async with caches(volumes, tmp_path).held(cell("cargo:/c"), "image-id", tell=pytest.fail):
            pass


async def test_a_lock_that_cannot_be_had_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    """Such as a cache directory that a `sudo` has made its own."""
    (tmp_path / "locks").touch()

    with pytest.raises(ConfigError, match=r"cache cargo: no lock in .*/locks: ") as caught:
        async with caches(Volumes(), tmp_path / "locks").held(
            cell("cargo:/c"), "image-id", tell=pytest.fail
        ):
            pass

    assert f"{tmp_path}/locks" in (caught.value.hint or "")
    assert "XDG_CACHE_HOME" in (caught.value.hint or "")


async def test_caches_are_found_by_name() -> None:
    podman = FakePodman(Volumes(found=("data", "barasync-cache-cargo-amd64-1", "barasync-x")))

    found = await find_caches(cast("Podman", podman))

    assert [each.name for each in found] == ["barasync-cache-cargo-amd64-1"]


@pytest.mark.parametrize(
    ("mine", "others"),
    [("cargo:/c", "cargo:/c"), ("cargo:/c", "cargo:/c:cow"), ("cargo:/c:cow", "cargo:/c")],
)
async def test_a_container_that_a_dead_run_left_in_a_cache_is_removed(
    mine: str, others: str, tmp_path: Path
) -> None:
    podman = FakePodman(others=(await other(others, tmp_path),))
    told: list[str] = []

    async with caches(podman, tmp_path).held(cell(mine), "image-id", tell=told.append):
        assert podman.containers.present == {}

    assert podman.containers.removed == ["1" * 64]
    assert told == ["gets the cache cargo: removing of-other, left by a dead run"]


async def test_a_container_of_a_dead_run_that_stays_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.aiopodman.lifetime._REMOVE_PAUSES", (0, 0))
    podman = FakePodman(others=(await other("cargo:/c", tmp_path),), sticks=True)

    with pytest.raises(EngineUnavailable, match="a dead run left of-other in it") as caught:
        async with caches(podman, tmp_path).held(cell("cargo:/c"), "image-id", tell=lambda _: None):
            pass
    assert "`barasync clean`" in str(caught.value.hint)


@pytest.mark.parametrize("liveness", [Liveness.ALIVE, Liveness.UNKNOWN])
async def test_a_container_whose_run_is_not_known_to_be_dead_is_waited_for(
    liveness: Liveness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_caches, "_LOOK_SECONDS", 0.0)
    podman = FakePodman(others=(await other("cargo:/c", tmp_path, liveness),))
    told: list[str] = []

    async with caches(podman, tmp_path).held(cell("cargo:/c"), "image-id", tell=told.append):
        assert podman.containers.looks == 3

    assert podman.containers.removed == []
    (line,) = told
    assert line.startswith("waits for the cache cargo: of-other uses it")


async def test_a_detached_container_of_a_dead_run_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_caches, "_LOOK_SECONDS", 0.0)
    dead = await other("cargo:/c", tmp_path, Liveness.DEAD)
    name = detached_name(attempt_name("other", "a", 1))
    labels = {**dead.labels, CELL: "a", ATTEMPT: "1"}
    detached = msgspec.structs.replace(dead, names=[name], labels=labels)
    podman = FakePodman(others=(detached,))
    told: list[str] = []

    async with caches(podman, tmp_path).held(cell("cargo:/c"), "image-id", tell=told.append):
        assert podman.containers.looks == 3

    assert podman.containers.removed == []
    (line,) = told
    assert line.startswith(f"waits for the cache cargo: {name} uses it; it is detached")


@pytest.mark.parametrize(
    ("mine", "uses", "run", "state"),
    [
        ("cargo:/c", "cargo:/c", "mine", "running"),
        ("cargo:/c", "cargo:/c", "other", "exited"),
        ("cargo:/c", "pip:/c", "other", "running"),
        ("cargo:/c:cow", "cargo:/c:cow", "other", "running"),
    ],
)
async def test_what_disturbs_nobody_in_a_cache_stays(
    mine: str, uses: str, run: str, state: str, tmp_path: Path
) -> None:
    podman = FakePodman(others=(await other(uses, tmp_path, run=run, state=state),))

    async with caches(podman, tmp_path).held(cell(mine), "image-id", tell=pytest.fail):
        assert len(podman.containers.present) == 1


async def test_only_a_new_cache_that_is_shared_is_given_to_the_images_user_before(
    tmp_path: Path,
) -> None:
    podman = FakePodman()
    for uses in ("a:/a", "b:/b:cow", "b:/b:cow"):
        async with caches(podman, tmp_path).held(cell(uses), "image-id", tell=pytest.fail):
            pass

    (spec,) = podman.containers.created
    assert (spec.image, [mount.destination for mount in spec.mounts]) == ("image-id", ["/b"])
    assert spec.mounts[0].options == ()
    assert spec.labels == {RUN: "mine", CACHES: f"{spec.mounts[0].source}:cow"}


class Refusing(Containers):
    """Refuses to create a container, by `error`; is cancelled in one, where that is none."""

    def __init__(self, error: Exception | None) -> None:
        super().__init__({}, sticks=False)
        self.fills = anyio.Event()
        self._error = error

    async def create(self, spec: ContainerSpec) -> Containers:
        if self._error is not None:
            raise self._error
        return await super().create(spec)

    async def init(self) -> None:
        self.fills.set()
        await anyio.sleep_forever()


async def hold(podman: FakePodman, locks: Path, uses: str = "b:/b:cow") -> None:
    async with caches(podman, locks).held(cell(uses), "image-id", tell=lambda _: None):
        pass


async def cancelled_while_filling(locks: Path) -> FakePodman:
    podman = FakePodman()
    filling = podman.containers = Refusing(None)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as group:
            group.start_soon(hold, podman, locks)
            await filling.fills.wait()
            group.cancel_scope.cancel()
    return podman


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (refused(ServerError, "no space left on device"), EngineUnavailable),
        (refused(NotFound, "no such image"), ImageGone),
        (TimeoutError(), EngineUnavailable),
    ],
)
async def test_a_cache_that_could_not_be_filled_is_filled_by_the_next_who_wants_it(
    error: Exception, raised: type[Exception], tmp_path: Path
) -> None:
    podman = FakePodman()
    podman.containers = Refusing(error)
    with pytest.raises(raised):
        await hold(podman, tmp_path)
    assert podman.volumes.made == {}

    podman.containers = Containers({}, sticks=False)
    await hold(podman, tmp_path)
    await hold(podman, tmp_path)

    assert len(podman.containers.created) == 1


async def test_a_cache_that_was_made_for_one_cell_alone_is_filled_once_for_those_that_share_it(
    tmp_path: Path,
) -> None:
    """Nobody knows whether that cell ever had a container."""
    podman = FakePodman()
    await hold(podman, tmp_path, "b:/b")
    (volume,) = podman.volumes.made
    assert podman.containers.created == []
    for uses in ("b:/b:cow", "b:/b:cow", "b:/b", "b:/b:cow"):
        await hold(podman, tmp_path, uses)

    (spec,) = podman.containers.created
    assert spec.mounts[0].source == volume


async def test_a_cache_with_content_stays_when_its_filling_fails(tmp_path: Path) -> None:
    podman = FakePodman()
    await hold(podman, tmp_path, "b:/b")
    podman.containers = Refusing(refused(ServerError, "no space left on device"))
    with pytest.raises(EngineUnavailable):
        await hold(podman, tmp_path)
    assert len(podman.volumes.made) == 1

    podman.containers = Containers({}, sticks=False)
    await hold(podman, tmp_path)
    assert len(podman.containers.created) == 1


async def test_a_cancelled_filling_leaves_no_cache(tmp_path: Path) -> None:
    podman = await cancelled_while_filling(tmp_path)

    assert len(podman.containers.created) == 1
    assert podman.volumes.made == {}


@pytest.mark.parametrize("uses", ["b:/b:cow", "b:/b"])
async def test_a_cache_whose_filling_was_killed_is_made_anew(
    uses: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as killed:
        # A process that is killed clears nothing up.
        killed.setattr(Volumes, "remove", _kept)
        podman = await cancelled_while_filling(tmp_path)
    (spec,) = podman.containers.created
    assert len(podman.volumes.made) == 1
    left = ContainerSummary(id="1" * 64, labels={"liveness": "dead", **spec.labels, RUN: "dead"})
    podman.containers = Containers({left.id: left}, sticks=False)
    removed: list[str] = []
    remove = podman.volumes.remove

    async def alone(name: str, *, missing_ok: bool) -> None:
        assert podman.containers.present == {}
        removed.append(name)
        await remove(name, missing_ok=missing_ok)

    podman.volumes.remove = alone  # type: ignore[method-assign] # looks at who is there
    await hold(podman, tmp_path, uses)
    await hold(podman, tmp_path, uses)

    assert removed == list(podman.volumes.made) == [spec.mounts[0].source]
    assert len(podman.containers.created) == (1 if uses.endswith(":cow") else 0)


async def _kept(_volumes: Volumes, _name: str, *, missing_ok: bool) -> None:
    assert missing_ok
