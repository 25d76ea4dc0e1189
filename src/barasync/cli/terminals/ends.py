"""How a conversation with a container ends."""

from __future__ import annotations

from enum import Enum
from typing import ClassVar

from barasync.errors import (
    EXIT_INTERRUPTED,
    EXIT_NOT_PASSED,
    EXIT_OK,
    EXIT_UNREAD,
    BarasyncError,
)


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


class CannotPassOn(BarasyncError):
    """Our stdin is not open for reading, or our stdout cannot be written, as on a full disk."""

    exit_code: ClassVar[int] = EXIT_NOT_PASSED
