"""From the name of an image to the ID of the image for a platform.

Podman takes a local image of another architecture for a container without a word; containers are
therefore created by ID, and every ID has gone through here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from hashlib import sha256

from barasync.aiopodman import (
    ImageInspect,
    ImageSummary,
    InvalidReference,
    NotFound,
    Podman,
    Reference,
    is_image_id,
    parse_reference,
)
from barasync.config.spelling import did_you_mean
from barasync.errors import ImageError
from barasync.images.failures import explained
from barasync.matrix.platforms import Platform, canonical, short_name

_LOCAL = "localhost"
_PULLED = f"{_LOCAL}/barasync/pulled"
_DIGITS = 12


class WrongPlatform(ImageError):
    """The image exists, but it is for another platform than the cell's."""


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """An image that is known to be for `platform`; `reference` is the name it was asked for by."""

    id: str
    reference: str
    platform: Platform


@dataclass(frozen=True, slots=True)
class _Local:
    """What goes by a name on the service: the image for the platform, and all the platforms."""

    image_id: str | None
    platforms: tuple[Platform, ...] = ()


async def resolve(
    podman: Podman,
    reference: str,
    platform: Platform,
    declared: Collection[str],
    *,
    on_progress: Callable[[str], None],
) -> ResolvedImage:
    """Find the image that `reference` names, for `platform`.

    It is looked for among the service's images: under that name, as a member of the manifest list
    of that name, and as what was pulled for this platform before. At last it is pulled, unless it
    is on `localhost` or an ID, and then named `localhost/barasync/pulled:…`, as well as by its own
    name if no image for another platform has that. `declared` are the names of images that the
    project declares: one of them may have been meant. `on_progress` is called with lines for a
    person. Works for several platforms at the same time.

    Raises:
        WrongPlatform: There is such an image, for other platforms only.
        ImageError: There is none, and it cannot be pulled; podman's reason is given.
        EngineUnavailable: Podman does not answer.
    """
    parsed = _parse(reference, declared)
    with explained(f"looking for image {reference}"):
        local = await _local(podman, reference, parsed, platform)
    if local.image_id is not None:
        return ResolvedImage(local.image_id, reference, platform)
    if parsed is None or parsed.registry == _LOCAL:
        if local.platforms:
            raise _wrong(reference, local.platforms, platform)
        raise ImageError(
            f"there is no image {reference} on this podman service",
            hint=_suggestion(reference, declared),
        )
    try:
        image_id = await _pull(podman, reference, platform, on_progress)
    except WrongPlatform:
        raise
    except ImageError as error:
        if local.platforms:
            raise _wrong(reference, local.platforms, platform, hint=str(error)) from error
        error.hint = _suggestion(reference, declared)
        raise
    return ResolvedImage(image_id, reference, platform)


def fits(image: Platform, platform: Platform) -> bool:
    """Tell whether an image for the platform `image` serves a cell of `platform`.

    An empty variant fits every variant of the architecture: podman does not report an image's.
    """
    if (image.os, image.architecture) != (platform.os, platform.architecture):
        return False
    return not image.variant or canonical(image) == canonical(platform)


async def _local(
    podman: Podman, reference: str, parsed: Reference | None, platform: Platform
) -> _Local:
    """Look for the image among those of the service."""
    here = await _inspect(podman, reference)
    if here is not None and fits(_platform_of(here), platform):
        return _Local(here.id)
    if parsed is not None:
        kept = await _inspect(podman, _kept_name(reference, platform))
        if kept is not None and fits(_platform_of(kept), platform):
            return _Local(kept.id)
        name = _full_name(parsed)
        images = await podman.images.list()
        listed = next((image for image in images if name in image.repo_tags), None)
        # What inspect gives for a manifest list is one of its images, not the list.
        if listed is not None and (here is None or here.id != listed.id):
            return await _member(podman, name, platform, images)
    return _Local(None, () if here is None else (_platform_of(here),))


async def _member(
    podman: Podman, name: str, platform: Platform, images: Iterable[ImageSummary]
) -> _Local:
    """Look for the platform in a manifest list, and for its image among `images`."""
    ids = {image.digest: image.id for image in images}
    platforms = []
    for entry in await podman.manifests.entries(name):
        its = Platform(
            entry.platform.architecture, entry.platform.variant, entry.platform.os or "linux"
        )
        image_id = ids.get(entry.digest)
        if image_id is not None and fits(its, platform):
            return _Local(image_id)
        platforms.append(its)
    return _Local(None, tuple(platforms))


async def _pull(
    podman: Podman, reference: str, platform: Platform, on_progress: Callable[[str], None]
) -> str:
    """Fetch the image for the platform, and name it so that it is found again; return its ID.

    An image that had the name before, for another platform, gets it back: it is the user's.
    """
    on_progress(f"pulling {reference} for {platform}")
    with explained(f"image {reference} for {platform} is not here and cannot be pulled"):
        before = await _names(podman)
        image_id = await podman.images.pull(
            reference,
            os=platform.os,
            architecture=platform.architecture,
            variant=platform.variant,
            # What is here under this name is for another platform, and would do for `missing`.
            policy="always",
            on_progress=on_progress,
        )
        after = await _names(podman)
        for owner, names in before.items():
            for name in names - after.get(owner, names):
                taken = parse_reference(name)
                await podman.images.tag(owner, taken.name, taken.tag)
        pulled = _platform_of(await podman.images.inspect(image_id))
        if not fits(pulled, platform):
            raise _wrong(reference, (pulled,), platform)
        repository, _, tag = _kept_name(reference, platform).rpartition(":")
        await podman.images.tag(image_id, repository, tag)
    return image_id


async def _names(podman: Podman) -> dict[str, frozenset[str]]:
    """Return the names of all images by their IDs."""
    return {image.id: frozenset(image.repo_tags) for image in await podman.images.list()}


async def _inspect(podman: Podman, reference: str) -> ImageInspect | None:
    try:
        return await podman.images.inspect(reference)
    except NotFound:
        return None


def _full_name(reference: Reference) -> str:
    """Return the name under which podman lists an image that was made here."""
    registry = "" if reference.registry else f"{_LOCAL}/"
    return f"{registry}{reference.name}:{reference.tag or 'latest'}"


def _kept_name(reference: str, platform: Platform) -> str:
    """Return the name under which a pulled image is kept for one platform."""
    digits = sha256(reference.encode()).hexdigest()[:_DIGITS]
    return f"{_PULLED}:{short_name(platform)}-{digits}"


def _parse(reference: str, declared: Collection[str]) -> Reference | None:
    """Take a reference apart; `None` for an image ID."""
    if is_image_id(reference):
        return None
    try:
        return parse_reference(reference)
    except InvalidReference as error:
        raise ImageError(
            f"no image is declared under that name, and as a reference it is invalid: {error}",
            hint=_suggestion(reference, declared),
        ) from error


def _platform_of(image: ImageInspect) -> Platform:
    return Platform(image.architecture, image.variant, image.os or "linux")


def _wrong(
    reference: str, platforms: Iterable[Platform], needed: Platform, hint: str | None = None
) -> WrongPlatform:
    return WrongPlatform(
        f"{reference} is an image for {', '.join(map(str, platforms))}, the cell needs {needed}",
        hint=hint
        or "build it for that platform under a name of its own, or declare it under [images], "
        "where it is made for every platform",
    )


def _suggestion(reference: str, declared: Collection[str]) -> str | None:
    """Return what may have been meant, from the names of the declared images."""
    if not declared:
        return None
    names = ", ".join(sorted(declared))
    return f"declared under [images]: {names}{did_you_mean(reference, declared)}"
