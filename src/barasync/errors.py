"""The exceptions of barasync and the exit code each one ends a command with.

    BarasyncError(exit_code, hint)
    ├── ConfigError            2   wrong usage or configuration
    ├── NothingSelected        3   the selection matches no cell
    ├── EngineUnavailable      4   podman cannot be reached, or this host cannot run the cell
    ├── ImageError             5   an image or a layer could not be made
    └── InternalError         70   a defect of barasync

A cell that does not pass is not an exception: it is an `Outcome`, and the command ends with 1.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_OK = 0
EXIT_NOT_PASSED = 1
EXIT_INTERRUPTED = 130
EXIT_UNREAD = 141


class BarasyncError(Exception):
    """Something a person has to know about: what happened, where, and what to do next.

    `str(error)` is one sentence that names the place (file and key, cell, container); `hint`, when
    given, is the next step. The command line prints both and exits with `exit_code`.
    """

    exit_code: ClassVar[int] = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class ConfigError(BarasyncError):
    """Wrong usage or configuration: an unknown key, a bad value, a missing file."""

    exit_code: ClassVar[int] = 2


class NothingSelected(BarasyncError):
    """The matrix or the selection on the command line leaves no cell to run."""

    exit_code: ClassVar[int] = 3


class EngineUnavailable(BarasyncError):
    """Podman cannot be reached or refuses, or this host cannot execute what was asked for."""

    exit_code: ClassVar[int] = 4


class ImageError(BarasyncError):
    """An image or a layer is missing, is for another platform, or could not be made."""

    exit_code: ClassVar[int] = 5


class InternalError(BarasyncError):
    """A defect of barasync itself."""

    exit_code: ClassVar[int] = 70
