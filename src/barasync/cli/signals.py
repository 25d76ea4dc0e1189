"""What signals do where no event loop hears them: before a command's work and after it."""

from __future__ import annotations

import atexit
import os
import signal
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Those that ask a command to end."""


def take_as_ctrl_c() -> None:
    """Have each of `SIGNALS` raise `KeyboardInterrupt` in the main thread."""
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler)


def take_as_haste(code: int) -> None:
    """Have each of `SIGNALS` end the process at once, with the exit code that it has anyway.

    For when nothing is left to do but to end: what was printed has to be flushed before.
    """

    def leave(_number: int, _frame: FrameType | None) -> None:
        os._exit(code)

    for number in SIGNALS:
        signal.signal(number, leave)
    # The interpreter restores what a signal does by default some time before it ends the process.
    atexit.register(_ignore)


def _ignore() -> None:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
