"""A copy of the project's files into an image, as `COPY` of a Containerfile makes it.

What is in a directory goes into the destination; a file becomes it, or goes into it where it is a
directory or ends with a slash. Missing directories are made, with mode 755; those that are there
keep what they hold and their modes. All belongs to root, whatever the image's user is.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, replace

from barasync.aiopodman import Container, Followed, follow
from barasync.errors import ConfigError
from barasync.images.steps import CopyStep
from barasync.workspace.archive import made_ahead, pack
from barasync.workspace.pick import Picked
from barasync.workspace.tree import Entry

_DIRECTORY_MODE = 0o755


@dataclass(frozen=True, slots=True)
class _Way:
    """An archive's way: unpacked in `directory`, where what is copied is called `name`."""

    directory: str
    name: str
    entries: tuple[Entry, ...]


async def send_copy(container: Container, step: CopyStep, picked: Picked, where: str) -> None:
    """Put what was picked in a container that never runs; `where` begins messages.

    The image's links are followed within the image. When cancelled, part of it may be there.

    Raises:
        ConfigError: the destination is no place for it, or a file cannot be read any more.
        TreeChanged: a file changed since it was picked.
        PodmanError: podman refuses, or did not take everything.
    """
    if picked.is_file:
        way = await _way_of_file(container, step, picked, where)
    else:
        way = await _way_of_directory(container, step, picked, where)
    archive = pack(picked.root, way.entries, way.name, start=picked.start)
    async with made_ahead(archive) as pieces:
        await container.put_archive(way.directory, pieces, keep_kinds=True)


async def _way_of_file(container: Container, step: CopyStep, picked: Picked, where: str) -> _Way:
    destination = posixpath.normpath(step.destination)
    there = await follow(container, destination)
    is_directory = _is_there(there) and there.there is not None and there.there.is_directory
    if is_directory or step.destination.endswith("/"):
        _refuse_file(there, step, where)
        return _Way(there.end, posixpath.basename(step.source), picked.entries)
    above, name = posixpath.split(destination)
    directory = await follow(container, above)
    _refuse_file(directory, step, where)
    return _Way(directory.end, name, picked.entries)


async def _way_of_directory(
    container: Container, step: CopyStep, picked: Picked, where: str
) -> _Way:
    there = await follow(container, posixpath.normpath(step.destination))
    _refuse_file(there, step, where)
    top, *below = picked.entries
    if _is_there(there):
        return _Way(there.end, "", tuple(below))
    above, name = posixpath.split(there.end)
    return _Way(above, name, (replace(top, mode=_DIRECTORY_MODE), *below))


def _is_there(followed: Followed) -> bool:
    return followed.there is not None and not followed.rest


def _refuse_file(followed: Followed, step: CopyStep, where: str) -> None:
    if followed.there is not None and not followed.there.is_directory:
        raise ConfigError(
            f"{where}: {followed.path} is not a directory in the image",
            hint=f"choose another destination for {step.source}",
        )
