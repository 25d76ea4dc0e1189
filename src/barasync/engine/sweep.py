"""The end of a run: what its attempts could not know of is removed, and what stays is named."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import anyio

from barasync.aiopodman import ContainerSummary, Podman, PodmanError, remove_persistently
from barasync.engine.identity import CELL, RUN
from barasync.engine.reaper import remove_cgroup
from barasync.engine.usage import RunCgroup

_SECONDS = 30.0
_AT_ONCE = 4
_ID_DIGITS = 12
_NAMED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A container of a run that podman did not remove; `cell` is what its label says, if any."""

    id: str
    cell: str | None

    def __str__(self) -> str:
        short = self.id[:_ID_DIGITS]
        return short if self.cell is None else f"{short} ({self.cell})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What a run has left; `cgroup` is the name of one that is still in use.

    `unknown` says why its containers could not be looked for, `None` where they were.
    """

    containers: tuple[Left, ...] = ()
    cgroup: str | None = None
    unknown: str | None = None

    @property
    def proven(self) -> bool:
        """Whether no container is left for certain."""
        return not self.containers and self.unknown is None

    @property
    def problems(self) -> tuple[str, ...]:
        """What is left and what to do about it, in sentences for a person."""
        problems: list[str] = []
        if self.containers:
            problems.append(_stuck(self.containers))
        if self.unknown is not None:
            problems.append(
                f"what the run left on the service is not known: {self.unknown};"
                " `barasync clean` removes it"
            )
        if self.cgroup is not None:
            problems.append(
                f"the cgroup {self.cgroup} is still in use;"
                " `barasync clean` removes it once its processes have ended"
            )
        return tuple(problems)


async def sweep(podman: Podman, run: str, cgroup: RunCgroup | None) -> Remains:
    """Remove whatever container carries the label of `run`, then the run's cgroup.

    A container whose creation was never confirmed, say. One that podman does not remove holds up
    no other. Goes on when cancelled, for `_SECONDS` and as long as `remove_cgroup` takes.
    """
    left: dict[str, ContainerSummary] = {}
    unknown: str | None = f"podman did not list its containers within {_SECONDS:g} s"
    with anyio.CancelScope(shield=True):
        with anyio.move_on_after(_SECONDS):
            try:
                found = await podman.containers.list(labels={RUN: run}, all=True)
            except PodmanError as error:
                unknown = str(error)
            else:
                unknown = None
                left.update((each.id, each) for each in found)
                await _remove(podman, left)
        gone = cgroup is None or await remove_cgroup(cgroup)
    return Remains(
        containers=tuple(Left(id=each.id, cell=each.labels.get(CELL)) for each in left.values()),
        cgroup=None if gone or cgroup is None else cgroup.name,
        unknown=unknown,
    )


async def _remove(podman: Podman, left: dict[str, ContainerSummary]) -> None:
    """Remove containers, a few at a time, and take those that are gone out of `left`."""
    limiter = anyio.CapacityLimiter(_AT_ONCE)

    async def remove_one(container: str) -> None:
        async with limiter:
            with suppress(PodmanError):
                await remove_persistently(podman.containers.handle(container))
                del left[container]

    async with anyio.create_task_group() as group:
        for container in tuple(left):
            group.start_soon(remove_one, container)


def _stuck(containers: Sequence[Left]) -> str:
    named = containers[:_NAMED]
    names = ", ".join(map(str, named))
    command = f"`podman rm --force {' '.join(each.id[:_ID_DIGITS] for each in named)}`"
    if len(containers) == 1:
        return f"container {names} could not be removed; {command}, or later `barasync clean`"
    if len(containers) > _NAMED:
        names += f" and {len(containers) - _NAMED} more"
    return (
        f"{len(containers)} containers could not be removed: {names};"
        f" {command}, or later `barasync clean`"
    )
