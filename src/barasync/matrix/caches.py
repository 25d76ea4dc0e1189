"""The volumes of cells' caches: one for each name, architecture and image."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from barasync.config.caches import Cache, CacheMode, parse_cache
from barasync.matrix.cells import Cell

PREFIX = "barasync-cache-"
"""What the names of these volumes begin with."""

NAME = "barasync.cache.name"
ARCH = "barasync.cache.arch"
IMAGE = "barasync.cache.image"

_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheVolume:
    """The volume of a cell's cache, named by the cache, the architecture and the image."""

    volume: str
    cache: Cache
    arch: str
    image: str

    @property
    def is_shared(self) -> bool:
        """Whether others may use it at the same time."""
        return self.cache.mode is CacheMode.COW

    @property
    def labels(self) -> dict[str, str]:
        """What tells a person whose it is."""
        return {NAME: self.cache.name, ARCH: self.arch, IMAGE: self.image}


def cache_volumes(cell: Cell) -> tuple[CacheVolume, ...]:
    """Return the volumes of a cell's caches.

    The image counts as it is written, not by its ID: a cache is not lost with every new image.
    """
    image = cell.settings.image
    digest = hashlib.sha256(f"{cell.platform}\0{image}".encode()).hexdigest()[:_DIGITS]
    return tuple(
        CacheVolume(
            volume=f"{PREFIX}{cache.name}-{cell.arch}-{digest}",
            cache=cache,
            arch=cell.arch,
            image=image,
        )
        for cache in map(parse_cache, cell.settings.caches)
    )
