"""Images that are fetched for one platform: their names here, and their digests there.

What podman knows as the digests of an image are those of its manifests and of the manifest lists
that it was taken from, whatever their names, without a word which is which. Which digest a pull has
come to is therefore found out at once, and kept in a name of the image.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from hashlib import sha256

import anyio

from barasync.aiopodman import (
    ImageInspect,
    ImageSummary,
    NotFound,
    Podman,
    Reference,
    parse_reference,
)
from barasync.errors import ImageError
from barasync.images.failures import explained
from barasync.images.fit import entry_platform, fits, platform_of, wrong_platform
from barasync.images.registry import Hear, Registries, pull, stands_for
from barasync.images.standing import Standing
from barasync.matrix.platforms import Platform, short_name

_LOCAL = "localhost"
_PULLED = f"{_LOCAL}/barasync/pulled"
_DIGITS = 12
_DIGESTS = re.compile(r"-m(?P<manifest>[0-9a-f]{12})(-l(?P<list>[0-9a-f]{12}))?")
_BOTH = 2
_CANDIDATES = 8


@dataclass(frozen=True, slots=True)
class Digests:
    """The digests of an image in its registry, `sha256:…`.

    `manifest` is its own, empty where it is not known, `list` that of the manifest list that it was
    taken from, empty where it was from none.
    """

    manifest: str = ""
    list: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pull:
    """What is to be pulled, and how; who hears of it, as in `registry.pull`."""

    podman: Podman
    reference: str
    platform: Platform
    registries: Registries
    on_progress: Hear
    on_words: Hear

    @property
    def action(self) -> str:
        """What cannot be done where it fails."""
        return f"image {self.reference} for {self.platform} cannot be pulled"

    async def image(self) -> ImageInspect:
        """Fetch the image, and name it so that it is found again.

        An image that had the name before, for another platform, gets it back: it is the user's.
        Where the name stands for another manifest list by now than the one that an image for
        another platform was taken from in this command, that one is asked for.

        Raises: as `registry.pull`.
        """
        began = anyio.current_time()
        self.on_progress("pulling")
        image, digests = await self._fetched(self.reference)
        first = self.registries.first_lists.get(self.reference)
        if first is not None and digests.list and digests.list != first.digest:
            self.on_progress(
                f"{self.reference} has changed in its registry since {first.platform} was taken: "
                f"its manifest list of then is asked for, {first.digest}"
            )
            try:
                name = name_of(parse_reference(self.reference), image)
                image, digests = await self._fetched(f"{name}@{first.digest}")
            except ImageError as error:
                self.on_progress(f"note: {error}")
        if digests.list:
            self.registries.first_lists.take(self.reference, digests.list, self.platform)
        called = digests.manifest or f"image {image.id[:_DIGITS]}, its digest is not known"
        self.on_progress(f"pulled in {anyio.current_time() - began:.1f} s: {called}")
        return await self._noted(image, digests)

    async def _fetched(self, name: str) -> tuple[ImageInspect, Digests]:
        """Fetch what a name stands for; return it, named, and its digests."""
        with explained(self.action):
            before = await self.podman.images.list(all=True)
        image_id = await pull(
            self.podman,
            name,
            self.platform,
            self.registries,
            on_progress=self.on_progress,
            on_words=self.on_words,
        )
        with explained(self.action):
            await _give_back(self.podman, before, self.platform)
            found = platform_of(await self.podman.images.inspect(image_id))
            if not fits(found, self.platform):
                raise wrong_platform(self.reference, (found,), self.platform)
            _, _, tag = _kept_name(self.reference, self.platform).rpartition(":")
            await self.podman.images.tag(image_id, _PULLED, tag)
            # Podman tells digests only of an image that has a name.
            image = await self.podman.images.inspect(image_id)
        is_new = all(image_id != each.id for each in before)
        return image, await self._digests(image, parse_reference(name), is_new=is_new)

    async def _digests(self, image: ImageInspect, name: Reference, *, is_new: bool) -> Digests:
        """Find out by which digests the image is in the registry under a name.

        An image that was not here before has no others: its own alone, or also that of the list,
        by which podman then calls it. What is known of one that was here is asked of the registry
        again only where there is a choice: it is asked for the manifest of every platform.
        """
        known = _known(image)
        if is_new and image.digest in known and len(known) <= _BOTH:
            rest = known - {image.digest}
            return Digests(next(iter(rest)), image.digest) if rest else Digests(image.digest)
        noted = digests_of(image, self.reference, self.platform)
        if noted is not None and known == {*filter(None, (noted.manifest, noted.list))}:
            return noted
        manifest = ""
        with anyio.move_on_after(self.registries.asking):
            full = name_of(name, image)
            whole = f"{full}@{name.digest}" if name.digest else f"{full}:{name.tag or 'latest'}"
            found = await stands_for(self.podman, whole, self.registries) if full else None
            manifest = "" if found is None else _entry_of(found, known, self.platform)
            if found is None or not manifest:
                return Digests()
            if name.digest:
                return Digests(manifest, name.digest if name.digest != manifest else "")
            return Digests(manifest, await self._list(full, found, known))
        lacking = "its manifest list" if manifest else "its digest"
        self.on_progress(
            f"note: {lacking} could not be found out: the registry has not said it in "
            f"{self.registries.asking:g} s"
        )
        return Digests(manifest)

    async def _list(self, name: str, found: Standing, known: AbstractSet[str]) -> str:
        """Return the digest of the manifest list of a name; empty where it is no list.

        It is that one of the digests that podman knows of the image that stands for the same
        images.
        """
        for digest in sorted(known - found.digests)[:_CANDIDATES]:
            its = await stands_for(self.podman, f"{name}@{digest}", self.registries)
            if its is not None and its.digests == found.digests:
                return digest
        return ""

    async def _noted(self, image: ImageInspect, digests: Digests) -> ImageInspect:
        """Keep the digests in the name, in the place of what an earlier pull has left there."""
        kept = _kept_name(self.reference, self.platform)
        tag = kept.rpartition(":")[2]
        for letter, digest in (("m", digests.manifest), ("l", digests.list)):
            tag += f"-{letter}{_digits(digest)}" if digest else ""
        with explained(self.action):
            await self.podman.images.tag(image.id, _PULLED, tag)
            for other in await self.podman.images.list():
                for name in other.repo_tags:
                    old = name.rpartition(":")[2]
                    if _is_kept(name, kept) and (old != tag or other.id != image.id):
                        await self.podman.images.untag(other.id, _PULLED, old)
            return await self.podman.images.inspect(image.id)


def _kept_name(reference: str, platform: Platform) -> str:
    """Return how the name begins under which a pulled image is kept for one platform."""
    digits = sha256(reference.encode()).hexdigest()[:_DIGITS]
    return f"{_PULLED}:{short_name(platform)}-{digits}"


def kept_image(images: Sequence[ImageSummary], reference: str, platform: Platform) -> str | None:
    """Return the ID of what was pulled for a platform, `None` for nothing."""
    kept = _kept_name(reference, platform)
    # One whose digests are not noted is that of a pull that has just been, or was broken off.
    found = sorted((name, each.id) for each in images for name in each.repo_tags)
    return next((image_id for name, image_id in found if _is_kept(name, kept)), None)


def digests_of(image: ImageInspect, reference: str, platform: Platform) -> Digests | None:
    """Return the digests that a pull of the reference came to; `None` for what we did not pull."""
    kept = _kept_name(reference, platform)
    whole = {_digits(digest): digest for digest in _known(image)}
    for name in image.repo_tags:
        found = _DIGESTS.fullmatch(name.removeprefix(kept))
        if found is not None and found["manifest"] in whole:
            return Digests(whole[found["manifest"]], whole.get(found["list"] or "", ""))
    return None


def name_of(reference: Reference, image: ImageInspect) -> str:
    """Return a reference's name with its registry, which podman has found for a short one.

    Empty where it cannot be told.
    """
    if reference.registry:
        return reference.name
    end = f"/{reference.repository}"
    names = {full.rpartition("@")[0] for full in image.repo_digests}
    found = [each for each in names if each.endswith(end) and not each.startswith(f"{_LOCAL}/")]
    return found[0] if len(found) == 1 else ""


def _entry_of(found: Standing, known: AbstractSet[str], platform: Platform) -> str:
    """Return which of the images is this one, by its digest; empty for none."""
    its = [entry for entry in found.entries if entry.digest in known]
    for entry in its:
        if fits(entry_platform(entry), platform):
            return entry.digest
    return its[0].digest if its else ""


def _is_kept(name: str, kept: str) -> bool:
    return name == kept or name.startswith(f"{kept}-")


def _known(image: ImageInspect) -> frozenset[str]:
    return frozenset(full.rpartition("@")[2] for full in image.repo_digests)


def _digits(digest: str) -> str:
    return digest.removeprefix("sha256:")[:_DIGITS]


async def _give_back(podman: Podman, before: Sequence[ImageSummary], platform: Platform) -> None:
    """Give images for other platforms the tags back that they had before a pull."""
    # One without a name of which there are others is in the list of all images only.
    after = {image.id: image.repo_tags for image in await podman.images.list(all=True)}
    for image in before:
        lost = set(image.repo_tags) - set(after.get(image.id, image.repo_tags))
        tags = [taken for taken in map(parse_reference, lost) if not taken.digest]
        if not tags:
            continue
        try:
            if not fits(platform_of(await podman.images.inspect(image.id)), platform):
                for taken in tags:
                    await podman.images.tag(image.id, taken.name, taken.tag)
        except NotFound:
            # Somebody has removed it since.
            continue
