"""Whose a container of podman's builder is, by the file that the builder keeps beside it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from barasync.aiopodman import Podman
from barasync.engine.build_processes import cgroup_of_parent, parent_of
from barasync.engine.build_records import working_containers
from barasync.engine.usage import CgroupMounts, RunCgroup

pytestmark = pytest.mark.anyio

NAME = "barasync-20260101-1+app-amd64.4026531836.7.900"


class Builders:
    """Stands for a client of a podman whose storage is a directory of the test."""

    def __init__(self, root: Path, **states: str) -> None:
        self.root = root
        self.asked = 0
        self.containers = self
        self.system = self
        self.states = states

    async def list(self, **how: object) -> list[Any]:
        assert how == {"all": True, "external": True}
        return [SimpleNamespace(id=each, state=state) for each, state in self.states.items()]

    async def info(self) -> Any:
        self.asked += 1
        return SimpleNamespace(
            store=SimpleNamespace(graph_root=str(self.root), graph_driver_name="overlay")
        )

    def note(self, container: str, text: str) -> None:
        directory = self.root / "overlay-containers" / container / "userdata"
        directory.mkdir(parents=True)
        (directory / "buildah.json").write_text(text)


def asked_for(**options: str) -> str:
    return json.dumps({"type": "buildah 0.0.1", "CommonBuildOpts": options, "Devices": None})


async def test_the_cgroup_that_was_asked_for_tells_of_the_build(tmp_path: Path) -> None:
    parent = parent_of(RunCgroup(CgroupMounts((), tmp_path), NAME))
    podman = Builders(tmp_path, **dict.fromkeys(["mine", "others", "plain", "odd"], "storage"))
    podman.note("mine", asked_for(CgroupParent=parent))
    podman.note("others", asked_for(CgroupParent="/machine.slice"))
    podman.note("plain", asked_for(ShmSize="64m"))
    podman.note("odd", json.dumps({"CommonBuildOpts": None}))

    found = await working_containers(cast("Podman", podman))

    assert found == {"mine": NAME, "others": "", "plain": "", "odd": ""}


@pytest.mark.parametrize("text", ["", "{", '{"CommonBuildOpts": 3}', None])
async def test_what_cannot_be_read_is_not_known(tmp_path: Path, text: str | None) -> None:
    podman = Builders(tmp_path, one="storage")
    if text is not None:
        podman.note("one", text)
    assert await working_containers(cast("Podman", podman)) == {"one": None}


async def test_podman_is_not_asked_for_more_where_no_builder_is_at_work(tmp_path: Path) -> None:
    podman = Builders(tmp_path, cell="running")
    assert await working_containers(cast("Podman", podman)) == {}
    assert podman.asked == 0


@pytest.mark.parametrize("parent", ["", "/", "step", "/step", NAME, f"/{NAME}", f"/a/{NAME}/step"])
def test_no_other_parent_is_taken_for_that_of_a_build(parent: str) -> None:
    assert cgroup_of_parent(parent) == ""
