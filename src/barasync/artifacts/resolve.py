"""Where the artifacts of a container that has ended lie: links followed, and mounts known.

Of a link to something mounted podman packs what lies below the mount, which is nothing as a rule,
and says that all is well (measured on 4.3.1 and 5.4.2). Inside of a volume or bind it follows links
as if that were the whole file system, and does not show them: one that leads out of it ends in an
error, one to another mount inside of it is not noticed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping

from barasync.aiopodman import Looked, PathStat, follow
from barasync.artifacts.errors import OutOfReach
from barasync.artifacts.mounts import Mounts


class Paths:
    """Follows the paths of one container.

    `mounts` is what is mounted, under the names that podman knows it by and also where that is by
    the links of the image.
    """

    def __init__(self, container: Looked, mounts: Mounts, ends: Mapping[str, str]) -> None:
        self.mounts = mounts.also_at(ends)
        self._container = container
        self._named = mounts
        self._places = {end: place for place, end in ends.items()}

    @classmethod
    async def of(cls, container: Looked, mounts: Mounts) -> Paths:
        """Look where the places of `mounts` are in a container, which does not change any more.

        Raises:
            PodmanError: podman does not tell.
        """
        looked = _LookedAt(container)
        ends = {place: place for place in mounts.places}
        if not mounts.usual:
            for place in ends:
                above, name = posixpath.split(place)
                ends[place] = posixpath.join((await follow(looked, above)).end, name)
        return cls(looked, mounts, ends)

    async def find(self, path: str) -> str:
        """Return where a path leads; below what is mounted, by the name podman knows that by.

        Raises:
            OutOfReach: what is there cannot be had from podman.
            PodmanError: podman does not tell, because links lead round in a circle for example.
        """
        found = await self._find(path)
        if found == "/":
            raise OutOfReach(f"{path} leads to the whole file system; name a directory in it")
        loss = self.mounts.loss(found)
        if loss is not None:
            raise OutOfReach(f"{path} {loss}" if found == path else f"{path}: {found} {loss}")
        return found

    def remark(self, found: str) -> str:
        """Return what else podman's words about a path may mean: ` (…)`, or nothing."""
        place = self.mounts.apart_at(found)
        if place is None or place == found:
            return ""
        return f" (of {place} podman follows no link that leads out of it)"

    async def _find(self, path: str) -> str:
        if not self._places:
            return path  # it runs, and podman sees what the container sees
        if self._named.usual:
            there = await self._container.stat(path)
            return path if there is None or there.target is None else _normal(there.target)
        followed = await follow(self._container, path, self._places)
        start = self._places.get(followed.path, followed.path)
        return posixpath.join(start, *followed.rest)


class _LookedAt:
    """A container of which every path is looked at once."""

    def __init__(self, container: Looked) -> None:
        self._container = container
        self._found: dict[str, PathStat | None] = {}

    async def stat(self, path: str) -> PathStat | None:
        if path not in self._found:
            self._found[path] = await self._container.stat(path)
        return self._found[path]


def _normal(target: str) -> str:
    return "/" + posixpath.normpath(target).lstrip("/")
