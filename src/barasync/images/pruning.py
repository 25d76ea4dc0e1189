"""Which of the images that barasync made are too old, too many or too large together.

An image counts as used when the last of those made from it was. So none is used later than what it
is made from, and whatever is cut off at the end of the line leaves nothing without its parents.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

DAY = 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An image, and what decides whether it may go.

    `kind` is empty for one that is not barasync's: it is never removed. `below` is the ID of the
    image that it is made from, if that is there. `bytes` is what it takes beyond that one. `used`
    is when it was last used or made, in seconds since the epoch. `stays` says that something uses
    it, or that somebody else knows it by a name. One that is `tied` to `below`, which has no name,
    takes it along when it is removed.
    """

    id: str
    kind: str = ""
    below: str = ""
    bytes: int = 0
    used: float = 0.0
    stays: bool = False
    tied: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How much is kept of the images of some kinds, of all but `others` where `kinds` is `None`.

    Those used within the last `seconds`; at most `count`; at most `bytes` together. `None` is no
    bound.
    """

    kinds: frozenset[str] | None = None
    others: frozenset[str] = frozenset()
    seconds: float | None = None
    count: int | None = None
    bytes: int | None = None


def outdated(
    images: Iterable[Candidate], bounds: Sequence[Bounds], *, now: float
) -> tuple[Candidate, ...]:
    """Return the images that exceed one of the bounds, children before their parents.

    Those that stay count as well, before all others; what they are made from stays with them.
    """
    family = {image.id: image for image in images}
    depths = _depths(family)
    settled = _settled(family, depths)
    doomed: set[str] = set()
    for bound in bounds:
        line = sorted(
            (each for each in settled.values() if _is_bound(each, bound)),
            key=lambda each: (not each.stays, -each.used, depths[each.id], each.id),
        )
        doomed.update(_beyond(line, bound, now))
    while spared := _spared(settled, doomed):
        doomed -= spared
    last_first = sorted(doomed, key=lambda each: (-depths[each], settled[each].used, each))
    return tuple(family[each] for each in last_first)


def ancestors(images: Mapping[str, Candidate], image: str) -> Iterable[str]:
    """Give the IDs of what an image is made from, the nearest first."""
    below = images[image].below
    while below in images:
        yield below
        below = images[below].below


def _depths(family: Mapping[str, Candidate]) -> dict[str, int]:
    return {image: sum(1 for _ in ancestors(family, image)) for image in family}


def _settled(family: Mapping[str, Candidate], depths: Mapping[str, int]) -> dict[str, Candidate]:
    """Let every image be used when those made from it are, and stay where one of them does."""
    settled = dict(family)
    for image in sorted(family, key=lambda each: -depths[each]):
        child = settled[image]
        parent = settled.get(child.below)
        if parent is None:
            continue
        stays = parent.stays or child.stays
        settled[parent.id] = replace(parent, stays=stays, used=max(parent.used, child.used))
    return settled


def _is_bound(image: Candidate, bound: Bounds) -> bool:
    if image.kind == "" or image.kind in bound.others:
        return False
    return bound.kinds is None or image.kind in bound.kinds


def _beyond(line: Iterable[Candidate], bound: Bounds, now: float) -> Iterable[str]:
    """Give those of a line that are beyond a bound, and do not stay."""
    total = 0
    for rank, image in enumerate(line):
        total += image.bytes
        is_old = bound.seconds is not None and now - image.used > bound.seconds
        is_one_too_many = bound.count is not None and rank >= bound.count
        is_too_large = bound.bytes is not None and total > bound.bytes
        if not image.stays and (is_old or is_one_too_many or is_too_large):
            yield image.id


def _spared(settled: Mapping[str, Candidate], doomed: Collection[str]) -> set[str]:
    """Return those of the doomed that cannot go without what is kept.

    Parents of what is kept, and those that would take along what is kept.
    """
    parents = {image.below for image in settled.values() if image.id not in doomed}
    takes_along = {
        image for image in doomed if settled[image].tied and settled[image].below not in doomed
    }
    return parents.intersection(doomed) | takes_along
