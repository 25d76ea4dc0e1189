"""Where copies go in a container, and their way there.

Podman follows the links of the image to the place where it is to unpack, and writes to the image's
own files: of what the container is going to have mounted there it answers 200, and the container
never sees the files (measured on 4.3.1 and 5.4.2). So links are followed here first, one name
after the other, and what comes of that is compared with what is mounted.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Sequence

from barasync.aiopodman import Container, ContainerInspect, follow
from barasync.config.caches import parse_cache
from barasync.config.copies import Copy
from barasync.config.schema import WORKSPACE, CellSettings
from barasync.config.volumes import PODMANS, parse_volume
from barasync.errors import ConfigError
from barasync.workspace.archive import made_ahead, pack
from barasync.workspace.copies import CopySource

_ELSEWHERE = "choose a destination that is in the container's own files"


def mounted_in(settings: CellSettings) -> tuple[str, ...]:
    """Return where a cell's settings have something mounted."""
    places = [parse_volume(volume).destination for volume in settings.volumes]
    places += [parse_cache(cache).destination for cache in settings.caches]
    if settings.workspace.shares_directory:
        places.append(WORKSPACE)
    return tuple(places)


def refuse_covered(copies: Iterable[CopySource], mounted: Iterable[str]) -> None:
    """Refuse what something that is mounted would hide, or take out of the container, by its name.

    Raises:
        ConfigError: a file or directory would lie at or below a place of `mounted`.
    """
    places = (*PODMANS, *mounted)
    for source in copies:
        _refuse_covered(source, source.copy.destination, places)


async def send_copies(
    container: Container, copies: Sequence[CopySource], mounted: Sequence[str]
) -> None:
    """Put copies in a container that has not started, one after the other.

    `mounted` is where it is known to get something mounted; podman tells of more. The archives are
    made in a worker thread, piece by piece. When cancelled, part may be there.

    A link of the image at the place of a volume does not show: what is copied to where it leads is
    hidden by the volume then.

    Raises:
        ConfigError: a file cannot be read any more; or its place is no place for it, or is hidden
            by what is mounted, links followed.
        TreeChanged: a file changed since it was looked at.
        PodmanError: podman refuses, or did not take everything.
    """
    named = [*mounted, *_told(await container.inspect())]
    ends = [await _mounted_at(container, place) for place in named]
    places = tuple(dict.fromkeys((*PODMANS, *named, *ends)))
    for source in copies:
        # What was copied before may be on the way.
        above, name = posixpath.split(await _place(container, source, places))
        async with made_ahead(pack(source.root, source.entries, name)) as pieces:
            await container.put_archive(above, pieces, keep_kinds=True)


def _told(state: ContainerInspect) -> tuple[str, ...]:
    return (*(mount.destination for mount in state.mounts), *state.host_config.tmpfs)


async def _place(container: Container, source: CopySource, places: Sequence[str]) -> str:
    """Return what a copy's destination is without links."""
    copy = source.copy
    name = posixpath.basename(copy.destination)
    place = posixpath.join(await _directory(container, copy, places), name)
    _refuse_covered(source, place, places)
    there = await container.stat(place)
    if there is None:
        return place
    if source.is_file:
        if there.is_directory:
            raise ConfigError(
                f"{copy}: {place} is a directory in the container, and SRC is a file",
                hint=f"{copy}/ puts it there under its own name",
            )
        return place
    if not there.is_directory:
        raise ConfigError(
            f"{copy}: in the container {place} is not a directory",
            hint="a directory takes the place of nothing else; choose another destination",
        )
    end = place if there.target is None else posixpath.normpath(there.target)
    if end == "/":
        raise ConfigError(f"{copy}: {place} leads to the container's root", hint=_ELSEWHERE)
    _refuse_covered(source, end, places)
    return end


async def _mounted_at(container: Container, place: str) -> str:
    """Return where a mount for a place is going to be: the runtime follows links as well."""
    return (await follow(container, place)).end


async def _directory(container: Container, copy: Copy, stops: Sequence[str]) -> str:
    """Return the directory of a destination without links, as far as it is there and no stop.

    Raises:
        ConfigError: it leads through something else than a directory.
    """
    followed = await follow(container, posixpath.dirname(copy.destination), stops)
    if followed.there is not None and not followed.there.is_directory:
        raise ConfigError(
            f"{copy}: in the container {followed.path} is not a directory",
            hint="choose a destination that is not below a file",
        )
    return followed.end


def _refuse_covered(source: CopySource, destination: str, places: Sequence[str]) -> None:
    for place in places:
        if (path := _covered(source, destination, place)) is not None:
            through = "" if destination == source.copy.destination else ", where a link leads,"
            raise ConfigError(
                f"{source.copy}: {path}{through} cannot be copied: something is mounted at {place}",
                hint=_ELSEWHERE,
            )


def _covered(source: CopySource, destination: str, place: str) -> str | None:
    """Return the first path of a copy at or below a place, looking into it only where need be."""
    if destination == place or destination.startswith(f"{place}/"):
        return destination
    above = destination.rstrip("/") + "/"
    if not place.startswith(above):
        return None
    inner = place.removeprefix(above)
    paths = (entry.path for entry in source.entries)
    found = next((path for path in paths if path == inner or path.startswith(f"{inner}/")), None)
    return None if found is None else above + found
