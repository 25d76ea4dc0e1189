"""The caches of cells: volumes that outlive a run, kept apart while they are used.

The scheduler keeps the cells of one run apart: who has to wait for a cache takes no slot. A lock on
a file keeps runs apart, and no two runs that lock different files have a volume in common: its name
has a digest of what the lock depends on, which is the user, the machine and the directory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from anyio import to_thread

from barasync.aiopodman import Conflict, Mount, Podman, PodmanError, VolumeSummary
from barasync.engine.filelock import locked
from barasync.engine.identity import machine_word
from barasync.errors import EngineUnavailable
from barasync.matrix.caches import ARCH, IMAGE, PREFIX, USER, CellCache, caches_of
from barasync.matrix.cells import Cell

_OWNER_DIGITS = 8


async def find_caches(podman: Podman) -> tuple[VolumeSummary, ...]:
    """List the caches of a service, whoever made them.

    By name: podman makes a volume that vanished anew for the container that wants it, unlabelled.

    Raises:
        PodmanError: the service does not answer, or refuses.
    """
    found = await podman.volumes.list()
    return tuple(each for each in found if each.name.startswith(PREFIX))


def describe(volume: VolumeSummary) -> str:
    """Return what is known of a cache: its architecture, image and user; empty where nothing is."""
    user = volume.labels.get(USER)
    known = (volume.labels.get(ARCH), volume.labels.get(IMAGE), user and f"user {user}")
    return ", ".join(filter(None, known))


class Caches:
    """Gives cells their caches; `locks` is where the files are that keep runs apart."""

    def __init__(self, podman: Podman, locks: Path) -> None:
        self._podman = podman
        self._locks = locks

    @asynccontextmanager
    async def held(
        self, cell: Cell, *, on_wait: Callable[[CellCache], None]
    ) -> AsyncIterator[tuple[Mount, ...]]:
        """Keep the caches of a cell for the block, and give how they come into its container.

        They are made where they are missing. `on_wait` is called with a cache that another run
        uses, whose end is then awaited.

        Raises:
            EngineUnavailable: a lock could not be had, or a volume could not be made.
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
                    on_wait=partial(on_wait, cache),
                )
                try:
                    await stack.enter_async_context(lock)
                    await self._make(volume, cache)
                except OSError as error:
                    raise EngineUnavailable(
                        f"cache {cache.cache.name}: no lock: {error}",
                        hint=f"make {self._locks} writable for user {os.getuid()}, or name "
                        "another place for caches with XDG_CACHE_HOME",
                    ) from error
                except PodmanError as error:
                    raise EngineUnavailable(f"cache {cache.cache.name}: {error}") from error
            yield tuple(_mount(cache, owner) for cache in caches)

    async def _make(self, volume: str, cache: CellCache) -> None:
        labels = {**cache.labels, USER: str(os.getuid())}
        try:
            await self._podman.volumes.create(volume, labels=labels)
        except Conflict:
            return  # it is there, as nearly always


def _mount(cache: CellCache, owner: str) -> Mount:
    """Return how a cache comes into a container.

    `O` puts an overlay of the container's own on the volume; what the image has there is copied
    into an empty volume before (measured on 4.3.1 and 5.4.2).
    """
    options = ("O",) if cache.is_shared else ()
    return Mount(cache.volume(owner), cache.cache.destination, options)


def _owner(locks: Path) -> str:
    """Return a word for those that have the same locks in this directory."""
    who = f"{machine_word()}\0{os.getuid()}\0{locks}"
    return hashlib.sha256(os.fsencode(who)).hexdigest()[:_OWNER_DIGITS]
