"""Where a path of a container leads, links followed one name after the other.

Podman follows them itself when it packs or unpacks, but within a container's own files only: of a
link to a place where something is mounted it gives, or takes, what lies below the mount (measured
on 4.3.1 and 5.4.2). So whoever has to know follows them first.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from barasync.aiopodman.archives import PathStat
from barasync.aiopodman.errors import PodmanError

# As many as the kernel follows.
_MOST_LINKS = 40


class Looked(Protocol):
    """What is needed of a container: `Container` is one."""

    async def stat(self, path: str, /) -> PathStat | None:
        """Look at an absolute path; `None` if nothing is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """Where a path leads: `path` has no links, and `there` is what was found at it.

    `rest` are the names below it that were not looked at: nothing is there, or no directory, or one
    of the stops.
    """

    path: str
    rest: tuple[str, ...] = ()
    there: PathStat | None = None

    @property
    def end(self) -> str:
        """The whole path."""
        return posixpath.join(self.path, *self.rest)


async def follow(container: Looked, path: str, stops: Iterable[str] = ()) -> Followed:
    """Follow the links of an absolute path, up to the first of the `stops` that it comes to.

    Raises:
        PodmanError: there are too many links, or podman does not tell.
    """
    ends = frozenset(stops)
    found, waiting, links = Followed(path="/"), _names(path), 0
    while waiting:
        here, rest = posixpath.join(found.path, waiting[-1]), waiting[:-1]
        if here in ends:
            return Followed(path=here, rest=tuple(reversed(rest)))
        there = await container.stat(here)
        if there is None:
            return Followed(path=here, rest=tuple(reversed(rest)))
        if there.target is not None:
            links += 1
            if links > _MOST_LINKS:
                raise PodmanError(f"{path} leads through more than {_MOST_LINKS} links")
            # The end of a link may have a stop on its way.
            found, waiting = Followed(path="/"), [*rest, *_names(there.target)]
            continue
        found, waiting = Followed(path=here, there=there), rest
        if not there.is_directory:
            break
    return Followed(path=found.path, rest=tuple(reversed(waiting)), there=found.there)


def _names(path: str) -> list[str]:
    """Return the names of a path, the last one first."""
    return [name for name in reversed(posixpath.normpath(path).split("/")) if name]
