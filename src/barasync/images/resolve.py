"""From the name of an image to the ID of the image for a platform.

Podman takes a local image of another architecture for a container without a word; containers are
therefore created by ID, and every ID has gone through here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
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
from barasync.images.failures import WrongPlatform, explained
from barasync.images.freshness import Freshness
from barasync.images.registry import Registries, pull
from barasync.matrix.platforms import Platform, canonical, short_name

_LOCAL = "localhost"
_PULLED = f"{_LOCAL}/barasync/pulled"
_DIGITS = 12


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """An image that is known to be for `platform`; `reference` is the name it was asked for by.

    `digests` are its full names in its registry, `host/name@sha256:…`, as podman knows them: that
    of the image and that of the manifest list that it was taken from. Empty for one from none.
    """

    id: str
    reference: str
    platform: Platform
    digests: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Local:
    """What goes by a name on the service: the image for the platform, and all the platforms."""

    image: ImageInspect | None
    platforms: tuple[Platform, ...] = ()


async def resolve(
    podman: Podman,
    reference: str,
    platform: Platform,
    declared: Collection[str],
    registries: Registries,
    *,
    on_progress: Callable[[str], None],
) -> ResolvedImage:
    """Find the image that `reference` names, for `platform`.

    It is looked for among the service's images: under that name, as a member of the manifest list
    of that name, and as what was pulled for this platform before. At last it is pulled, unless it
    is on `localhost` or an ID, and then named `localhost/barasync/pulled:…`, as well as by its own
    name if no image for another platform has that. `registries` may say that it is always pulled,
    or never. `declared` are the names of images that the project declares: one of them may have
    been meant. `on_progress` is called with lines for a person. Works for several platforms at the
    same time.

    Raises:
        WrongPlatform: There is such an image, for other platforms only.
        ImageError: There is none, and it cannot be pulled: why, in words.
        EngineUnavailable: Podman does not answer.
    """
    parsed = _parse(reference, declared)
    only_here = parsed is None or parsed.registry == _LOCAL
    local = _Local(None)
    if only_here or registries.pull is not Freshness.ALWAYS:
        with explained(f"looking for image {reference}"):
            local = await _local(podman, reference, parsed, platform)
    if local.image is not None:
        return _resolved(local.image, reference, parsed, platform)
    if only_here or registries.pull is Freshness.NEVER:
        raise _absent(reference, platform, local, declared, only_here=only_here)
    try:
        image = await _pull(podman, reference, platform, registries, on_progress)
    except WrongPlatform:
        raise
    except ImageError as error:
        if local.platforms:
            raise _wrong(reference, local.platforms, platform, hint=str(error)) from error
        error.hint = _suggestion(reference, declared) or error.hint
        raise
    return _resolved(image, reference, parsed, platform)


def _resolved(
    image: ImageInspect, reference: str, parsed: Reference | None, platform: Platform
) -> ResolvedImage:
    digests = () if parsed is None else _digests(image, parsed)
    return ResolvedImage(image.id, reference, platform, digests)


def _digests(image: ImageInspect, reference: Reference) -> tuple[str, ...]:
    """Return what the image is called in the registry of a reference."""
    named = {full.rpartition("@") for full in image.repo_digests}
    elsewhere = sorted(name for name, _, _ in named if not name.startswith(f"{_LOCAL}/"))
    if reference.registry == _LOCAL or not (reference.registry or elsewhere):
        return ()
    # Its own name may be another platform's by now; its digests are its own.
    name = reference.name if reference.registry else elsewhere[0]
    return tuple(f"{name}@{digest}" for digest in sorted({digest for _, _, digest in named}))


def _absent(
    reference: str,
    platform: Platform,
    local: _Local,
    declared: Collection[str],
    *,
    only_here: bool,
) -> ImageError:
    if local.platforms:
        return _wrong(reference, local.platforms, platform)
    refused = "" if only_here else f" for {platform}, and it is not to be pulled"
    return ImageError(
        f"there is no image {reference} on this podman service{refused}",
        hint=_suggestion(reference, declared),
    )


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
        return _Local(here)
    if parsed is not None:
        kept = await _inspect(podman, _kept_name(reference, platform))
        if kept is not None and fits(_platform_of(kept), platform):
            return _Local(kept)
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
            return _Local(await podman.images.inspect(image_id))
        platforms.append(its)
    return _Local(None, tuple(platforms))


async def _pull(
    podman: Podman,
    reference: str,
    platform: Platform,
    registries: Registries,
    on_progress: Callable[[str], None],
) -> ImageInspect:
    """Fetch the image for the platform, and name it so that it is found again.

    An image that had the name before, for another platform, gets it back: it is the user's.
    """
    on_progress(f"pulling {reference} for {platform}")
    action = f"image {reference} for {platform} cannot be pulled"
    with explained(action):
        before = await _names(podman)
    image_id = await pull(podman, reference, platform, registries, on_progress=on_progress)
    with explained(action):
        await _give_back(podman, before, platform)
        found = _platform_of(await podman.images.inspect(image_id))
        if not fits(found, platform):
            raise _wrong(reference, (found,), platform)
        repository, _, tag = _kept_name(reference, platform).rpartition(":")
        await podman.images.tag(image_id, repository, tag)
        # Podman tells digests only of an image that has a name.
        return await podman.images.inspect(image_id)


async def _give_back(
    podman: Podman, before: Mapping[str, frozenset[str]], platform: Platform
) -> None:
    """Give images for other platforms the tags back that they had before a pull."""
    after = await _names(podman)
    for owner, names in before.items():
        lost = names - after.get(owner, names)
        tags = [taken for taken in map(parse_reference, lost) if not taken.digest]
        if tags and not fits(_platform_of(await podman.images.inspect(owner)), platform):
            for taken in tags:
                await podman.images.tag(owner, taken.name, taken.tag)


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
