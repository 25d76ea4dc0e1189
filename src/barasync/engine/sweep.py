"""The end of a run: what its attempts could not know of is removed, and what stays is named."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import anyio

from barasync.aiopodman import Podman, PodmanError, remove_persistently
from barasync.engine.detached import is_detached
from barasync.engine.identity import CELL, RUN
from barasync.engine.reaper import Kind, remove_cgroup
from barasync.engine.usage import RunCgroup

_SECONDS = 30.0
_VOLUME_SECONDS = 10.0
_AT_ONCE = 4
_ID_DIGITS = 12
_NAMED = 8


_REMOVE = {Kind.CONTAINER: "podman rm --force", Kind.VOLUME: "podman volume rm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A container or a volume of a run that podman did not remove.

    `id` is podman's, of a volume its name; `cell` is what the label says, if any; `reason` is what
    podman said, if it is of use to a person.
    """

    id: str
    cell: str | None
    kind: Kind = Kind.CONTAINER
    reason: str = ""

    @property
    def name(self) -> str:
        """What podman takes for it, as short as that can be."""
        return self.id[:_ID_DIGITS] if self.kind is Kind.CONTAINER else self.id

    @property
    def step(self) -> str:
        """What to do about it."""
        return f"`{_REMOVE[self.kind]} {self.name}`, or later `barasync clean`"

    def __str__(self) -> str:
        return self.name if self.cell is None else f"{self.name} ({self.cell})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Remains:
    """What a run has left; `cgroup` is the name of one that is still in use.

    `untried` are volumes that podman was not asked to remove: the time was over before.
    `unknown` says why containers and volumes could not be looked for, `None` where they were.
    `detached` are the names of containers that are to go on: they, the volumes and the cgroup of
    the run were left alone, and so are to be its networks.
    """

    containers: tuple[Left, ...] = ()
    volumes: tuple[Left, ...] = ()
    untried: tuple[Left, ...] = ()
    cgroup: str | None = None
    unknown: str | None = None
    detached: tuple[str, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether no container and no volume is left for certain."""
        left = (*self.containers, *self.volumes, *self.untried)
        return not left and self.unknown is None

    @property
    def problems(self) -> tuple[str, ...]:
        """What is left and what to do about it, in sentences for a person."""
        problems: list[str] = []
        problems += [_stuck(left) for left in (self.containers, self.volumes) if left]
        if self.untried:
            problems.append(
                f"podman was too slow to be asked to remove volume {_names(self.untried)};"
                f" {_command(self.untried)}, or later `barasync clean`"
            )
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
    """Remove whatever container and volume carries the label of `run`, then the run's cgroup.

    A container whose creation was never confirmed, say, or a volume that something else used when
    its attempt ended. What podman does not remove holds up nothing else. Goes on when cancelled,
    for `_SECONDS`, then `_VOLUME_SECONDS` for volumes, and as long as `remove_cgroup` takes.
    A container that is detached stays, with all that it may use.
    """
    detached: tuple[str, ...] = ()
    containers: dict[str, Left] = {}
    volumes: dict[str, Left] = {}
    untried: dict[str, Left] = {}
    unknown: str | None = f"podman did not list its containers and volumes within {_SECONDS:g} s"
    with anyio.CancelScope(shield=True):
        with anyio.move_on_after(_SECONDS):
            try:
                listed, detached = await _containers(podman, run)
                containers.update(listed)
                if not detached:
                    volumes.update(await _volumes(podman, run))
            except PodmanError as error:
                unknown = str(error)
            else:
                unknown = None
            found = dict(containers)
            await _remove_containers(podman, containers, dict(found))
            if len(containers) < len(found):
                unsure = await _remove_again(podman, run, containers)
                unknown = unknown or unsure
        untried.update(volumes)
        with anyio.move_on_after(_VOLUME_SECONDS):
            await _remove(volumes, partial(podman.volumes.remove, missing_ok=True), untried)
        gone = cgroup is None or bool(detached) or await remove_cgroup(cgroup)
    return Remains(
        containers=tuple(containers.values()),
        volumes=tuple(left for key, left in volumes.items() if key not in untried),
        untried=tuple(untried.values()),
        cgroup=None if gone or cgroup is None else cgroup.name,
        unknown=unknown,
        detached=detached,
    )


async def _remove_containers(
    podman: Podman, left: dict[str, Left], untried: dict[str, Left]
) -> None:
    await _remove(left, lambda key: remove_persistently(podman.containers.handle(key)), untried)


async def _remove_again(podman: Podman, run: str, left: dict[str, Left]) -> str | None:
    """Remove what podman has said to be removed, and lists; say why that is not known.

    So it does of a container whose namespace others have that are removed at the same time; by now
    those are gone (`removal-of-dependents-races`).
    """
    try:
        listed, _ = await _containers(podman, run)
    except PodmanError as error:
        return str(error)
    again = {key: each for key, each in listed.items() if key not in left}
    left.update(again)
    await _remove_containers(podman, left, again)
    return None


async def _containers(podman: Podman, run: str) -> tuple[Mapping[str, Left], tuple[str, ...]]:
    """Return the containers that are to go, by ID, and the names of those that are to go on."""
    found = await podman.containers.list(labels={RUN: run}, all=True)
    detached = {each.id: each.names[0] for each in found if is_detached(each.names, each.labels)}
    left = {
        each.id: Left(id=each.id, cell=each.labels.get(CELL))
        for each in found
        if each.id not in detached
    }
    return left, tuple(detached.values())


async def _volumes(podman: Podman, run: str) -> Mapping[str, Left]:
    found = await podman.volumes.list(labels={RUN: run})
    return {
        each.name: Left(kind=Kind.VOLUME, id=each.name, cell=each.labels.get(CELL))
        for each in found
    }


async def _remove(
    left: dict[str, Left], remove: Callable[[str], Awaitable[None]], untried: dict[str, Left]
) -> None:
    """Remove the `untried`, a few at a time, and take those that are gone out of `left`.

    What is asked for is taken out of `untried`.
    """
    limiter = anyio.CapacityLimiter(_AT_ONCE)

    async def remove_one(key: str) -> None:
        async with limiter:
            del untried[key]
            try:
                await remove(key)
            except PodmanError as error:
                left[key] = replace(left[key], reason=str(error))
            else:
                del left[key]

    async with anyio.create_task_group() as group:
        for key in tuple(untried):
            group.start_soon(remove_one, key)


def _stuck(left: Sequence[Left]) -> str:
    """Say what is left of one kind."""
    kind = left[0].kind
    if len(left) == 1:
        return f"{kind.value} {left[0]} could not be removed{_why(left[0])}; {left[0].step}"
    return (
        f"{len(left)} {kind.value}s could not be removed: {_names(left)}{_why(left[0])};"
        f" {_command(left)}, or later `barasync clean`"
    )


def _names(left: Sequence[Left]) -> str:
    more = f" and {len(left) - _NAMED} more" if len(left) > _NAMED else ""
    return ", ".join(map(str, left[:_NAMED])) + more


def _command(left: Sequence[Left]) -> str:
    """Return how those that are named are removed, all of one kind."""
    return f"`{_REMOVE[left[0].kind]} {' '.join(each.name for each in left[:_NAMED])}`"


def _why(left: Left) -> str:
    """Give what podman said of a volume: who uses it, and is to be ended first."""
    return f": {left.reason}" if left.reason and left.kind is Kind.VOLUME else ""
