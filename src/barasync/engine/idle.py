"""A container in which nothing happens: it keeps mounts, or a network namespace.

A program of some 130 bytes that only waits is all that runs in it, from an image of its own: that
of a cell need not have any.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from barasync.aiopodman import Podman
from barasync.engine.gate import Gates
from barasync.images.elf import idle_executable
from barasync.images.program import Program, program_image
from barasync.matrix.platforms import native


@dataclass(frozen=True, slots=True)
class Idle:
    """The ID of the image, and the path of its program."""

    image: str
    path: str


async def idle(podman: Podman, gates: Gates) -> Idle:
    """Return the image for a service on a machine of this one's architecture; it stays.

    Raises:
        PodmanError: podman has not got it and cannot make it.
    """
    platform = native(os.uname().machine)
    program = Program(kind="idle", platform=platform, content=idle_executable(platform))
    async with gates.images:
        return Idle(await program_image(podman, program), program.path)


class IdleImage:
    """The image of a run's idle containers: asked for, or made, by the first that needs it."""

    def __init__(self) -> None:
        self._found: Idle | None = None

    async def get(self, podman: Podman, gates: Gates) -> Idle:
        """Return it, as `idle` does.

        Raises:
            PodmanError: podman has not got it and cannot make it; the next one asks again.
        """
        if self._found is None:
            self._found = await idle(podman, gates)
        return self._found

    def forget(self, gone: Idle) -> None:
        """Have the next one ask again, unless that has been done: somebody has removed it."""
        if self._found == gone:
            self._found = None
