"""What runs left on a service and its host: found by label or name, judged, and removed.

A leftover is of a kind. All kinds are judged alike, by the process that made them, and removed in
an order in which nothing is in the way: what builds execute, then containers, then networks,
volumes and secrets, then layers, then cgroups.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum

import anyio
from anyio import to_thread

from barasync.aiopodman import (
    Conflict,
    NotFound,
    Podman,
    PodmanError,
    TransportError,
    remove_persistently,
)
from barasync.engine.build_processes import kill, split_build
from barasync.engine.build_records import working_containers
from barasync.engine.detached import is_detached
from barasync.engine.identity import CELL, RUN, Identity, Liveness, StartOf, of_maker, start_time
from barasync.engine.usage import CgroupMounts, RunCgroup, members, remove_tree
from barasync.images.ours import CONTAINERFILE, KIND_LABEL
from barasync.workspace.layer import layers

_AT_ONCE = 4
_MEMBERS_SECONDS = 5.0
_ID_DIGITS = 12
_PODMANS_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0)  # measured: it needs 0.05 s
_NO_LABELS: Mapping[str, str] = {}


class Kind(Enum):
    """What a run can leave; a build is what podman's builder executes for one."""

    CONTAINER = "container"
    NETWORK = "network"
    VOLUME = "volume"
    SECRET = "secret"  # noqa: S105 - the word for it
    LAYER = "layer"
    BUILD = "build"
    CGROUP = "cgroup"


