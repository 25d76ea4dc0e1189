"""Which images this user's processes use now, and when each was last used.

Podman knows of containers only, and a run or a build has found its images before it has any. So
each process holds a lock, shared, for what it uses, which ends with it, however that ends; and
touches an empty file, whose time says when that was. Another user's processes are not seen so,
but told by their containers.
"""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from anyio import to_thread

from barasync.engine.filelock import locked, locked_at_once

_IMAGE_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class UseFiles:
    """Where uses are noted, and where the locks are: the same for all processes of a user.

    An image's lock, by its ID, keeps it from being removed; that of a process, by its run's ID,
    says that all that it uses is held.
    """

    uses: Path
    locks: Path

    @property
    def images(self) -> Path:
        """Return the file with the locks of images."""
        return self.locks / "images.lock"

    @property
    def processes(self) -> Path:
        """Return the file with the locks of processes."""
        return self.locks / "processes.lock"


class Uses:
    """The images that one run or build has found; what is held is not removed.

    `problems` are sentences on what could not be noted or held.
    """

    def __init__(self, files: UseFiles, stack: AsyncExitStack, clock: Callable[[], float]) -> None:
        self._files = files
        self._stack = stack
        self._clock = clock
        self._held: set[str] = set()
        self.problems: tuple[str, ...] = ()

    async def hold(self, *images: str) -> None:
        """Note that images are used, by their IDs, and keep them until this process lets go.

        Waits while one of them is being removed: whoever uses it next finds it gone.
        """
        found = frozenset(filter(_IMAGE_ID.fullmatch, images))
        try:
            for image in found - self._held:
                lock = locked(self._files.images, key=image, shared=True, on_wait=_nothing)
                await self._stack.enter_async_context(lock)
                self._held.add(image)
            await to_thread.run_sync(note_uses, self._files.uses, found, self._clock())
        except OSError as error:
            self.problems = (f"which images are used could not be noted: {error}",)


@asynccontextmanager
async def using(files: UseFiles, run: str, *, clock: Callable[[], float]) -> AsyncIterator[Uses]:
    """Give a run or a build what it holds its images with, until the end of the block.

    `run` is the ID in its containers' labels. Where there can be no locks there are none: then an
    image that nobody used for long may go while it is looked at, and is made again.
    """
    async with AsyncExitStack() as stack:
        uses = Uses(files, stack, clock)
        lock = locked(files.processes, key=run, shared=True, on_wait=_nothing)
        try:
            await stack.enter_async_context(lock)
        except OSError as error:
            uses.problems = (f"which images are used could not be noted: {error}",)
        yield uses


@asynccontextmanager
async def unused(files: UseFiles, images: Collection[str]) -> AsyncIterator[bool]:
    """Tell whether no process of this user holds one of some images; let none do so in the block.

    Where there can be no locks nobody holds anything.
    """
    async with AsyncExitStack() as stack:
        are_free = True
        for image in frozenset(images):
            lock = locked_at_once(files.images, key=image)
            with suppress(OSError):
                are_free = are_free and await stack.enter_async_context(lock)
        yield are_free


async def is_held_by(files: UseFiles, run: str) -> bool:
    """Tell whether a run or a build lives here that holds all it uses."""
    try:
        async with locked_at_once(files.processes, key=run) as is_free:
            return not is_free
    except OSError:
        return False


def note_uses(directory: Path, images: Collection[str], now: float) -> None:
    """Note that images, given by their IDs, were used at `now`, in seconds since the epoch.

    Blocking. What is no ID is passed over: a service says what it likes.

    Raises:
        OSError: it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for image in filter(_IMAGE_ID.fullmatch, images):
        path = directory / image
        path.touch()
        os.utime(path, (now, now))


def last_uses(directory: Path, images: Iterable[str]) -> Mapping[str, float]:
    """Return when images were last used, where that is known. Blocking."""
    found = {}
    for image in filter(_IMAGE_ID.fullmatch, images):
        try:
            found[image] = (directory / image).stat().st_mtime
        except OSError:
            continue  # nobody has noted it, or nobody could
    return found


def forget_uses(directory: Path, before: float) -> None:
    """Forget the uses before a time: the images are outdated by then, on whatever service.

    Blocking.

    Raises:
        OSError: something cannot be removed.
    """
    for path in directory.iterdir():
        with suppress(FileNotFoundError):  # another run has just forgotten it
            if path.stat().st_mtime < before:
                path.unlink()


def _nothing() -> None:
    """Wait without a word: who removes an image is done with it in a moment."""
