"""Caches as people write them: `NAME:DST[:MODE]`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from barasync.config.spelling import did_you_mean
from barasync.config.volumes import parse_destination, refuse_podmans

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


class CacheMode(StrEnum):
    """How the cells that use a cache at once are kept apart.

    `LOCK`: a cell has the cache for itself, and what it writes stays. `COW`: cells share it, each
    with a copy-on-write view of its own, and what a cell writes goes with it.
    """

    LOCK = "lock"
    COW = "cow"


@dataclass(frozen=True, slots=True)
class Cache:
    """A directory of a cell whose content outlives the run; `destination` is normalised."""

    name: str
    destination: str
    mode: CacheMode = CacheMode.LOCK

    def replaces(self, other: Cache) -> bool:
        """Whether only one of the two can be in a cell."""
        return self.name == other.name or self.destination == other.destination


def parse_cache(text: str) -> Cache:
    """Return the parts of `NAME:DST[:MODE]`.

    Raises:
        ValueError: the text is not a cache; the message says which part is wrong.
    """
    parts = text.split(":")
    if len(parts) not in (2, 3) or "" in parts or "\0" in text:
        raise ValueError(f"{text!r} is not a cache; write 'NAME:DESTINATION' or '…:cow'")
    if _NAME.fullmatch(parts[0]) is None:
        raise ValueError(
            f"{text!r}: {parts[0]!r} cannot name a cache; up to 64 lower-case letters, digits, "
            "'.', '_' and '-', the first a letter or a digit"
        )
    destination = parse_destination(text, parts[1])
    refuse_podmans(text, destination)
    modes = [mode.value for mode in CacheMode]
    if len(parts) == 3 and parts[2] not in modes:  # noqa: PLR2004 the third part
        raise ValueError(
            f"{text!r}: unknown mode {parts[2]!r}{did_you_mean(parts[2], modes)}; "
            f"the modes are {', '.join(modes)}"
        )
    return Cache(parts[0], destination, *map(CacheMode, parts[2:]))
