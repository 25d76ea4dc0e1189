"""What is left of a run, as it is found and as it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import anyio
import pytest

from barasync.aiopodman import ContainerSpec, Podman
from barasync.engine.identity import ATTEMPT, CELL, RUN
from barasync.engine.sweep import Left, Remains, sweep
from barasync.engine.usage import CgroupMounts, RunCgroup
from tests.unit.fake_podman import FakeContainer, FakePodman, Script, Volumes

pytestmark = pytest.mark.anyio

CONTAINER = "0123456789abcdef" * 4


def podman() -> Podman:
    return cast("Podman", FakePodman(lambda _cell: Script()))


async def test_a_cgroup_that_stays_in_use_is_named_and_hides_no_success(tmp_path: Path) -> None:
    (tmp_path / "barasync-run1.1.2.3").mkdir()
    # What keeps a directory keeps a cgroup as well.
    (tmp_path / "barasync-run1.1.2.3" / "in use").touch()
    cgroup = RunCgroup(CgroupMounts(v1=(), v2=tmp_path), "barasync-run1.1.2.3")

    remains = await sweep(podman(), "run1", cgroup)

    assert remains == Remains(cgroup="barasync-run1.1.2.3")
    assert remains.proven
    (problem,) = remains.problems
    assert "cgroup barasync-run1.1.2.3 is still in use" in problem
    assert "`barasync clean`" in problem


async def test_nothing_left_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "barasync-run1.1.2.3").mkdir()
    cgroup = RunCgroup(CgroupMounts(v1=(), v2=tmp_path), "barasync-run1.1.2.3")

    remains = await sweep(podman(), "run1", cgroup)

    assert (remains.problems, remains.proven) == ((), True)
    assert not await anyio.Path(tmp_path, "barasync-run1.1.2.3").exists()


async def test_a_container_whose_removal_hangs_costs_no_volume_its_removal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.engine.sweep._SECONDS", 0.1)
    monkeypatch.setattr(FakeContainer, "remove", hang)
    fake = FakePodman(lambda _cell: Script())
    await fake.create(ContainerSpec(image="image", labels={CELL: "b"}))
    await fake.volumes.create("of-a", labels={CELL: "a"})

    remains = await sweep(cast("Podman", fake), "run1", None)

    assert fake.volumes.present == {}
    assert remains == Remains(containers=(Left(id="id0", cell="b"),))


async def test_removal_of_dependents_races__a_container_that_stays_is_removed_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakePodman(lambda _cell: Script())
    for cell in "ab":
        await fake.create(ContainerSpec(image="image", labels={CELL: cell}))
    removed, remove = list[str](), FakeContainer.remove

    async def said_to_be_removed(container: FakeContainer, **how: Any) -> None:
        removed.append(container.id)
        if removed.count("id0") != 1 or container.id != "id0":
            await remove(container, **how)

    monkeypatch.setattr(FakeContainer, "remove", said_to_be_removed)

    remains = await sweep(cast("Podman", fake), "run1", None)

    assert sorted(removed) == ["id0", "id0", "id1"]
    assert (remains, fake.present) == (Remains(), {})


async def test_a_volume_that_podman_was_not_asked_to_remove_is_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("barasync.engine.sweep._VOLUME_SECONDS", 0.1)
    monkeypatch.setattr(Volumes, "remove", hang)
    fake = FakePodman(lambda _cell: Script())
    for number in range(6):
        await fake.volumes.create(f"v{number}", labels={CELL: f"c{number}"})

    remains = await sweep(cast("Podman", fake), "run1", None)

    assert [left.id for left in remains.volumes] == ["v0", "v1", "v2", "v3"]
    assert [left.id for left in remains.untried] == ["v4", "v5"]
    assert not remains.proven
    assert remains.problems[1] == (
        "podman was too slow to be asked to remove volume v4 (c4), v5 (c5); "
        "`podman volume rm v4 v5`, or later `barasync clean`"
    )


async def test_a_container_that_is_detached_stays_with_what_it_uses(tmp_path: Path) -> None:
    (tmp_path / "barasync-run1.1.2.3").mkdir()
    cgroup = RunCgroup(CgroupMounts(v1=(), v2=tmp_path), "barasync-run1.1.2.3")
    fake = FakePodman(lambda _cell: Script())
    labels = {RUN: "run1", CELL: "a", ATTEMPT: "1"}
    name = "barasync-run1-a-1-detached"
    await fake.create(ContainerSpec(image="image", name=name, labels=labels))
    await fake.create(ContainerSpec(image="image", name="beside", labels=labels))
    await fake.volumes.create("of-a", labels=labels)

    remains = await sweep(cast("Podman", fake), "run1", cgroup)

    assert remains == Remains(detached=(name,))
    assert (list(fake.present), list(fake.volumes.present)) == (["id0"], ["of-a"])
    assert await anyio.Path(tmp_path, "barasync-run1.1.2.3").exists()


async def hang(*_arguments: object, **_settings: object) -> None:
    await anyio.sleep_forever()


def test_a_container_of_no_cell_is_named_by_its_id() -> None:
    remains = Remains(containers=(Left(id=CONTAINER, cell=None),))

    assert not remains.proven
    (problem,) = remains.problems
    assert problem.startswith("container 0123456789ab could not be removed;")
    assert problem.endswith("`podman rm --force 0123456789ab`, or later `barasync clean`")


def test_of_very_many_containers_some_are_named() -> None:
    left = tuple(Left(id=f"{number:064d}"[::-1], cell=f"c{number}") for number in range(100))

    (problem,) = Remains(containers=left).problems

    assert problem.startswith("100 containers could not be removed: 000000000000 (c0), ")
    assert problem.count("(c") == 8
    assert "(c7) and 92 more; `podman rm --force " in problem
