"""Which manifest lists the images of one command are from: of one name all from the same."""

from __future__ import annotations

from dataclasses import dataclass

from barasync.matrix.platforms import Platform


@dataclass(frozen=True, slots=True)
class First:
    """The digest of a manifest list, and the platform that an image was taken from it for."""

    digest: str
    platform: Platform


class FirstLists:
    """The first manifest list that an image of this command was taken from, for each reference."""

    def __init__(self) -> None:
        self._of: dict[str, First] = {}

    def get(self, reference: str) -> First | None:
        """Return the first list of a reference, `None` where no image was taken yet."""
        return self._of.get(reference)

    def take(self, reference: str, digest: str, platform: Platform) -> First:
        """Note from which list an image is; return the first one, which may be that."""
        return self._of.setdefault(reference, First(digest, platform))
