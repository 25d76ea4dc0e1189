"""The caches of cells: volumes that outlive a run, kept apart while they are used.

The scheduler keeps the cells of one run apart: who has to wait for a cache takes no slot. A lock on
a file keeps the runs of one user apart.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from barasync.aiopodman import Conflict, Mount, Podman, PodmanError, VolumeSummary
from barasync.engine.filelock import locked
from barasync.errors import EngineUnavailable
from barasync.matrix.caches import ARCH, IMAGE, PREFIX, CacheVolume, cache_volumes
from barasync.matrix.cells import Cell


def cache_mount(volume: CacheVolume) -> Mount:
    """Return how a cache comes into a container.

    `O` puts an overlay of the container's own on the volume; what the image has there is copied
    into an empty volume before (measured on 4.3.1 and 5.4.2).
    """
    options = ("O",) if volume.is_shared else ()
    return Mount(volume.volume, volume.cache.destination, options)


async def find_caches(podman: Podman) -> tuple[VolumeSummary, ...]:
    """List the caches of a service, whoever made them.

    By name: podman makes a volume that vanished anew for the container that wants it, unlabelled.

    Raises:
        PodmanError: the service does not answer, or refuses.
    """
    found = await podman.volumes.list()
    return tuple(each for each in found if each.name.startswith(PREFIX))


def describe(volume: VolumeSummary) -> str:
    """Return what is known of a cache: its architecture and image; empty where nothing is."""
    return ", ".join(filter(None, (volume.labels.get(ARCH), volume.labels.get(IMAGE))))


class Caches:
    """Gives cells their caches; `locks` is where the files are that keep runs apart.

    They keep apart the runs of one user on one host.
    """

    def __init__(self, podman: Podman, locks: Path) -> None:
        self._podman = podman
        self._locks = locks

    @asynccontextmanager
    async def held(
        self, cell: Cell, *, on_wait: Callable[[CacheVolume], None]
    ) -> AsyncIterator[None]:
        """Keep the caches of a cell for the block; they are made where they are missing.

        `on_wait` is called with a cache that another run uses, whose end is then awaited.

        Raises:
            EngineUnavailable: a lock could not be had, or a volume could not be made.
        """
        async with AsyncExitStack() as stack:
            # In one order everywhere, so that nobody waits for who waits for him.
            for volume in sorted(cache_volumes(cell), key=lambda each: each.volume):
                lock = locked(
                    self._locks / f"{volume.volume}.lock",
                    shared=volume.is_shared,
                    on_wait=partial(on_wait, volume),
                )
                try:
                    await stack.enter_async_context(lock)
                    await self._make(volume)
                except (OSError, PodmanError) as error:
                    raise EngineUnavailable(f"cache {volume.cache.name}: {error}") from error
            yield

    async def _make(self, volume: CacheVolume) -> None:
        try:
            await self._podman.volumes.create(volume.volume, labels=volume.labels)
        except Conflict:
            return  # it is there, as nearly always
