"""Our standard streams: all three are there, and one that takes nothing is told from a defect."""

from __future__ import annotations

import os
import sys
from typing import ClassVar, TextIO

from barasync.errors import EXIT_NOT_PASSED, BarasyncError

STDIN, STDOUT, STDERR = 0, 1, 2
NAMES = {STDIN: "stdin", STDOUT: "stdout", STDERR: "stderr"}


class CannotWrite(BarasyncError):
    """Stdout or stderr takes nothing: its disk is full, or the process was started without it."""

    exit_code: ClassVar[int] = EXIT_NOT_PASSED

    @classmethod
    def because(cls, descriptor: int, error: OSError) -> CannotWrite:
        """Return the error for what the kernel answers."""
        return cls(f"{NAMES[descriptor]} cannot be written: {error.strerror}")


def complete() -> None:
    """Put something in the place of each stream that the process was started without (`>&-`).

    The next file that is opened would have its number, and get what is meant for it. Stdin is at
    its end then, what goes to stderr is lost, and stdout takes nothing: whoever writes to it is
    told so (EBADF), as by a descriptor that is closed. The processes that we start have them too.
    """
    if sys.stdin is None:
        _open_nothing(STDIN, os.O_RDONLY)
        sys.stdin = os.fdopen(STDIN, encoding="locale", closefd=False)
    if sys.stdout is None:
        _open_nothing(STDOUT, os.O_RDONLY)
        sys.stdout = os.fdopen(STDOUT, "w", encoding="locale", closefd=False)
    if sys.stderr is None:
        _open_nothing(STDERR, os.O_WRONLY)
        sys.stderr = os.fdopen(
            STDERR, "w", encoding="locale", errors="backslashreplace", closefd=False
        )


def _open_nothing(number: int, flags: int) -> None:
    # The lowest number that is free: this one.
    opened = os.open(os.devnull, flags)
    if opened != number:
        os.dup2(opened, number)
        os.close(opened)
    os.set_inheritable(number, True)


def unwritten() -> CannotWrite | None:
    """Return why stdout or stderr has not taken what was printed to it; `None` where it has.

    What Python still has to write to it is dropped: it would be an error again at the end.
    """
    for descriptor, stream in ((STDOUT, sys.stdout), (STDERR, sys.stderr)):
        problem = _problem(stream)
        if problem is not None:
            write_nowhere(descriptor)
            return CannotWrite.because(descriptor, problem)
    return None


def _problem(stream: TextIO) -> OSError | None:
    try:
        stream.flush()
    except OSError as error:
        return error
    return None


def write_nowhere(descriptor: int) -> None:
    """Have what is written to a descriptor from now on go nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, descriptor)
    finally:
        os.close(nowhere)
