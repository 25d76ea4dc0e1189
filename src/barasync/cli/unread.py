"""A reader of what a command prints who has left, as `head` does."""

from __future__ import annotations

import select

from barasync.cli.standard_streams import STDOUT, write_nowhere


def leave_unread() -> bool:
    """Return whether nobody can read stdout any more; then nothing is written to it from now on.

    What Python still has to write would be an error again when it ends.
    """
    poll = select.poll()
    poll.register(STDOUT, 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    write_nowhere(STDOUT)
    return True


def comes_of_broken_pipe(error: BaseException) -> bool:
    """Return whether an error was raised while a broken pipe was handled."""
    while error.__context__ is not None and not isinstance(error, BrokenPipeError):
        error = error.__context__
    return isinstance(error, BrokenPipeError)
