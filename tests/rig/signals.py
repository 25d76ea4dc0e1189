"""Signals that end a process from outside, all treated as Ctrl-C; and what has died of one."""

from __future__ import annotations

import signal

_ASK_FOR_AN_END = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_OF_A_SHELL = 128


def as_a_shell_shows(code: int) -> int:
    """Return the exit code of a command as shells show it, for what has died in order.

    `code` is negative for the number of a signal, as `subprocess` has it, and stays so where that
    is another one than those that ask for an end: then nothing was cleared up.
    """
    return _OF_A_SHELL - code if -code in _ASK_FOR_AN_END else code


def end_as_with_ctrl_c() -> None:
    """Raise `KeyboardInterrupt` on SIGINT, SIGTERM and SIGHUP, in the main thread.

    SIGINT is one of them: a shell has its background jobs ignore it, and what they start.
    """
    for number in _ASK_FOR_AN_END:
        signal.signal(number, signal.default_int_handler)
