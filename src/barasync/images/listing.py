"""The images of a service, listed once for all who look for some at about the same time."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import anyio

from barasync.aiopodman import ImageSummary, Podman

Found = TypeVar("Found")


class Listing:
    """What images a service had when somebody looked first; a list costs podman 1 ms an image.

    Whether an image is still there is for who uses it to see.
    """

    def __init__(self, podman: Podman) -> None:
        self._podman = podman
        self._images: list[ImageSummary] | None = None
        self._lock = anyio.Lock()

    async def images(self) -> Sequence[ImageSummary]:
        """Return the images with a name, as of when somebody asked first.

        Raises:
            PodmanError: podman does not answer, or refuses.
        """
        async with self._lock:
            if self._images is None:
                self._images = await self._podman.images.list()
            return self._images

    async def search(
        self, look: Callable[[Sequence[ImageSummary]], Awaitable[Found | None]]
    ) -> Found | None:
        """Return what `look` finds in the list; what it does not, it looks for in one of now.

        Raises:
            PodmanError: podman does not answer, or refuses.
        """
        before = self._images
        images = await self.images()
        found = await look(images)
        if found is not None or before is None:
            return found
        async with self._lock:
            if self._images is images:
                self._images = await self._podman.images.list()
        return await look(await self.images())
