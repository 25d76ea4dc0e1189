"""The caches of cells, and the volumes they are: one for each name, architecture and image."""

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
USER = "barasync.cache.user"

_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCache:
    """A cell's cache; `key` is the same for cells that have the same content in it."""

    key: str
    cache: Cache
    arch: str
    image: str

    @property
    def is_shared(self) -> bool:
        """Whether others may use it at the same time."""
        return self.cache.mode is CacheMode.COW

    @property
    def labels(self) -> dict[str, str]:
        """What tells a person what it is."""
        return {NAME: self.cache.name, ARCH: self.arch, IMAGE: self.image}

    def volume(self, owner: str) -> str:
        """Return the name of its volume; each owner has another one, that nobody else locks."""
        return f"{PREFIX}{self.key}-{owner}"


def caches_of(cell: Cell) -> tuple[CellCache, ...]:
    """Return the caches of a cell.

    The image counts as it is written, not by its ID: a cache is not lost with every new image.
    """
    image = cell.settings.image
    digest = hashlib.sha256(f"{cell.platform}\0{image}".encode()).hexdigest()[:_DIGITS]
    return tuple(
        CellCache(
            key=f"{cache.name}-{cell.arch}-{digest}",
            cache=cache,
            arch=cell.arch,
            image=image,
        )
        for cache in map(parse_cache, cell.settings.caches)
    )
