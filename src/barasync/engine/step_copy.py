"""A copy of the project's files into an image, as `COPY` of a Containerfile makes it.

What is in a directory goes into the destination; a file becomes it, or goes into it where it is a
directory or ends with a slash. Missing directories are made, with mode 755; those that are there
keep what they hold and their modes. All belongs to root, whatever the image's user is.
"""

from __future__ import annotations

import posixpath
from dataclasses import replace

from barasync.aiopodman import Container, Followed, follow
from barasync.errors import ConfigError
from barasync.images.steps import CopyStep
from barasync.workspace.archive import made_ahead, pack
from barasync.workspace.pick import Picked

_MODE = 0o755


async def send_copy(container: Container, step: CopyStep, picked: Picked, where: str) -> None:
    """Put what was picked in a container that never runs; `where` begins messages.

    The image's links are followed within the image. Everything is unpacked from the root on,
    the one directory that every image has: so a file and a directory, a place that is there and one
    that is not, are sent alike. When cancelled, part of it may be there.

    Raises:
        ConfigError: the destination is no place for it, or a file cannot be read any more.
        TreeChanged: a file changed since it was picked.
        PodmanError: podman refuses, or did not take everything.
    """
    if picked.is_file:
        place, entries = await _place_of_file(container, step, where), picked.entries
    else:
        there = await follow(container, posixpath.normpath(step.destination))
        _refuse_file(there, step, where)
        place, (top, *below) = there.end, picked.entries
        entries = tuple(below) if _is_there(there) else (replace(top, mode=_MODE), *below)
    archive = pack(picked.root, entries, place.lstrip("/"), start=picked.start)
    async with made_ahead(archive) as pieces:
        await container.put_archive("/", pieces, keep_kinds=True)


async def _place_of_file(container: Container, step: CopyStep, where: str) -> str:
    """Return the path, without links, that a file becomes."""
    destination = posixpath.normpath(step.destination)
    there = await follow(container, destination)
    is_directory = _is_there(there) and there.there is not None and there.there.is_directory
    if is_directory or step.destination.endswith("/"):
        name = posixpath.basename(step.source)
    else:
        destination, name = posixpath.split(destination)
        there = await follow(container, destination)
    _refuse_file(there, step, where)
    return posixpath.join(there.end, name)


def _is_there(followed: Followed) -> bool:
    return followed.there is not None and not followed.rest


def _refuse_file(followed: Followed, step: CopyStep, where: str) -> None:
    if followed.there is not None and not followed.there.is_directory:
        raise ConfigError(
            f"{where}: {followed.path} is not a directory in the image",
            hint=f"choose another destination for {step.source}",
        )
