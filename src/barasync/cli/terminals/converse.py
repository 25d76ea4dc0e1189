"""A conversation of whoever sits here with a container: both directions, until one side ends it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum
from typing import Protocol

from barasync.aiopodman.wire.frames import Chunk
from barasync.cli.terminals.here import Here
from barasync.errors import EXIT_INTERRUPTED, EXIT_OK, EXIT_UNREAD

Resize = Callable[[int, int], Awaitable[None]]
"""Told the columns and rows that the container's terminal is to have."""


class Talk(Protocol):
    """What of an `Attachment` of `aiopodman` a conversation needs."""

    @property
    def output(self) -> AsyncIterator[Chunk]:
        """What the container prints; ends when nothing follows."""

    async def send(self, data: bytes) -> None:
        """Send all of `data` to the container's stdin."""

    async def close_stdin(self) -> None:
        """Let the container read the end of its stdin."""


class End(Enum):
    """How a conversation ended, and the exit code of a command that was nothing else."""

    ENDED = "ended"
    """The container has said all: the exit code is its command's."""
    DETACHED = "detached"
    """The keys were typed: the container goes on."""
    HUNG_UP = "hung up"
    """The terminal here was closed; SIGHUP tends to come as well."""
    UNREAD = "unread"
    """Nobody reads our stdout any more."""

    @property
    def exit_code(self) -> int | None:
        """What our command ends with, `None` for what the container's ends with."""
        return _CODES.get(self)


_CODES = {End.DETACHED: EXIT_OK, End.HUNG_UP: EXIT_INTERRUPTED, End.UNREAD: EXIT_UNREAD}


async def converse(
    attachment: Talk, here: Here, *, resize: Resize | None = None, detach_keys: bytes = b""
) -> End:
    """Pass on what comes here to a container, and what it prints to here, until one side ends.

    `resize` is given where the container has a terminal. If stdin here is one as well, it is in raw
    mode meanwhile, `detach_keys` (see `parse_detach_keys`) are looked for, and the container's
    terminal follows the size of this one.
    """
    raise NotImplementedError
