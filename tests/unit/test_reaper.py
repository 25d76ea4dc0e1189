"""What dead runs left: how it is judged, in which order it goes, and what stays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from barasync.aiopodman import (
    Conflict,
    ConnectError,
    ContainerSummary,
    ImageInspect,
    ImageSummary,
    NetworkInspect,
    Podman,
    PodmanError,
    SecretSpec,
    SecretSummary,
    ServerError,
    VolumeSummary,
)
from barasync.cli.cleaning import note_on_dead_runs
from barasync.cli.connect import Connection
from barasync.engine.build_processes import build_in
from barasync.engine.identity import Identity, Liveness
from barasync.engine.reaper import Fate, Kind, Leftover, leftovers, remove
from barasync.engine.usage import CgroupMounts
from tests.unit.fake_podman import refused

pytestmark = pytest.mark.anyio

ME = Identity(host="here", boot="b1", namespace="1", pid=100, start=5000)
DEAD = replace(ME, pid=7)
ELSEWHERE = replace(DEAD, host="there")
LAYER = "localhost/barasync/workspace:0123456789abcdef"


@dataclass
class Collection:
    """A collection of the client that lists `found`, and remembers what it removed."""

    podman: Store
    kind: Kind
    found: list[Any] = field(default_factory=list)
    inspected: dict[str, Any] = field(default_factory=dict)
    error: Exception | None = None

    async def list(
        self, *, labels: Mapping[str, str | None] | None = None, **how: object
    ) -> list[Any]:
        assert how.get("all") if labels is None else len(labels) == 1
        if self.error is not None:
            raise self.error
        return self.found

    async def inspect(self, key: str) -> Any:
        return self.inspected[key]

    def handle(self, key: str) -> Handle:
        return Handle(self, key)

    async def remove(self, key: str, *, missing_ok: bool) -> None:
        assert missing_ok
        await anyio.lowlevel.checkpoint()
        if key in self.podman.refuses:
            raise self.podman.refuses[key]
        self.podman.removed.append((self.kind, key))
        if key in self.podman.stays:
            self.podman.stays.remove(key)
            return
        self.found = [each for each in self.found if getattr(each, "id", "") != key]


@dataclass
class Handle:
    collection: Collection
    key: str

    async def remove(self, **how: object) -> None:
        of_cell = {"force": True, "timeout": 0, "volumes": True, "dependents": True}
        assert how in (of_cell, {"force": True, "missing_ok": True})
        await self.collection.remove(self.key, missing_ok=True)


class Store:
    """Stands for the client: one of each kind for every identity it is given.

    Its storage is in the directory `root`. What `stays` is said to be removed, once, and is not.
    """

    def __init__(self, *, root: Path = Path("/nowhere"), **runs: Identity) -> None:
        self.root = root
        self.system = self
        self.removed: list[tuple[Kind, str]] = []
        self.refuses: dict[str, Exception] = {}
        self.stays: set[str] = set()
        self.containers = Collection(self, Kind.CONTAINER)
        self.networks = Collection(self, Kind.NETWORK)
        self.volumes = Collection(self, Kind.VOLUME)
        self.secrets = Collection(self, Kind.SECRET)
        self.images = Collection(self, Kind.LAYER)
        for run, identity in runs.items():
            labels = identity.labels(run)
            maker = {"barasync.kind": "workspace", **identity.maker_labels(run)}
            cell = {**labels, "barasync.cell": "amd64-a"}
            self.containers.found.append(
                ContainerSummary(id=f"{run}-c", names=["c"], state="running", labels=cell)
            )
            self.networks.found.append(NetworkInspect(name=f"{run}-n", labels=labels))
            self.volumes.found.append(VolumeSummary(name=f"{run}-v", labels=labels))
            spec = SecretSpec(name=f"{run}-s", labels=labels)
            self.secrets.found.append(SecretSummary(id="545b", spec=spec))
            self.images.found.append(ImageSummary(id=f"{run}-l", repo_tags=[LAYER], labels=maker))

    async def info(self) -> Any:
        return SimpleNamespace(
            store=SimpleNamespace(graph_root=str(self.root), graph_driver_name="overlay")
        )

    def builder(self, key: str, parent: str) -> ContainerSummary:
        """Return a container that a builder works in, and note what was asked for."""
        directory = self.root / "overlay-containers" / key / "userdata"
        directory.mkdir(parents=True)
        record = {"CommonBuildOpts": {"CgroupParent": parent}}
        (directory / "buildah.json").write_text(json.dumps(record))
        return ContainerSummary(id=key, state="storage")

    async def leftovers(self, cgroups: CgroupMounts | None = None) -> tuple[Leftover, ...]:
        return await leftovers(cast("Podman", self), ME, cgroups, start_of={100: 5000}.get)


async def test_every_kind_is_judged_by_the_process_that_made_it(tmp_path: Path) -> None:
    runs = {"dead": DEAD, "alive": ME, "elsewhere": ELSEWHERE}
    for run, identity in {**runs, "elsewhere": replace(DEAD, namespace="2")}.items():
        (tmp_path / identity.cgroup(run)).mkdir()
        (tmp_path / identity.cgroup(build_in(run, "app-amd64"))).mkdir()
    (tmp_path / "barasync-of-somebody-else").mkdir()

    found = await Store(**runs).leftovers(CgroupMounts(v1=(), v2=tmp_path))

    judged = {
        kind: {each.run: each.liveness for each in found if each.kind is kind} for kind in Kind
    }
    expected = {
        "dead": Liveness.DEAD,
        "alive": Liveness.ALIVE,
        "elsewhere": Liveness.UNKNOWN,
    }
    assert judged == dict.fromkeys(Kind, expected)


async def test_a_detached_container_is_no_leftover_and_neither_is_what_it_needs(
    tmp_path: Path,
) -> None:
    for run in ("dead", "on"):
        (tmp_path / DEAD.cgroup(run)).mkdir()
    podman = Store(dead=DEAD, on=DEAD)
    labels = {**DEAD.labels("on"), "barasync.cell": "a", "barasync.attempt": "1"}
    podman.containers.found.append(
        ContainerSummary(id="c", names=["barasync-on-a-1-detached"], labels=labels)
    )

    found = await podman.leftovers(CgroupMounts(v1=(), v2=tmp_path))

    assert {each.kind for each in found if each.run == "on"} == {Kind.SECRET, Kind.LAYER}
    assert {each.kind for each in found if each.run == "dead"} == {*Kind} - {Kind.BUILD}


async def test_a_leftover_says_what_it_is() -> None:
    container, network, volume, secret, layer = await Store(dead=DEAD).leftovers()

    assert (container.key, container.name, container.detail) == ("dead-c", "c", "amd64-a, running")
    assert (network.name, volume.name, secret.name) == ("dead-n", "dead-v", "dead-s")
    assert (layer.key, layer.name) == ("dead-l", LAYER)


async def test_an_image_of_a_step_belongs_to_the_build_that_made_it_until_it_is_named() -> None:
    podman = Store()
    labels = {"barasync.kind": "containerfile"}
    podman.images.found = [
        ImageSummary(id="parent", labels=labels),
        ImageSummary(id="left", parent_id="parent", labels=labels),
        ImageSummary(id="named", labels=labels, repo_tags=["localhost/barasync/app:1"]),
        ImageSummary(id="somebody's", labels=labels),
    ]
    podman.images.inspected = {
        "left": ImageInspect(id="left", annotations=DEAD.maker_labels("dead")),
        "somebody's": ImageInspect(id="somebody's"),
    }

    (left,) = await podman.leftovers()

    assert (left.key, left.kind, left.liveness) == ("left", Kind.LAYER, Liveness.DEAD)


async def test_what_was_made_from_a_layer_is_nobodys() -> None:
    """A commit empties the labels of a run, and a container made from it inherits that."""
    podman = Store()
    labels = {**dict.fromkeys(DEAD.labels("x"), ""), **DEAD.maker_labels("x")}
    podman.containers.found = [ContainerSummary(id="somebody's", labels=labels)]

    assert await podman.leftovers() == ()


async def test_builds_whose_containers_cannot_be_listed_are_found_by_their_cgroups(
    tmp_path: Path,
) -> None:
    podman = Store(dead=DEAD)
    podman.containers.error = refused(ServerError, "no space left on device")
    (tmp_path / DEAD.cgroup(build_in("dead", "app-amd64"))).mkdir()
    unlisted: dict[Kind, PodmanError] = {}

    found = await leftovers(
        cast("Podman", podman),
        ME,
        CgroupMounts((), tmp_path),
        on_unlisted=unlisted.__setitem__,
        start_of={}.get,
    )

    assert unlisted.keys() == {Kind.CONTAINER, Kind.BUILD}
    kinds = [each.kind for each in found]
    assert kinds == [Kind.NETWORK, Kind.VOLUME, Kind.SECRET, Kind.LAYER, Kind.BUILD]


async def test_a_service_that_is_gone_is_no_kind_that_it_does_not_list() -> None:
    podman = Store(dead=DEAD)
    podman.images.error = ConnectError("gone")

    with pytest.raises(ExceptionGroup) as raised:
        await leftovers(cast("Podman", podman), ME, None, on_unlisted=pytest.fail)

    assert raised.group_contains(ConnectError)


async def test_only_the_kinds_that_are_asked_for_are_looked_at() -> None:
    podman = cast("Podman", Store(dead=DEAD))

    found = await leftovers(podman, ME, None, kinds={Kind.CONTAINER}, start_of={}.get)

    assert [each.kind for each in found] == [Kind.CONTAINER]


async def test_volume_removal_deadlock__volumes_go_after_the_containers_and_before_the_layers() -> (
    None
):
    podman = Store(one=DEAD, two=DEAD)

    found = await podman.leftovers()
    removals = await remove(cast("Podman", podman), None, reversed(found))

    kinds = [kind for kind, _ in podman.removed]
    assert kinds[:2] == [Kind.CONTAINER] * 2
    assert set(kinds[2:8]) == {Kind.NETWORK, Kind.VOLUME, Kind.SECRET}
    assert kinds[8:] == [Kind.LAYER] * 2
    assert {removal.fate for removal in removals} == {Fate.REMOVED}
    assert [removal.leftover.kind for removal in removals][:2] == [Kind.CONTAINER] * 2


async def test_a_cgroup_is_removed_whatever_hierarchy_it_is_in(tmp_path: Path) -> None:
    name = DEAD.cgroup("dead")
    for hierarchy in ("memory", "pids"):
        (tmp_path / hierarchy / name / "cell").mkdir(parents=True)
    mounts = CgroupMounts(
        v1=(("memory", tmp_path / "memory"), ("pids", tmp_path / "pids")), v2=None
    )
    podman = Store()

    (removal,) = await remove(cast("Podman", podman), mounts, await podman.leftovers(mounts))

    assert removal.fate is Fate.REMOVED
    assert not await anyio.Path(tmp_path, "memory", name).exists()
    assert not await anyio.Path(tmp_path, "pids", name).exists()


async def test_what_is_used_stays_and_is_no_failure() -> None:
    podman = Store(dead=DEAD)
    for key in ("dead-n", "dead-v", "dead-s", "dead-l"):
        podman.refuses[key] = refused(Conflict, "it is being used")

    removals = await remove(cast("Podman", podman), None, await podman.leftovers())

    fates = {removal.leftover.kind: removal.fate for removal in removals}
    assert fates.pop(Kind.CONTAINER) is Fate.REMOVED
    assert set(fates.values()) == {Fate.IN_USE}
    assert "it is being used" in removals[-1].reason


@pytest.mark.parametrize("kind", [Conflict, ServerError])
async def test_a_container_that_podman_does_not_remove_is_a_failure_and_the_rest_goes(
    kind: type[ServerError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.aiopodman.lifetime._REMOVE_PAUSES", (0.0, 0.0))
    podman = Store(dead=DEAD)
    podman.refuses["dead-c"] = refused(kind, "cannot stop container")

    removals = await remove(cast("Podman", podman), None, await podman.leftovers())

    assert removals[0].fate is Fate.FAILED
    assert "cannot stop container" in removals[0].reason
    assert {removal.fate for removal in removals[1:]} == {Fate.REMOVED}


async def test_removal_of_dependents_races__a_container_that_stays_is_removed_again() -> None:
    podman = Store(one=DEAD, two=DEAD)
    podman.stays.add("one-c")

    removals = await remove(cast("Podman", podman), None, await podman.leftovers())

    containers = [key for kind, key in podman.removed if kind is Kind.CONTAINER]
    assert containers[2:] == ["one-c"]
    assert podman.removed[2] == (Kind.CONTAINER, "one-c")
    assert {removal.fate for removal in removals} == {Fate.REMOVED}
    assert podman.containers.found == []


async def test_containers_that_cannot_be_listed_once_more_are_what_podman_said() -> None:
    podman = Store(one=DEAD)
    found = await podman.leftovers()
    podman.containers.error = refused(ServerError, "database is locked")

    removals = await remove(cast("Podman", podman), None, found)

    assert {removal.fate for removal in removals} == {Fate.REMOVED}


async def test_a_layer_alone_is_no_sign_of_a_dead_run() -> None:
    """Every run leaves its own for the next one; `clean` removes it with the rest."""
    podman = Store(dead=replace(DEAD, boot="b0"))
    connection = cast("Connection", SimpleNamespace(podman=podman, cgroups=None))

    note = await note_on_dead_runs(connection, ME)
    for collection in (podman.containers, podman.networks, podman.volumes, podman.secrets):
        collection.found.clear()

    assert note is not None
    assert note.startswith(
        "1 container, 1 network, 1 volume, 1 secret and 1 layer of a dead run are left"
    )
    assert await note_on_dead_runs(connection, ME) is None


async def test_a_cgroup_that_only_another_service_uses_is_not_told_of(tmp_path: Path) -> None:
    """Of a container that goes on there; `clean` would leave it as well."""
    podman = Store(dead=replace(DEAD, boot="b0"))
    cgroups = CgroupMounts(v1=(), v2=tmp_path)
    connection = cast("Connection", SimpleNamespace(podman=podman, cgroups=cgroups))
    for run in ("dead", "other"):
        directory = tmp_path / DEAD.cgroup(run) / "amd64-1" / "container"
        directory.mkdir(parents=True)
        (directory / "cgroup.procs").write_text("4711\n")

    note = await note_on_dead_runs(connection, ME)
    for collection in (podman.containers, podman.networks, podman.volumes, podman.secrets):
        collection.found.clear()

    assert note is not None
    assert "1 layer and 1 cgroup of a dead run are left" in note
    assert await note_on_dead_runs(connection, ME) is None


async def test_a_build_whose_cgroup_is_gone_is_found_by_its_containers(tmp_path: Path) -> None:
    podman = Store(root=tmp_path)
    name = DEAD.cgroup(build_in("r1", "app-amd64"))
    podman.containers.found += [
        podman.builder("b1", f"/{name}/step"),
        podman.builder("b2", f"/{ME.cgroup(build_in('r2', 'app-amd64'))}/step"),
        podman.builder("b3", ""),
    ]
    mounts = CgroupMounts((), tmp_path / "cgroups")

    found = await podman.leftovers(mounts)
    builds = {each.run: each.liveness for each in found if each.kind is Kind.BUILD}
    removals = await remove(
        cast("Podman", podman), mounts, [each for each in found if each.liveness is Liveness.DEAD]
    )

    assert builds == {"r1": Liveness.DEAD, "r2": Liveness.ALIVE}
    assert [(each.fate, each.reason) for each in removals] == [(Fate.REMOVED, "")]
    assert podman.removed == [(Kind.CONTAINER, "b1")]


async def test_a_container_of_which_it_is_not_known_whose_it_is_stays_and_is_named(
    tmp_path: Path,
) -> None:
    podman = Store(root=tmp_path)
    name = DEAD.cgroup(build_in("r1", "app-amd64"))
    (tmp_path / "cgroups" / name).mkdir(parents=True)
    podman.containers.found += [ContainerSummary(id="b1", state="storage")]
    mounts = CgroupMounts((), tmp_path / "cgroups")

    (removal,) = await remove(cast("Podman", podman), mounts, await podman.leftovers(mounts))

    assert (removal.fate, podman.removed) == (Fate.REMOVED, [])
    assert "of it or of other builders there are containers still" in removal.reason
    assert "`podman rm --force b1`" in removal.reason
