"""The images on a service, above all those that barasync made, as a person wants to know them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from barasync.aiopodman import ImageSummary, ManifestEntry, NotFound, Podman
from barasync.images.fit import entry_platform, platforms_of
from barasync.images.ours import declared_names, kind_of
from barasync.images.snapshot import SNAPSHOT, is_snapshot
from barasync.matrix.platforms import Platform, canonical

LIST = "list"
OTHERS = "others"
"""The kind of what barasync did not make, a manifest list included."""

# A list is an image of the size of its own text.
_LARGEST_LIST_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnImage:
    """An image that barasync made, or another; `size` in bytes, `created` in seconds of the epoch.

    `size` includes what it shares with other images. `kind` is `image`, `bootstrap`, `step`,
    `workspace`, `snapshot`, `kept` (of a failed cell), `pulled`, the name of a program, or `list`:
    the images of several platforms under one name, whose size is that of the list alone. Of one
    that barasync did not make it is `others`; `is_list` tells whether that is a list.
    """

    id: str
    names: tuple[str, ...]
    kind: str
    platforms: tuple[Platform, ...]
    size: int
    created: int
    is_list: bool = False


def listed_kind(image: ImageSummary) -> str:
    """Return what kind of an image of barasync's it is, empty for any other.

    A step that is a declared image as well is an `image`.
    """
    if is_snapshot(image):
        return SNAPSHOT
    kind = kind_of(image)
    return "image" if kind == "step" and declared_names(image) else kind


async def own_images(podman: Podman, *, everything: bool = False) -> list[OwnImage]:
    """Return the images on a service that barasync made, the newest first.

    A manifest list is one of them when all that it holds of what is here are. With `everything`
    those of others come along, with what they have of the same.

    Raises:
        PodmanError: the service does not answer, or refuses.
    """
    found = await podman.images.list()
    kinds = {image.id: kind for image in found if (kind := listed_kind(image))}
    lists = {
        image.id: entries
        for image in found
        if _may_be_list(image, nameless=everything)
        and (entries := await _entries(podman, image)) is not None
    }
    wanted = (image for image in found if everything or image.id in kinds)
    platforms = await _platforms(podman, (image for image in wanted if image.id not in lists))
    own = frozenset(kinds)
    for list_, entries in lists.items():
        digests = {entry.digest for entry in entries}
        members = [each.id for each in found if each.digests & digests]
        if members and own.issuperset(members):
            kinds[list_] = LIST
            its = (platforms.get(member, ()) for member in members)
            platforms[list_] = tuple(platform for each in its for platform in each)
        else:
            platforms[list_] = tuple(canonical(entry_platform(entry)) for entry in entries)
    images = [
        OwnImage(
            id=image.id,
            names=tuple(image.repo_tags),
            kind=kinds.get(image.id, OTHERS),
            platforms=platforms[image.id],
            size=image.size,
            created=image.created,
            is_list=image.id in lists,
        )
        for image in found
        # One that is gone meanwhile is not there.
        if image.id in platforms and (everything or image.id in kinds)
    ]
    return sorted(images, key=lambda image: (-image.created, image.names))


def _may_be_list(image: ImageSummary, *, nameless: bool) -> bool:
    """Whether it is worth asking: podman's list of images says of none that it is a list."""
    is_bare = not image.labels and not image.parent_id
    return (nameless or bool(image.repo_tags)) and is_bare and image.size < _LARGEST_LIST_BYTES


async def _entries(podman: Podman, image: ImageSummary) -> Sequence[ManifestEntry] | None:
    """Return what a manifest list holds, `None` for what is no list."""
    try:
        return await podman.manifests.entries(image.repo_tags[0] if image.repo_tags else image.id)
    except NotFound:
        return None


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
