"""Whether an image is for a platform."""

from __future__ import annotations

from collections.abc import Iterable

from barasync.aiopodman import ImageInspect, ManifestEntry
from barasync.images.failures import WrongPlatform
from barasync.matrix.platforms import Platform, canonical


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
