"""Where the tests of Containerfiles have their bases from."""

from __future__ import annotations

from barasync.aiopodman import NotFound, Podman
from barasync.engine.containerfile_bases import Bases
from barasync.errors import ImageError


def bases(podman: Podman) -> Bases:
    """What is here, by the name that podman knows it by; nothing is pulled."""

    async def get(reference: str) -> str:
        try:
            return (await podman.images.inspect(reference)).id
        except NotFound as error:
            raise ImageError(str(error)) from error

    async def find(reference: str) -> str | None:
        try:
            return await get(reference)
        except ImageError:
            return None

    return Bases(find=find, get=get)
