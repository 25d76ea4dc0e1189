"""What a build executes is killed before podman is given up, and podman is heard to the end."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from anyio import to_thread
from anyio.abc import Process

from barasync.engine.build_processes import build_in, heard_out, kill, split_build
from barasync.engine.usage import CgroupMounts, RunCgroup

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def executing(root: Path) -> AsyncIterator[tuple[Process, RunCgroup]]:
    """Have a process in what looks like the cgroup of a build."""
    cgroup = RunCgroup(CgroupMounts((), root), "barasync-1+app.2.3.4")
    below = root / cgroup.name / "step"
    below.mkdir(parents=True)
    async with await anyio.open_process(["sleep", "600"]) as process:
        (below / "cgroup.procs").write_text(f"{process.pid}\n")
        try:
            yield process, cgroup
        finally:
            if process.returncode is None:
                process.kill()


def test_the_cgroup_of_a_build_names_its_run() -> None:
    assert split_build(build_in("20260101-1", "app-amd64")) == ("20260101-1", "app-amd64")
    assert split_build("20260101-1") == ("20260101-1", "")


async def test_what_is_killed_may_be_in_no_container(tmp_path: Path) -> None:
    async with executing(tmp_path) as (process, cgroup):
        assert await to_thread.run_sync(kill, cgroup) == frozenset()
        assert await process.wait() == -signal.SIGKILL
        assert await to_thread.run_sync(kill, cgroup) == frozenset(), "what is dead is no error"


async def test_a_cancelled_request_is_heard_out_while_its_processes_are_killed(
    tmp_path: Path,
) -> None:
    heard = []

    async with executing(tmp_path) as (process, cgroup), anyio.create_task_group() as group:

        async def request() -> None:
            group.cancel_scope.cancel()
            heard.append(await process.wait())

        await heard_out(request, cgroup, seconds=60)

    assert heard == [-signal.SIGKILL]


@pytest.mark.parametrize("seconds", [0, 0.2])
async def test_a_request_that_does_not_end_is_given_up(tmp_path: Path, seconds: float) -> None:
    cgroup = RunCgroup(CgroupMounts((), tmp_path), "barasync-1+app.2.3.4")
    given_up = []

    async def request() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            given_up.append(True)

    with anyio.move_on_after(0.05) as scope:
        await heard_out(request, cgroup, seconds=seconds)

    assert scope.cancelled_caught
    assert given_up == [True]


async def test_what_a_request_returns_and_raises_is_passed_on(tmp_path: Path) -> None:
    cgroup = RunCgroup(CgroupMounts((), tmp_path), "barasync-1+app.2.3.4")

    async def answer() -> str:
        return "an image"

    async def refuse() -> str:
        raise ValueError("no image")

    assert await heard_out(answer, cgroup, seconds=0) == "an image"
    with pytest.raises(ValueError, match="no image"):
        await heard_out(refuse, cgroup, seconds=0)
