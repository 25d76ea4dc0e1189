"""What signals do where no event loop hears them: before a command's work and after it."""

from __future__ import annotations

import atexit
import os
import signal
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def heeded() -> tuple[signal.Signals, ...]:
    """Return the signals that ask a command to end.

    Those are none of them that are ignored since whoever started the process wanted that: SIGHUP
    under nohup, SIGINT for what a shell's script has in the background.
    """
    return tuple(number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN)


def take_as_ctrl_c() -> None:
    """Have each of `heeded` raise `KeyboardInterrupt` in the main thread."""
    for number in heeded():
        signal.signal(number, signal.default_int_handler)


def take_as_haste(code: int) -> None:
    """Have each of `heeded` end the process at once, with the exit code that it has anyway.

    For when nothing is left to do but to end: what was printed has to be flushed before.
    """

    def leave(_number: int, _frame: FrameType | None) -> None:
        os._exit(code)

    for number in heeded():
        signal.signal(number, leave)
    # The interpreter restores what a signal does by default some time before it ends the process.
    atexit.register(_ignore)


def _ignore() -> None:
    for number in heeded():
        signal.signal(number, signal.SIG_IGN)
