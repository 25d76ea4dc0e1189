"""The platform that an image is for, and whether that is the one needed."""

from __future__ import annotations

from collections.abc import Iterable

import anyio

from barasync.aiopodman import ImageInspect, ManifestEntry, NotFound, Podman
from barasync.images.failures import WrongPlatform
from barasync.matrix.platforms import Platform, canonical

_AT_ONCE = 4


def fits(image: Platform, platform: Platform) -> bool:
    """Tell whether an image for the platform `image` serves a cell of `platform`.

    An empty variant fits every variant of the architecture: podman does not report an image's.
    """
    if (image.os, image.architecture) != (platform.os, platform.architecture):
        return False
    return not image.variant or canonical(image) == canonical(platform)


def platform_of(image: ImageInspect) -> Platform:
    """Return the platform that an image says it is for; podman does not report its variant."""
    return Platform(image.architecture, image.variant, image.os or "linux")


async def platforms_of(podman: Podman, images: Iterable[str]) -> dict[str, Platform]:
    """Look at images, a few at a time, for their platforms; those that are gone have none.

    Raises:
        PodmanError: the service does not answer, or refuses.
    """
    platforms: dict[str, Platform] = {}
    limiter = anyio.CapacityLimiter(_AT_ONCE)

    async def look(image: str) -> None:
        async with limiter:
            try:
                found = await podman.images.inspect(image)
            except NotFound:
                return
        platforms[image] = canonical(platform_of(found))

    async with anyio.create_task_group() as group:
        for image in images:
            group.start_soon(look, image)
    return platforms


def entry_platform(entry: ManifestEntry) -> Platform:
    """Return the platform that an entry of a manifest list is for."""
    its = entry.platform
    return Platform(its.architecture, its.variant, its.os or "linux")


def wrong_platform(
    reference: str, platforms: Iterable[Platform], needed: Platform, hint: str | None = None
) -> WrongPlatform:
    """Return the error of an image that is there for `platforms`, and not for the one needed."""
    return WrongPlatform(
        f"{reference} is an image for {', '.join(map(str, platforms))}, not for {needed}",
        hint=hint
        or "build it for that platform under a name of its own, or declare it under [images], "
        "where it is made for every platform",
    )
