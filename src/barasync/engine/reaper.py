"""What dead runs left on a service, found by label and removed."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import anyio
from anyio import to_thread

from barasync.aiopodman import Podman, PodmanError
from barasync.engine.identity import CELL, RUN, Identity, Liveness, start_time
from barasync.engine.usage import CgroupMounts, members, remove_tree

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
    """List the containers of every run on this service, judged from this process."""
    found = await podman.containers.list(labels={RUN: None}, all=True)
    return tuple(
        Leftover(
            container=summary.id,
            run=_label(summary.labels, RUN),
            cell=_label(summary.labels, CELL),
            state=summary.state,
            liveness=identity.judge(summary.labels or {}, start_of),
        )
        for summary in found
    )


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


async def remove_run_cgroup(mounts: CgroupMounts, run: str) -> None:
    """Remove the cgroup that held the cells of `run`, in every hierarchy.

    The monitors of the last containers (conmon, and podman's cleanup that it starts) live in it
    for a moment longer than their containers: their end is awaited, for `_MONITOR_SECONDS` at most.
    A cgroup that is still in use then stays, for `barasync clean`.
    """
    directories = [root / f"barasync-{run}" for root in mounts.roots]
    with anyio.move_on_after(_MONITOR_SECONDS):
        while pids := await to_thread.run_sync(members, directories):
            for pid in pids:
                await _ended(pid)
    for directory in directories:
        await to_thread.run_sync(remove_tree, directory)


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
