"""The caches of cells: volumes that outlive a run, kept apart while they are used.

The scheduler keeps the cells of one run apart: who has to wait for a cache takes no slot. A lock on
a file keeps runs apart, and no two runs that lock different files have a volume in common: its name
has a digest of what the lock depends on, which is the user, the machine and the directory. A lock
ends with its process, and a container does not: those that other runs have on the volume are looked
for as well.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import anyio
from anyio import to_thread

from barasync.aiopodman import (
    ContainerSpec,
    ContainerSummary,
    Mount,
    NotFound,
    OCIRuntimeError,
    Podman,
    PodmanError,
    Rlimit,
    ServerError,
    VolumeSummary,
    remove_shielded,
    temporary,
)
from barasync.config.caches import CacheMode
from barasync.engine.detached import is_detached
from barasync.engine.filelock import locked, locked_at_once
from barasync.engine.identity import CACHES, RUN, Liveness, machine_word
from barasync.engine.not_begun import ImageGone
from barasync.errors import ConfigError, EngineUnavailable
from barasync.matrix.caches import ARCH, IMAGE, PREFIX, USER, CellCache, caches_of
from barasync.matrix.cells import Cell
from barasync.workspace.live import mount_hint

_OWNER_DIGITS = 8
_LOOK_SECONDS = 1.0
_DISCARD_SECONDS = 20.0
_ENDED = frozenset({"exited", "stopped"})
# Puts an overlay of the container's own on a volume.
_OVERLAY = "O"

Judge = Callable[[Mapping[str, str]], Liveness]
"""Tells by the labels of a container whether the process of its run lives."""


def users_label(caches: Iterable[Mount]) -> dict[str, str]:
    """Return the label of a container with these caches, none where there are none."""
    uses = ",".join(_use(each.source, shared=_OVERLAY in each.options) for each in caches)
    return {CACHES: uses} if uses else {}


async def find_caches(podman: Podman) -> tuple[VolumeSummary, ...]:
    """List the caches of a service, whoever made them.

    By name: podman makes a volume that vanished anew for the container that wants it, unlabelled.

    Raises:
        PodmanError: the service does not answer, or refuses.
    """
    found = await podman.volumes.list()
    return tuple(each for each in found if each.name.startswith(PREFIX))


@asynccontextmanager
async def unused(volume: str, locks: Path) -> AsyncIterator[bool]:
    """Tell whether no run has a cache by a lock in `locks`, and let none have it in the block.

    Where it has no lock there, as that of another user, nothing is known of it but its containers.

    Raises:
        OSError: its lock could not be had.
    """
    owner = await to_thread.run_sync(_owner, locks)
    if not volume.endswith(f"-{owner}"):
        yield True
        return
    async with locked_at_once(locks / f"{volume}.lock") as is_free:
        yield is_free


def describe(volume: VolumeSummary) -> str:
    """Return what is known of a cache: its architecture, image and user; empty where nothing is."""
    user = volume.labels.get(USER)
    known = (volume.labels.get(ARCH), volume.labels.get(IMAGE), user and f"user {user}")
    return ", ".join(filter(None, known))


class Caches:
    """Gives the cells of a run their caches; `locks` has the files that keep runs apart."""

    def __init__(
        self,
        podman: Podman,
        locks: Path,
        *,
        labels: Mapping[str, str],
        judge: Judge,
        rlimits: tuple[Rlimit, ...] = (),
    ) -> None:
        self._podman = podman
        self._locks = locks
        self._labels = labels
        self._judge = judge
        self._rlimits = rlimits
        self._making = anyio.Lock()

    @asynccontextmanager
    async def held(
        self, cell: Cell, image: str, *, tell: Callable[[str], None]
    ) -> AsyncIterator[tuple[Mount, ...]]:
        """Keep the caches of a cell for the block, and give how they come into its container.

        They are made where they are missing, of what the `image` of that ID has there. `tell` hears
        of a cache that another run uses, whose end is then awaited, and of containers of dead runs,
        which are removed from it.

        Raises:
            ConfigError: a lock could not be had.
            EngineUnavailable: a volume could not be made, or a container of a dead run could not be
                removed.
            ImageGone: there is no image of that ID any more to fill a new volume from.
        """
        caches = caches_of(cell)
        if not caches:
            yield ()
            return
        owner = await to_thread.run_sync(_owner, self._locks)
        async with AsyncExitStack() as stack:
            # In one order everywhere, so that nobody waits for who waits for him.
            for cache in sorted(caches, key=lambda each: each.key):
                volume = cache.volume(owner)
                lock = locked(
                    self._locks / f"{volume}.lock",
                    shared=cache.is_shared,
                    on_wait=partial(
                        tell, f"waits for the cache {cache.cache.name}: another run uses it"
                    ),
                )
                try:
                    await stack.enter_async_context(lock)
                    await self._make(volume, cache, image, tell)
                    await self._clear(volume, cache, tell, alone=not cache.is_shared)
                except (PodmanError, TimeoutError) as error:
                    raise EngineUnavailable(f"cache {cache.cache.name}: {error}") from error
                except OSError as error:
                    raise ConfigError(
                        f"cache {cache.cache.name}: no lock in {self._locks}: {error.strerror}",
                        hint=f"make {self._locks} writable for user {os.getuid()}, or name "
                        "another place for caches with XDG_CACHE_HOME",
                    ) from error
            yield tuple(_mount(cache, owner) for cache in caches)

    async def _make(
        self, volume: str, cache: CellCache, image: str, tell: Callable[[str], None]
    ) -> None:
        labels = {**cache.labels, USER: str(os.getuid())}
        async with AsyncExitStack() as stack:
            if cache.is_shared:
                # Nobody else is to have it before it is whole.
                await stack.enter_async_context(self._making)
                path = self._locks / f"{volume}.new.lock"
                await stack.enter_async_context(locked(path, shared=False, on_wait=_say_nothing))
            # It is there until a volume is filled: what was killed or refused then is seen by it.
            unfinished = anyio.Path(self._locks / f"{volume}.unfinished")
            if await unfinished.exists():
                await self._clear(volume, cache, tell, alone=True)
                await self._podman.volumes.remove(volume, missing_ok=True)
                await unfinished.unlink(missing_ok=True)
            # It is there when nothing has filled a volume but the containers that had it, if any.
            ungiven = anyio.Path(self._locks / f"{volume}.ungiven")
            if await self._podman.volumes.exists(volume):
                if cache.is_shared and await ungiven.exists():
                    await self._give_to_user(volume, cache, image)
                    await ungiven.unlink(missing_ok=True)
                return
            if not cache.is_shared:
                await ungiven.touch()
                await self._podman.volumes.create(volume, labels=labels)
                return
            await unfinished.touch()
            try:
                await self._podman.volumes.create(volume, labels=labels)
                await self._give_to_user(volume, cache, image)
            except BaseException:
                with anyio.move_on_after(_DISCARD_SECONDS, shield=True), suppress(PodmanError):
                    await self._podman.volumes.remove(volume, missing_ok=True)
                raise
            # Not to be cancelled: what is whole would be taken for what is not.
            with anyio.CancelScope(shield=True):
                await unfinished.unlink(missing_ok=True)

    async def _give_to_user(self, volume: str, cache: CellCache, image: str) -> None:
        """Have podman fill a new volume, and give it to the user of the image.

        One that has had a container stays as it is.
        It does so for the first container that has it, but too late for one that has an overlay of
        it: there the root of the volume is still root's (measured on 4.3.1 and 5.4.2). So one that
        never runs has it before.
        """
        spec = ContainerSpec(
            image=image,
            entrypoint=("true",),
            # Who has to fill the volume anew finds by it what a killed run left of this.
            labels={**self._labels, CACHES: _use(volume, shared=True)},
            mounts=(Mount(volume, cache.cache.destination),),
            rlimits=self._rlimits,
        )
        async with AsyncExitStack() as stack:
            filling = temporary(self._podman.containers, spec)
            try:
                container = await stack.enter_async_context(filling)
            except NotFound as error:
                raise ImageGone(str(error)) from error
            try:
                await container.init()
            except OCIRuntimeError:
                pass  # an image without that command has its volume by then
            except ServerError as error:
                # What cannot be mounted there is refused to the cell in its own words.
                if mount_hint(str(error)) is None:
                    raise

    async def _clear(
        self, volume: str, cache: CellCache, tell: Callable[[str], None], *, alone: bool
    ) -> None:
        """Return once no container of another run is in the way; those of dead runs are removed.

        For who wants to be `alone` with the volume each is in the way.
        """
        told: set[str] = set()
        while others := await self._others(volume, alone=alone):
            waits = False
            for container, liveness in others:
                name = container.names[0] if container.names else container.id
                if liveness is Liveness.DEAD:
                    tell(f"gets the cache {cache.cache.name}: removing {name}, left by a dead run")
                    await self._remove(container, name, cache)
                    continue
                waits = True
                if name not in told:
                    ending = _ending(container)
                    tell(f"waits for the cache {cache.cache.name}: {name} uses it; {ending}")
                told.add(name)
            if waits:
                await anyio.sleep(_LOOK_SECONDS)

    async def _others(
        self, volume: str, *, alone: bool
    ) -> Sequence[tuple[ContainerSummary, Liveness]]:
        """Return the containers of other runs, not ended, beside which the cache cannot be used.

        One that is detached lives, whatever became of its run.
        """
        in_the_way = {_use(volume, shared=False)}
        if alone:
            in_the_way.add(_use(volume, shared=True))
        found = [
            each
            for each in await self._podman.containers.list(labels={CACHES: None}, all=True)
            if each.labels.get(RUN) != self._labels[RUN] and each.state not in _ENDED
            if not in_the_way.isdisjoint(each.labels.get(CACHES, "").split(","))
        ]

        def judged() -> Sequence[tuple[ContainerSummary, Liveness]]:
            return [
                (each, Liveness.ALIVE if _goes_on(each) else self._judge(each.labels))
                for each in found
            ]

        return await to_thread.run_sync(judged) if found else ()

    async def _remove(self, container: ContainerSummary, name: str, cache: CellCache) -> None:
        if not await remove_shielded(self._podman.containers.handle(container.id)):
            raise EngineUnavailable(
                f"cache {cache.cache.name}: a dead run left {name} in it, which podman does not"
                " remove",
                hint=f"`podman rm --force {name}`, or `barasync clean`",
            )


def _goes_on(container: ContainerSummary) -> bool:
    return is_detached(container.names, container.labels)


def _ending(container: ContainerSummary) -> str:
    """Return what can be done about a container that uses a cache."""
    if _goes_on(container):
        return "it is detached, and `barasync container remove` ends it"
    return "if no run has it any more, `barasync clean --all` removes it"


def _say_nothing() -> None:
    """It does not take long."""


def _use(volume: str, *, shared: bool) -> str:
    """Return how a label says that a container has a cache; a volume's name has no colon."""
    return f"{volume}:{CacheMode.COW if shared else CacheMode.LOCK}"


def _mount(cache: CellCache, owner: str) -> Mount:
    """Return how a cache comes into a container.

    What the image has there is copied into an empty volume before, under an overlay as well
    (measured on 4.3.1 and 5.4.2).
    """
    options = (_OVERLAY,) if cache.is_shared else ()
    return Mount(cache.volume(owner), cache.cache.destination, options)


def _owner(locks: Path) -> str:
    """Return a word for those that have the same locks in this directory."""
    who = f"{machine_word()}\0{os.getuid()}\0{locks}"
    return hashlib.sha256(os.fsencode(who)).hexdigest()[:_OWNER_DIGITS]
