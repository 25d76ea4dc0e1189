"""One name for the images of several platforms: a manifest list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import anyio

from barasync.aiopodman import (
    ImageSummary,
    ManifestEntry,
    Member,
    NotFound,
    Podman,
    Reference,
    parse_reference,
)
from barasync.images.drafts import drafted
from barasync.images.failures import ImageGone, explained
from barasync.images.fit import entry_platform
from barasync.matrix.platforms import Platform, canonical


async def publish(podman: Podman, name: str, images: Mapping[Platform, str]) -> str:
    """Make `name` a manifest list of `images`, IDs by platform; return the list's ID.

    A list of that name that holds the same is left alone. Otherwise the new one is put together
    under a name of its own (`localhost/barasync/list:…`), and the name passes to it in one step:
    whoever asks for it meanwhile finds the old list or image, or the new list whole, but for what
    podman 4 may answer at that moment (`quirks.LIST_IS_MISSED_WHILE_REPLACED`). An old list that
    has no other name is removed; an old image stays, without that name.

    When cancelled, the name has passed or not, and nothing unnamed is left.

    Raises:
        InvalidReference: `name` is none.
        ImageGone: one of the images is not there any more.
        ImageError: podman refuses.
        EngineUnavailable: podman does not answer.

    Source: measured on podman 4.3.1 and 5.4.2, where a tag takes its name from whatever had it.
    """
    wanted = _tagged(parse_reference(name))
    full = str(wanted)
    members = [
        Member(
            image=image,
            architecture=platform.architecture,
            variant=platform.variant,
            os=platform.os,
        )
        for platform, image in sorted(images.items())
    ]
    where = f"naming the images for {len(members)} platforms {name}"
    with explained(where):
        listed = await podman.images.list()
        old = _owner(listed, full)
        if old is not None and hold(await entries_of(podman, old.id), images, listed):
            return old.id
        for member in members:
            if not await podman.images.exists(member.image):
                raise ImageGone(where, member.image)
        async with drafted(podman) as draft:
            for member in members:
                await podman.manifests.add(draft.id, member)
            old = _owner(await podman.images.list(), full)
            await podman.images.tag(draft.id, wanted.name, wanted.tag)
        if old is not None and old.repo_tags == [full]:
            with anyio.CancelScope(shield=True):
                await podman.manifests.remove(old.id, missing_ok=True)
    return draft.id


async def entries_of(podman: Podman, name: str) -> Sequence[ManifestEntry]:
    """Return what is in the manifest list of a name; nothing where an image has it, or nobody.

    Raises:
        PodmanError: podman does not tell.
    """
    try:
        return await podman.manifests.entries(name)
    except NotFound:
        return ()


def platforms_in(entries: Iterable[ManifestEntry]) -> frozenset[Platform]:
    """Return the platforms of a manifest list."""
    return frozenset(canonical(entry_platform(entry)) for entry in entries)


def hold(
    entries: Sequence[ManifestEntry],
    images: Mapping[Platform, str],
    listed: Iterable[ImageSummary],
) -> bool:
    """Tell whether a list has these images, IDs by platform, and no other.

    `listed` are images of the service, by which their digests are known.
    """
    digests = {image.id: image.digests for image in listed}
    platforms = {entry.digest: entry.platform for entry in entries}
    if len(entries) != len(images):
        return False
    for platform, image in images.items():
        known = digests.get(image, frozenset())
        its = next((platforms[digest] for digest in known if digest in platforms), None)
        if its is None or (its.os, its.architecture) != (platform.os, platform.architecture):
            return False
        if platform.variant and its.variant != platform.variant:
            return False
    return True


def _tagged(reference: Reference) -> Reference:
    """Return a name as podman lists it."""
    return replace(
        reference, registry=reference.registry or "localhost", tag=reference.tag or "latest"
    )


def _owner(images: Sequence[ImageSummary], name: str) -> ImageSummary | None:
    """Return what has a name, an image or a list."""
    return next((image for image in images if name in image.repo_tags), None)
