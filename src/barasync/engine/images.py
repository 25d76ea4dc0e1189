"""The images of cells, by name and platform: found or made, each once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from msgspec import UnsetType

from barasync.aiopodman import Podman
from barasync.config.schema import ImageTable
from barasync.engine.once import Once
from barasync.errors import ImageError
from barasync.images.bootstrap import bootstrap
from barasync.images.resolve import resolve
from barasync.matrix.platforms import Platform

ImageKey = tuple[str, Platform]
"""A declared name or a reference, and the platform that the image is to be for."""


class ImageSource(Protocol):
    """Where a run has its images from; a `Once` is one."""

    async def get(self, key: ImageKey) -> str:
        """Return the ID of an image, made now if need be.

        Raises:
            BarasyncError: there is none, and none can be made.
        """

    def forget(self, key: ImageKey, value: str) -> None:
        """Look for the image anew the next time: the one of the ID `value` is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How images are made; `on_progress` hears a line for a person, with the image's key.

    `cache_dir` is where bootstrapped root file systems stay. `hold` keeps an image from being
    pruned while this run or build lives.
    """

    podman: Podman
    cache_dir: Path
    hold: Callable[[str], Awaitable[None]]
    on_progress: Callable[[str, Platform, str], None]


class Images:
    """The declared images of a project, and all that have a reference; an `ImageSource`.

    Whoever asks for what is being made waits for it.
    """

    def __init__(self, declared: Mapping[str, ImageTable], making: Making) -> None:
        self._declared = declared
        self._making = making
        self._made: Once[ImageKey, str] = Once(lambda key: self._hold(*key))

    async def get(self, key: ImageKey) -> str:
        """Return the ID of the image, for the platform of the key.

        Raises:
            WrongPlatform: there is such an image, for other platforms only.
            ImageError: there is none, and it cannot be made or pulled.
            ConfigError: the declared image's table cannot be meant.
            EngineUnavailable: podman does not answer.
        """
        return await self._made.get(key)

    def forget(self, key: ImageKey, value: str) -> None:
        """Find or make the image anew for the next who asks, unless that has been done."""
        self._made.forget(key, value)

    async def _hold(self, name: str, platform: Platform) -> str:
        image = await self._make(name, platform)
        await self._making.hold(image)
        return image

    async def _make(self, name: str, platform: Platform) -> str:
        making = self._making
        table = self._declared.get(name)
        tell = partial(making.on_progress, name, platform)
        if table is None:
            found = await resolve(making.podman, name, platform, self._declared, on_progress=tell)
            return found.id
        if isinstance(table.bootstrap, UnsetType):
            raise ImageError(f"image '{name}' has no bootstrap to be made from")
        return await bootstrap(
            making.podman,
            name=name,
            spec=table.bootstrap,
            platform=platform,
            cache_dir=making.cache_dir,
            on_progress=tell,
        )
