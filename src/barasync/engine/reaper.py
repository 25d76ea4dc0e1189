"""What dead runs left on a service, found by label and removed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import anyio
from anyio import to_thread

from barasync.aiopodman import Podman, PodmanError
from barasync.engine.identity import CELL, RUN, Identity, Liveness, run_of_cgroup, start_time
from barasync.engine.usage import CgroupMounts, RunCgroup, members, remove_tree

_AT_ONCE = 4
_MONITOR_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """A container of a run, and what is known of the process that made it."""

    container: str
    run: str
    cell: str
    state: str
    liveness: Liveness


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What became of a leftover; `problem` is podman's reason where it is still there."""

    leftover: Leftover
    problem: str | None = None


async def leftovers(
    podman: Podman,
    identity: Identity,
    *,
    start_of: Callable[[int], int | None] = start_time,
) -> tuple[Leftover, ...]:
    """List the containers of every run on this service, judged from this process.

    A container that somebody made from a workspace layer has the label too, without a value.
    """
    found = await podman.containers.list(labels={RUN: None}, all=True)

    def judged() -> tuple[Leftover, ...]:
        return tuple(
            Leftover(
                container=summary.id,
                run=_label(summary.labels, RUN),
                cell=_label(summary.labels, CELL),
                state=summary.state,
                liveness=identity.judge(summary.labels or {}, start_of),
            )
            for summary in found
            if _label(summary.labels, RUN)
        )

    return await to_thread.run_sync(judged)


async def remove(podman: Podman, found: tuple[Leftover, ...]) -> tuple[Removal, ...]:
    """Kill and remove containers, a few at a time; return what became of each, in order."""
    removals: dict[str, Removal] = {}
    limiter = anyio.CapacityLimiter(_AT_ONCE)

    async def remove_one(leftover: Leftover) -> None:
        problem: str | None = None
        async with limiter:
            try:
                await podman.containers.handle(leftover.container).remove(
                    force=True, timeout=0, volumes=True, missing_ok=True
                )
            except PodmanError as error:
                problem = str(error)
        removals[leftover.container] = Removal(leftover=leftover, problem=problem)

    async with anyio.create_task_group() as group:
        for leftover in found:
            group.start_soon(remove_one, leftover)
    return tuple(removals[leftover.container] for leftover in found)


async def remove_run(podman: Podman, run: str) -> None:
    """Kill and remove whatever container carries the label of `run`.

    Raises:
        PodmanError: the service does not answer, or refuses.
    """
    for summary in await podman.containers.list(labels={RUN: run}, all=True):
        await podman.containers.handle(summary.id).remove(
            force=True, timeout=0, volumes=True, missing_ok=True
        )


async def remove_cgroup(cgroup: RunCgroup) -> bool:
    """Remove the cgroup of a run, in every hierarchy; tell whether it is gone.

    The monitors of the last containers (conmon, and podman's cleanup that it starts) live in it
    for a moment longer than their containers: their end is awaited, for `_MONITOR_SECONDS` at most.
    A cgroup that is still in use then stays, for `barasync clean`.
    """
    with anyio.move_on_after(_MONITOR_SECONDS):
        while pids := await to_thread.run_sync(members, cgroup.directories):
            for pid in pids:
                await _ended(pid)
    for directory in cgroup.directories:
        await to_thread.run_sync(remove_tree, directory)
    return not any([await anyio.Path(directory).exists() for directory in cgroup.directories])


def dead_cgroups(
    mounts: CgroupMounts, *, start_of: Callable[[int], int | None] = start_time
) -> tuple[RunCgroup, ...]:
    """Return the cgroups of runs whose process is dead; blocking, lists some directories."""
    names = {path.name for root in mounts.roots for path in root.glob("barasync-*")}
    found = []
    for name in sorted(names):
        run = run_of_cgroup(name, start_of)
        if run is not None and run[1] is Liveness.DEAD:
            found.append(RunCgroup(mounts, name))
    return tuple(found)


async def _ended(pid: int) -> None:
    """Wait until a process that need not be our child has ended. Source: pidfd_open(2)."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        await anyio.wait_readable(descriptor)
    finally:
        os.close(descriptor)


def _label(labels: Mapping[str, str] | None, name: str) -> str:
    return (labels or {}).get(name, "")
