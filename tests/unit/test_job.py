"""What podman is asked to create for a cell."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from barasync.aiopodman import Attachment, Container, ContainerSpec, Podman
from barasync.artifacts.place import Place
from barasync.config.policies import PRESETS
from barasync.config.schema import WorkspaceMode
from barasync.engine.detached import Detachment, detached_name
from barasync.engine.dialogue import Dialogue
from barasync.engine.feeding import OpenStdin
from barasync.engine.job import Job, Session, container_spec
from barasync.engine.networks import CellNetwork
from tests.unit.world import cell


def spec_of(
    *,
    stdin: OpenStdin | None = None,
    detachment: Detachment | None = None,
    dialogue: Dialogue | None = None,
    network: str | None = None,
    **settings: object,
) -> ContainerSpec:
    """Return what is created for a cell, which is on the network of this name under a policy."""
    policy = None if network is None else PRESETS["private"]
    job = Job(
        cell=replace(cell("a", **{"workspace": WorkspaceMode.NONE, **settings}), policy=policy),
        number=1,
        image="image",
        command=("tests",),
        environment={},
        artifacts=Place(-1, Path("/nonexistent")),
        network=CellNetwork(name=network),
    )
    session = Session(
        podman=cast("Podman", None),
        run="run1",
        labels={},
        project=Path("/nonexistent"),
        cgroup=None,
        rlimits=(),
        clock=time.monotonic,
        stdin=stdin,
        detachment=detachment,
        dialogue=dialogue,
    )
    return container_spec(job, session)


def test_the_capabilities_of_a_cell_are_added_to_podmans() -> None:
    assert spec_of().cap_add == ()
    assert spec_of(cap_add=("SYSLOG", "ALL")).cap_add == ("SYSLOG", "ALL")


@pytest.mark.parametrize("workspace", list(WorkspaceMode))
def test_a_cell_starts_in_its_workdir_whatever_its_workspace_is(workspace: WorkspaceMode) -> None:
    assert spec_of(workspace=workspace, workdir="/srv").work_dir == "/srv"


def test_without_a_workdir_a_cell_starts_in_its_workspace_or_where_the_image_says() -> None:
    assert spec_of(workspace=WorkspaceMode.LAYER).work_dir == "/workspace"
    assert spec_of(workspace=WorkspaceMode.NONE).work_dir is None


@pytest.mark.parametrize("reads", [True, False])
def test_a_command_has_a_stdin_only_where_somebody_gives_it_one(*, reads: bool) -> None:
    async def nothing() -> AsyncGenerator[bytes]:
        return
        yield b""

    assert spec_of(stdin=nothing if reads else None).stdin is reads


def test_what_is_left_to_itself_is_found_by_its_later_name_from_the_start() -> None:
    async def unheard(_attachment: Attachment, _container: Container) -> bool:
        raise AssertionError

    later = {"net": ("a", detached_name("barasync-run1-a-1"))}

    assert spec_of(network="net").networks == {"net": ("a",)}
    assert spec_of(network="net", detachment=Detachment()).networks == later
    talked = Dialogue(converse=unheard, terminal=True)
    assert spec_of(network="net", dialogue=talked).networks == later
