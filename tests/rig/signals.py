"""Signals that end a process from outside, all treated as Ctrl-C: what is open is cleared up."""

from __future__ import annotations

import signal


def end_as_with_ctrl_c() -> None:
    """Raise `KeyboardInterrupt` on SIGINT, SIGTERM and SIGHUP, in the main thread.

    SIGINT is one of them: a shell has its background jobs ignore it, and what they start.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
