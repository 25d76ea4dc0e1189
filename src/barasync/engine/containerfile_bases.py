"""What a Containerfile's image was made of, and whether the names in it stand for that still.

The IDs of its bases are in an annotation of the image, and not in its key: a name that nothing has
here, or that the image of another platform has by now, says nothing about it. No label: a builder
makes a step of each. Where podman's cache has all steps, of a stage's base that moved and brought
the same files, the image keeps its annotation, and is asked for again each time.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from barasync.errors import ImageError

BASES = "barasync.bases"
_DIGITS = 16
_UNKNOWN = "-"
_LOCAL = "localhost/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bases:
    """How references are looked up for the platform of an image.

    `find` returns the ID of what is here, `get` pulls it where that is wanted. `declared` are names
    that mean another image to us than to podman's builder.
    """

    find: Callable[[str], Awaitable[str | None]]
    get: Callable[[str], Awaitable[str]]
    declared: Collection[str] = ()

    async def begun(self, references: Sequence[str]) -> str:
        """Return the annotation's value for an image that is to be made of `references`.

        Raises:
            ImageError: one is not here and cannot be pulled, or is not to be.
            EngineUnavailable: podman does not answer.
        """
        return ",".join([await self._begun(reference) for reference in references])

    async def have_moved(self, references: Sequence[str], annotations: Mapping[str, str]) -> bool:
        """Tell whether a reference is now another image than the one that is in the annotations.

        Raises:
            EngineUnavailable: podman does not answer.
        """
        if BASES not in annotations:
            return False  # nobody knows what it was made of
        recorded = annotations[BASES].split(",")
        for reference, was in zip(references, recorded, strict=False):
            now = await self.find(reference) if self._is_known(reference) else None
            if now is not None and _short(now) != was:
                return True
        return False

    async def _begun(self, reference: str) -> str:
        if not self._is_known(reference):
            return _UNKNOWN
        try:
            return _short(await self.get(reference))
        except ImageError:
            if reference.startswith(_LOCAL):
                return _UNKNOWN  # podman's builder says what it lacks, with the step
            raise

    def _is_known(self, reference: str) -> bool:
        return bool(reference) and reference not in self.declared


def _short(image: str) -> str:
    return image.removeprefix("sha256:")[:_DIGITS]
