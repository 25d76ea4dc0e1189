"""What is mounted in a container that has ended, and what that means for its archives: pure.

Measured on podman 4.3.1, with and without root, and 5.4.2: the files of volumes and binds are in
archives of paths at or below their place; those of an overlay or tmpfs are gone, and an archive of
its place is an empty directory, which looks like success. An archive of a directory above any of
them has what the image has there, which the container never saw. All that is about the words of a
path: a link to any of them has to be followed first, which `resolve` does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from barasync.aiopodman import ContainerInspect
from barasync.artifacts.sources import is_below
from barasync.config.volumes import KERNELS, PODMANS

_GONE = "gone with the container's process; have the command copy what is wanted to {place}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mounts:
    """The places where something is mounted: `lost` says why its files cannot be had any more."""

    lost: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    apart: frozenset[str] = frozenset()

    @property
    def places(self) -> frozenset[str]:
        """Every place where something is mounted."""
        return self.apart.union(self.lost)

    @property
    def usual(self) -> bool:
        """Whether nothing is mounted but what is in every container."""
        return self.places.issubset(PODMANS)

    def apart_at(self, path: str) -> str | None:
        """Return the place apart that a path is at or below, if it is at one."""
        above = [place for place in self.apart if place == path or is_below(path, place)]
        return max(above, key=len, default=None)

    def loss(self, path: str) -> str | None:
        """Return why nothing of a path can be had, `None` if it can."""
        above = [
            place for place in (*self.lost, *self.apart) if place == path or is_below(path, place)
        ]
        return self.lost.get(max(above, key=len)) if above else None

    def inside(self, path: str) -> tuple[str, ...]:
        """Return the places below a path that an archive of it has nothing true of."""
        return tuple(sorted(place for place in (*self.lost, *self.apart) if is_below(place, path)))

    def between(self, path: str, inner: str) -> str | None:
        """Return the place, below a path, where something is mounted that holds `inner`."""
        places = (at for at in self.inside(path) if at == inner or is_below(inner, at))
        return next(places, None)

    def also_at(self, ends: Mapping[str, str]) -> Mounts:
        """Return the mounts with those that lie somewhere else, by the links of the image, there.

        `ends` has the place as it was asked for, and where that is.
        """
        lost = {end: self.lost[place] for place, end in ends.items() if place in self.lost}
        apart = (end for place, end in ends.items() if place in self.apart)
        return Mounts(lost={**lost, **self.lost}, apart=self.apart.union(apart))

    def without(self, places: Iterable[str]) -> Mounts:
        """Return the mounts without those at or below places that are looked at in another way."""
        known = tuple(places)

        def stays(path: str) -> bool:
            return not any(path == place or is_below(path, place) for place in known)

        return Mounts(
            lost={place: why for place, why in self.lost.items() if stays(place)},
            apart=frozenset(place for place in self.apart if stays(place)),
        )


def mounts_of(container: ContainerInspect, *, workspace: str | None) -> Mounts:
    """Return what is mounted in a container, as podman tells.

    What is lost says to copy it to `workspace`, unless there is none or that is lost itself.
    """
    overlays = [mount.destination for mount in container.mounts if mount.is_overlay]
    tmpfs = list(container.host_config.tmpfs)
    volumes = [mount.destination for mount in container.mounts if not mount.is_overlay]
    place = "a volume" if workspace in {None, *overlays, *tmpfs} else f"{workspace} or a volume"
    gone = _GONE.format(place=place)
    return Mounts(
        lost={
            **dict.fromkeys(PODMANS, f"is mounted by podman itself, {gone}"),
            **dict.fromkeys(KERNELS, f"is on a file system of the kernel, {gone}"),
            **dict.fromkeys(tmpfs, f"is on a tmpfs, {gone}"),
            **dict.fromkeys(overlays, f"is on an overlay, {gone}"),
        },
        apart=frozenset(volumes),
    )
