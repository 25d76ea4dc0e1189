"""From the name of an image to the ID of the image for a platform.

Podman takes a local image of another architecture for a container without a word; containers are
therefore created by ID, and every ID has gone through here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

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
from barasync.images.fit import entry_platform, fits, platform_of, wrong_platform
from barasync.images.freshness import Freshness
from barasync.images.listing import Listing
from barasync.images.pulled import Pull, digests_of, kept_image, name_of
from barasync.images.registry import Hear, Registries, unheard
from barasync.matrix.platforms import Platform

_LOCAL = "localhost"


@dataclass(frozen=True, slots=True)
class ResolvedImage:
    """An image that is known to be for `platform`; `reference` is the name it was asked for by.

    `digest` is its full name in its registry, `host/name@sha256:…`, and `list_digest` that of the
    manifest list that it was taken from: empty for an image that was not pulled by barasync, and
    for one from no list. `digests` are what podman itself knows such an image by, without a word
    which is which, or whether it was ever in a registry.
    """

    id: str
    reference: str
    platform: Platform
    digest: str = ""
    list_digest: str = ""
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
    listing: Listing,
    on_progress: Hear,
    on_words: Hear = unheard,
) -> ResolvedImage:
    """Find the image that `reference` names, for `platform`.

    It is looked for among the service's images: under that name, as a member of the manifest list
    of that name, and as what was pulled for this platform before. At last it is pulled, unless it
    is on `localhost` or an ID, and then named `localhost/barasync/pulled:…`, as well as by its own
    name if no image for another platform has that. `registries` may say that it is always pulled,
    or never. `declared` are the names of images that the project declares: one of them may have
    been meant. `listing` is the service's. `on_progress` is called with lines for a person,
    `on_words` with all that podman says of a pull. Works for several platforms at the same time,
    which get images of one manifest list, or it is said.

    Raises:
        WrongPlatform: there is such an image, for other platforms only.
        ImageError: there is none, and it cannot be pulled: why, in words.
        EngineUnavailable: podman does not answer.
    """
    parsed = _parse(reference, declared)
    only_here = parsed is None or parsed.registry == _LOCAL
    local = _Local(None)
    if only_here or registries.pull is not Freshness.ALWAYS:
        with explained(f"looking for image {reference}"):
            local = await _local(podman, reference, parsed, platform, listing)
    if local.image is not None:
        return _agreed(_resolved(local.image, reference, parsed, platform), registries, on_progress)
    if only_here or registries.pull is Freshness.NEVER:
        raise _absent(reference, platform, local, declared, only_here=only_here)
    try:
        image = await Pull(
            podman=podman,
            reference=reference,
            platform=platform,
            registries=registries,
            on_progress=on_progress,
            on_words=on_words,
        ).image()
    except WrongPlatform:
        raise
    except ImageError as error:
        if local.platforms:
            raise wrong_platform(reference, local.platforms, platform, hint=str(error)) from error
        error.hint = _suggestion(reference, declared) or error.hint
        raise
    return _agreed(_resolved(image, reference, parsed, platform), registries, on_progress)


def _agreed(found: ResolvedImage, registries: Registries, on_progress: Hear) -> ResolvedImage:
    """Return an image; say so where others of its name are from another manifest list."""
    if not found.list_digest:
        return found
    digest = found.list_digest.rpartition("@")[2]
    first = registries.first_lists.take(found.reference, digest, found.platform)
    if digest != first.digest:
        on_progress(
            f"note: {found.reference} is from another manifest list for {found.platform} "
            f"({digest}) than for {first.platform} ({first.digest}): `--pull always` takes both "
            "from one"
        )
    return found


def _resolved(
    image: ImageInspect, reference: str, parsed: Reference | None, platform: Platform
) -> ResolvedImage:
    if parsed is None:
        return ResolvedImage(image.id, reference, platform)
    pulled = digests_of(image, reference, platform)
    name = name_of(parsed, image)
    if pulled is None or not name:
        digests = _digests(image, parsed)
        return ResolvedImage(image.id, reference, platform, digests=digests)
    digest, list_digest = (
        f"{name}@{each}" if each else "" for each in (pulled.manifest, pulled.list)
    )
    return ResolvedImage(image.id, reference, platform, digest, list_digest)


def _digests(image: ImageInspect, reference: Reference) -> tuple[str, ...]:
    """Return what podman knows the image by, under the name of a reference."""
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
        return wrong_platform(reference, local.platforms, platform)
    refused = "" if only_here else f" for {platform}, and it is not to be pulled"
    return ImageError(
        f"there is no image {reference} on this podman service{refused}",
        hint=_suggestion(reference, declared),
    )


async def _local(
    podman: Podman,
    reference: str,
    parsed: Reference | None,
    platform: Platform,
    listing: Listing,
) -> _Local:
    """Look for the image among those of the service."""
    here = await _inspect(podman, reference)
    if here is not None and fits(platform_of(here), platform):
        return _Local(here)
    if parsed is not None:
        listed = _Listed(podman, reference, _full_name(parsed), platform, here)
        image = await listing.search(listed.image)
        if image is not None or listed.platforms:
            return _Local(image, listed.platforms)
    return _Local(None, () if here is None else (platform_of(here),))


@dataclass(slots=True)
class _Listed:
    """Looks for the platform's image among those of the service.

    It is what was pulled by the reference for this platform before, or in the manifest list of the
    full name. `here` is the image that the name stands for where none for a platform is asked for.
    What was seen of the manifest list are its `platforms`.
    """

    podman: Podman
    reference: str
    name: str
    platform: Platform
    here: ImageInspect | None
    platforms: tuple[Platform, ...] = ()

    async def image(self, images: Sequence[ImageSummary]) -> ImageInspect | None:
        """Return the image, if it is among `images`."""
        kept_id = kept_image(images, self.reference, self.platform)
        kept = None if kept_id is None else await _inspect(self.podman, kept_id)
        if kept is not None and fits(platform_of(kept), self.platform):
            return kept
        self.platforms = ()
        listed = next((image for image in images if self.name in image.repo_tags), None)
        # What inspect gives for a manifest list is one of its images, not the list.
        if listed is None or (self.here is not None and self.here.id == listed.id):
            return None
        return await self._member(images)

    async def _member(self, images: Sequence[ImageSummary]) -> ImageInspect | None:
        try:
            entries = await self.podman.manifests.entries(self.name)
        except NotFound:
            return None  # the name stood for something else before
        ids = {digest: image.id for image in images for digest in image.digests}
        for entry in entries:
            its = entry_platform(entry)
            if entry.digest in ids and fits(its, self.platform):
                image = await _inspect(self.podman, ids[entry.digest])
                if image is not None:
                    return image
            self.platforms = (*self.platforms, its)
        return None


async def _inspect(podman: Podman, reference: str) -> ImageInspect | None:
    try:
        return await podman.images.inspect(reference)
    except NotFound:
        return None


def _full_name(reference: Reference) -> str:
    """Return the name under which podman lists an image that was made here."""
    registry = "" if reference.registry else f"{_LOCAL}/"
    return f"{registry}{reference.name}:{reference.tag or 'latest'}"


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


def _suggestion(reference: str, declared: Collection[str]) -> str | None:
    """Return what may have been meant, from the names of the declared images."""
    if not declared:
        return None
    names = ", ".join(sorted(declared))
    return f"declared under [images]: {names}{did_you_mean(reference, declared)}"
