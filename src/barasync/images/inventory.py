"""The images on a service that barasync made, with what a person wants to know of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from barasync.aiopodman import ImageSummary, NotFound, Podman
from barasync.images.fit import platforms_of
from barasync.images.ours import declared_names, kind_of
from barasync.images.snapshot import SNAPSHOT, is_snapshot
from barasync.matrix.platforms import Platform, canonical

LIST = "list"

# A list is an image of the size of its own text.
_LARGEST_LIST_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnImage:
    """An image that barasync made; `size` in bytes, `created` in seconds since the epoch.

    `size` includes what it shares with other images. `kind` is `image`, `bootstrap`, `step`,
    `workspace`, `snapshot`, `kept` (of a failed cell), `pulled`, the name of a program, or `list`:
    the images of several platforms under one name, whose size is that of the list alone.
    """

    id: str
    names: tuple[str, ...]
    kind: str
    platforms: tuple[Platform, ...]
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

    A manifest list is one of them when all that it holds of what is here are.

    Raises:
        PodmanError: the service does not answer, or refuses.
    """
    found = await podman.images.list()
    kinds = {image.id: kind for image in found if (kind := listed_kind(image))}
    platforms = await _platforms(podman, (image for image in found if image.id in kinds))
    for image in found:
        members = await _members(podman, image, found) if _may_be_list(image) else []
        if members and all(member.id in platforms for member in members):
            kinds[image.id] = LIST
            its = (platforms[member.id] for member in members)
            platforms[image.id] = tuple(platform for each in its for platform in each)
    images = [
        OwnImage(
            id=image.id,
            names=tuple(image.repo_tags),
            kind=kinds[image.id],
            platforms=platforms[image.id],
            size=image.size,
            created=image.created,
        )
        for image in found
        # One that is gone meanwhile is not there.
        if image.id in kinds and image.id in platforms
    ]
    return sorted(images, key=lambda image: (-image.created, image.names))


def _may_be_list(image: ImageSummary) -> bool:
    """Whether it is worth asking: podman's list of images says of none that it is a list."""
    is_bare = not image.labels and not image.parent_id
    return bool(image.repo_tags) and is_bare and image.size < _LARGEST_LIST_BYTES


async def _members(
    podman: Podman, image: ImageSummary, found: Iterable[ImageSummary]
) -> list[ImageSummary]:
    """Return the images of a manifest list that are here, none of what is no list."""
    try:
        entries = await podman.manifests.entries(image.repo_tags[0])
    except NotFound:
        return []
    digests = {entry.digest for entry in entries}
    return [each for each in found if each.digests & digests]


async def _platforms(
    podman: Podman, images: Iterable[ImageSummary]
) -> dict[str, tuple[Platform, ...]]:
    """Return the platform of each image: before podman 5 a list does not tell."""
    wanted = list(images)
    listed = {
        each.id: canonical(Platform(each.architecture)) for each in wanted if each.architecture
    }
    asked = await platforms_of(podman, (each.id for each in wanted if each.id not in listed))
    return {each: (platform,) for each, platform in (listed | asked).items()}
