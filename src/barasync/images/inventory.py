"""The images on a service that barasync made, with what a person wants to know of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import anyio

from barasync.aiopodman import ImageSummary, NotFound, Podman
from barasync.images.ours import declared_names, kind_of
from barasync.images.snapshot import SNAPSHOT, is_snapshot
from barasync.matrix.platforms import Platform, canonical

_AT_ONCE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnImage:
    """An image that barasync made; `size` in bytes, `created` in seconds since the epoch.

    `size` includes what it shares with other images. `kind` is `image`, `bootstrap`, `step`,
    `workspace`, `snapshot`, `pulled`, or the name of a program.
    """

    id: str
    names: tuple[str, ...]
    kind: str
    platform: Platform
    size: int
    created: int


def listed_kind(image: ImageSummary) -> str:
    """Return what kind of an image of barasync's it is, empty for any other.

    A step that is a declared image as well is an `image`.
    """
    if is_snapshot(image):
        return SNAPSHOT
    kind = kind_of(image)
    return "image" if kind == "step" and declared_names(image) else kind


async def own_images(podman: Podman) -> list[OwnImage]:
    """Return the images on a service that barasync made, the newest first.

    Raises:
        PodmanError: the service does not answer, or refuses.
    """
    found = [(image, kind) for image in await podman.images.list() if (kind := listed_kind(image))]
    platforms = await _platforms(podman, (image for image, _ in found))
    images = [
        OwnImage(
            id=image.id,
            names=tuple(image.repo_tags),
            kind=kind,
            platform=platforms[image.id],
            size=image.size,
            created=image.created,
        )
        for image, kind in found
        # One that is gone meanwhile is not there.
        if image.id in platforms
    ]
    return sorted(images, key=lambda image: (-image.created, image.names))


async def _platforms(podman: Podman, images: Iterable[ImageSummary]) -> dict[str, Platform]:
    """Look at the images for their platforms: before podman 5 a list does not tell."""
    platforms: dict[str, Platform] = {}
    limiter = anyio.CapacityLimiter(_AT_ONCE)

    async def look(image: str) -> None:
        async with limiter:
            try:
                found = await podman.images.inspect(image)
            except NotFound:
                return
        platforms[image] = canonical(Platform(found.architecture, found.variant, found.os))

    async with anyio.create_task_group() as group:
        for image in images:
            if image.architecture:
                platforms[image.id] = canonical(Platform(image.architecture))
            else:
                group.start_soon(look, image.id)
    return platforms
