"""The steps of images that were made before: by what they are known, and how they are found.

The result of a step is an image `localhost/barasync/step:KEY`. It stays, also where a later step
fails, so that the next build goes on from there. An image that somebody makes of it has its labels,
not its name.
"""

from __future__ import annotations

import hashlib

import anyio

from barasync.aiopodman import NotFound, Podman
from barasync.images.listing import Listing
from barasync.images.ours import KEY_LABEL, KIND_LABEL, PREFIX

KIND = "step"
REPOSITORY = f"{PREFIX}{KIND}"

_FORMAT = 2  # part of every key: a new way to make steps leaves the old ones alone
_TAG_DIGITS = 16
_ID_DIGITS = 12


def step_key(parent: str, text: str, content: str) -> str:
    """Return what tells the result of a step from all others: a SHA-256 in hexadecimal.

    `parent` is the ID of the image below, `text` what the step is, as `text_of` says it, `content`
    the digest of what it copies, empty where that is nothing. The platform is that of the parent.
    """
    ingredients = "\0".join((str(_FORMAT), parent.removeprefix("sha256:"), content, text))
    return hashlib.sha256(ingredients.encode("utf-8", "surrogateescape")).hexdigest()


def step_tag(key: str) -> str:
    """Return the tag of a step's image, in `REPOSITORY`."""
    return key[:_TAG_DIGITS]


def replaced_tag(key: str, image_id: str) -> str:
    """Return the tag that a step's image gets when another one takes its place."""
    return f"{step_tag(key)}-{image_id[:_ID_DIGITS]}"


class StepCache:
    """What a service has of steps, by `listing`; and of those that were made since."""

    def __init__(self, podman: Podman, listing: Listing) -> None:
        self._podman = podman
        self._listing = listing
        self._images: dict[str, str] | None = None
        self._names: frozenset[tuple[str, str]] = frozenset()
        self._lock = anyio.Lock()

    async def find(self, key: str) -> str | None:
        """Return the ID of a step's image, as of when the first one was looked for.

        Raises:
            PodmanError: podman does not answer, or refuses.
        """
        return (await self._known()).get(key)

    async def has_name(self, image_id: str, name: str) -> bool:
        """Tell whether a step's image had a name, with its tag, when one was looked for first.

        Raises:
            PodmanError: podman does not answer, or refuses.
        """
        await self._known()
        return (image_id, name) in self._names

    async def look_again(self, key: str) -> str | None:
        """Return the ID of a step's image, as of now; else as `find`."""
        name = f"{REPOSITORY}:{step_tag(key)}"
        try:
            image = await self._podman.images.inspect(name)
        except NotFound:
            return None
        if image.labels.get(KEY_LABEL) != key:
            return None
        self.add(key, image.id)
        return image.id

    def add(self, key: str, image_id: str) -> None:
        """Know of an image that was made since."""
        if self._images is not None:
            self._images[key] = image_id

    async def _known(self) -> dict[str, str]:
        async with self._lock:
            if self._images is None:
                self._images = await self._listed()
        return self._images

    async def _listed(self) -> dict[str, str]:
        images = await self._listing.images()
        self._names = frozenset((image.id, name) for image in images for name in image.repo_tags)
        return {
            key: image.id
            for image in images
            if image.labels.get(KIND_LABEL) == KIND
            and (key := image.labels.get(KEY_LABEL, ""))
            and f"{REPOSITORY}:{step_tag(key)}" in image.repo_tags
        }