# What a container that outlives its run needs of it; a layer that is in use cannot be removed.
_NEEDED = frozenset({Kind.CONTAINER, Kind.NETWORK, Kind.VOLUME, Kind.CGROUP})
# A network, a volume and a layer are in use while their containers are there, a cgroup as well; a
# build has containers of its own.
_ORDER = (
    frozenset({Kind.BUILD}),
    frozenset({Kind.CONTAINER}),
    frozenset({Kind.NETWORK, Kind.VOLUME, Kind.SECRET}),
    frozenset({Kind.LAYER}),
    frozenset({Kind.CGROUP}),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something that a run made, and what is known of its process.

    `key` is what podman or the host knows it by; `name` is for people, `detail` may say more.
    """

    kind: Kind
    key: str
    name: str
    run: str
    liveness: Liveness
    detail: str = ""


class Fate(Enum):
    """What became of a leftover that was to be removed."""

    REMOVED = "removed"
    IN_USE = "in use"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """What became of a leftover; `reason` says why it is there, or what else of it may be."""

    leftover: Leftover
    fate: Fate
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """Something that may be a run's, with labels that tell."""

    kind: Kind
    key: str
    name: str
    labels: Mapping[str, str]
    detail: str = ""
    detached: bool = False


async def leftovers(
    podman: Podman,
    identity: Identity,
    cgroups: CgroupMounts | None,
    *,
    kinds: Collection[Kind] = frozenset(Kind),
    on_unlisted: Callable[[Kind, PodmanError], None] | None = None,
    start_of: StartOf = start_time,
) -> tuple[Leftover, ...]:
    """List what is there of every run, live ones too, judged from this process.

    The order is that of `Kind`. `cgroups` is `None` where those of the service cannot be seen from
    here. What somebody made of a layer is nobody's, though it inherits the layer's labels. A
    container that is detached is no leftover, and neither is what of its run it needs.

    `on_unlisted` hears of each kind that podman refuses to list, wholly or in part; the others are
    returned. Without it that is an error.

    Raises:
        ExceptionGroup: of each `PodmanError`: the service does not answer, or refuses.
    """
    seen = set(kinds) if cgroups is not None else set(kinds) - {Kind.BUILD, Kind.CGROUP}
    listed, recorded = await _look(podman, seen, on_unlisted)

    def judged() -> tuple[Leftover, ...]:
        if cgroups is not None:
            for each in _cgroups(cgroups, identity, recorded):
                if each.kind in kinds:
                    listed.setdefault(each.kind, []).append(each)
        containers = listed.get(Kind.CONTAINER, ())
        going_on = {each.labels[RUN] for each in containers if each.detached}
        return tuple(
            Leftover(
                kind=each.kind,
                key=each.key,
                name=each.name,
                run=split_build(each.labels[RUN])[0],
                liveness=identity.judge(each.labels, start_of),
                detail=each.detail,
            )
            for kind in Kind
            for each in listed.get(kind, ())
            if each.labels.get(RUN)
            if kind not in _NEEDED or each.labels[RUN] not in going_on
        )

    return await to_thread.run_sync(judged)


async def without_others(cgroups: CgroupMounts | None, found: Sequence[Leftover]) -> list[Leftover]:
    """Leave out the cgroups that processes are in though no container of their run is in `found`.

    Those are of containers of another service, and `remove` would not remove such a cgroup.
    """
    here = {each.run for each in found if each.kind is Kind.CONTAINER}

    def is_ours(each: Leftover) -> bool:
        if each.kind is not Kind.CGROUP or each.run in here or cgroups is None:
            return True
        return not members(RunCgroup(cgroups, each.key).directories)

    return await to_thread.run_sync(lambda: [each for each in found if is_ours(each)])


async def remove(
    podman: Podman, cgroups: CgroupMounts | None, found: Iterable[Leftover]
) -> tuple[Removal, ...]:
    """Remove leftovers, a few at a time; return what became of each, in the order of removal.

    Containers are killed. What something else uses stays, which is no failure.
    """
    removals: dict[Leftover, Removal] = {}
    limiter = anyio.CapacityLimiter(_AT_ONCE)
    todo = tuple(found)

    async def remove_one(leftover: Leftover) -> None:
        async with limiter:
            removals[leftover] = await _removed(podman, cgroups, leftover)

    async def remove_all(those: Iterable[Leftover]) -> None:
        async with anyio.create_task_group() as group:
            for leftover in those:
                group.start_soon(remove_one, leftover)

    for kinds in _ORDER:
        await remove_all(leftover for leftover in todo if leftover.kind in kinds)
        if Kind.CONTAINER in kinds:
            await remove_all(await _still_there(podman, removals.values()))
    return tuple(
        removals[leftover] for kinds in _ORDER for leftover in todo if leftover.kind in kinds
    )


async def remove_cgroup(cgroup: RunCgroup) -> bool:
    """Remove the cgroup of a run, in every hierarchy; tell whether it is gone.

    What lives in it may be about to end, as processes of a container that was just removed: that
    is awaited, for `_MEMBERS_SECONDS` at most. A cgroup that is still in use then stays, for
    `barasync clean`.
    """
    with anyio.move_on_after(_MEMBERS_SECONDS):
        while pids := await to_thread.run_sync(members, cgroup.directories):
            for pid in pids:
                await _ended(pid)
    for directory in cgroup.directories:
        await to_thread.run_sync(remove_tree, directory)
    return not any([await anyio.Path(directory).exists() for directory in cgroup.directories])


# Listed


async def _look(
    podman: Podman,
    kinds: Collection[Kind],
    on_unlisted: Callable[[Kind, PodmanError], None] | None,
) -> tuple[dict[Kind, list[_Found]], set[str]]:
    """Return what podman lists of each kind, and the cgroups of builds that have containers."""
    listed: dict[Kind, list[_Found]] = {}
    recorded: set[str] = set()

    async def look(kind: Kind) -> None:
        try:
            if kind is Kind.BUILD:
                recorded.update(filter(None, (await working_containers(podman)).values()))
            else:
                listed[kind] = await _LISTED[kind](podman)
        except TransportError:
            raise
        except PodmanError as error:
            if on_unlisted is None:
                raise
            on_unlisted(kind, error)

    async with anyio.create_task_group() as group:
        for kind in set(kinds) - {Kind.CGROUP}:
            group.start_soon(look, kind)
    return listed, recorded


async def _containers(podman: Podman) -> list[_Found]:
    return [
        _Found(
            kind=Kind.CONTAINER,
            key=each.id,
            name=each.names[0] if each.names else each.id[:_ID_DIGITS],
            labels=each.labels,
            detail=", ".join(filter(None, (each.labels.get(CELL), each.state))),
            detached=is_detached(each.names, each.labels),
        )
        for each in await podman.containers.list(labels={RUN: None}, all=True)
    ]


async def _networks(podman: Podman) -> list[_Found]:
    return [
        _Found(kind=Kind.NETWORK, key=each.name, name=each.name, labels=each.labels)
        for each in await podman.networks.list(labels={RUN: None})
    ]


async def _volumes(podman: Podman) -> list[_Found]:
    return [
        _Found(kind=Kind.VOLUME, key=each.name, name=each.name, labels=each.labels)
        for each in await podman.volumes.list(labels={RUN: None})
    ]


async def _secrets(podman: Podman) -> list[_Found]:
    return [
        _Found(kind=Kind.SECRET, key=each.spec.name, name=each.spec.name, labels=each.spec.labels)
        for each in await podman.secrets.list(labels={RUN: None})
    ]


async def _layers(podman: Podman) -> list[_Found]:
    found = [
        _Found(
            kind=Kind.LAYER,
            key=each.id,
            name=each.repo_tags[0] if each.repo_tags else each.id[:_ID_DIGITS],
            labels=of_maker(each.labels),
        )
        for each in await layers(podman)
    ]
    return found + await _steps(podman)


async def _steps(podman: Podman) -> list[_Found]:
    """Return the images of steps of builds that nothing is made of and that no build has named."""
    found = await podman.images.list(all=True)
    parents = {image.parent_id for image in found}
    steps = []
    for image in found:
        if image.labels.get(KIND_LABEL) != CONTAINERFILE or image.repo_tags or image.id in parents:
            continue
        with suppress(NotFound):
            labels = of_maker((await podman.images.inspect(image.id)).annotations)
            name = image.id[:_ID_DIGITS]
            steps.append(_Found(kind=Kind.LAYER, key=image.id, name=name, labels=labels))
    return steps


_LISTED: Mapping[Kind, Callable[[Podman], Awaitable[list[_Found]]]] = {
    Kind.CONTAINER: _containers,
    Kind.NETWORK: _networks,
    Kind.VOLUME: _volumes,
    Kind.SECRET: _secrets,
    Kind.LAYER: _layers,
}


def _cgroups(mounts: CgroupMounts, identity: Identity, recorded: Collection[str]) -> list[_Found]:
    """Return the cgroups of runs; blocking, lists some directories.

    Of a build whose cgroup is gone containers may still tell: `recorded` are the names of theirs.
    """
    names = {path.name for root in mounts.roots for path in root.glob("barasync-*")}
    names.update(name for name in recorded if split_build(name)[1])
    return [
        _Found(
            kind=Kind.BUILD if build else Kind.CGROUP,
            key=name,
            name=build or name,
            labels=labels,
        )
        for name in sorted(names)
        for labels in (identity.of_cgroup(name) or _NO_LABELS,)
        for build in (split_build(labels.get(RUN, ""))[1],)
    ]


# Removed


async def _still_there(podman: Podman, removals: Iterable[Removal]) -> list[Leftover]:
    """Return the containers that podman has said to be removed, and lists.

    So it does of one whose namespace others have that are removed at the same time; by now those
    are gone (`removal-of-dependents-races`).
    """
    gone = [each.leftover for each in removals if each.fate is Fate.REMOVED]
    if not gone:
        return []
    try:
        listed = {each.key for each in await _containers(podman)}
    except PodmanError:
        return []
    return [each for each in gone if each.key in listed]


async def _removed(podman: Podman, cgroups: CgroupMounts | None, leftover: Leftover) -> Removal:
    if leftover.kind in {Kind.BUILD, Kind.CGROUP}:
        assert cgroups is not None, "a cgroup is listed below known mounts only"
        note = ""
        if leftover.kind is Kind.BUILD:
            note = await _end_build(podman, RunCgroup(cgroups, leftover.key))
        if await remove_cgroup(RunCgroup(cgroups, leftover.key)):
            return Removal(leftover=leftover, fate=Fate.REMOVED, reason=note)
        reason = "containers of another service are in it"
        return Removal(leftover=leftover, fate=Fate.IN_USE, reason=reason)
    try:
        await _remove_from_podman(podman, leftover)
    except Conflict as error:
        # A container is removed by force: whatever keeps it there is no user of it.
        fate = Fate.FAILED if leftover.kind is Kind.CONTAINER else Fate.IN_USE
        return Removal(leftover=leftover, fate=fate, reason=str(error))
    except PodmanError as error:
        return Removal(leftover=leftover, fate=Fate.FAILED, reason=str(error))
    return Removal(leftover=leftover, fate=Fate.REMOVED)


async def _end_build(podman: Podman, cgroup: RunCgroup) -> str:
    """Kill what a build executes, and remove its containers where podman does not.

    A service that still has the build takes it for failed, and removes all of them. Those of which
    it cannot be known whose they are stay, and are what is returned, in words.
    """
    try:
        seen = await working_containers(podman)
        named = await to_thread.run_sync(kill, cgroup)
        its = named.union(each for each, name in seen.items() if name == cgroup.name)
        for pause in _PODMANS_PAUSES if named else ():
            await anyio.sleep(pause)
            if its.isdisjoint(await working_containers(podman)):
                break
        for each in sorted(its.intersection(await working_containers(podman))):
            await podman.containers.handle(each).remove(force=True, missing_ok=True)
        left = (await working_containers(podman)).keys() & seen.keys()
    except PodmanError as error:
        return f"its containers are not known: {error}"
    unknown = sorted(each[:_ID_DIGITS] for each in left if seen[each] is None)
    if not unknown:
        return ""
    return (
        "of it or of other builders there are containers still;"
        f" `podman rm --force {' '.join(unknown)}`"
    )


async def _remove_from_podman(podman: Podman, leftover: Leftover) -> None:
    match leftover.kind:
        case Kind.CONTAINER:
            await remove_persistently(podman.containers.handle(leftover.key))
        case Kind.NETWORK:
            await podman.networks.remove(leftover.key, missing_ok=True)
        case Kind.VOLUME:
            await podman.volumes.remove(leftover.key, missing_ok=True)
        case Kind.SECRET:
            await podman.secrets.remove(leftover.key, missing_ok=True)
        case _:
            await podman.images.remove(leftover.key, missing_ok=True)


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
