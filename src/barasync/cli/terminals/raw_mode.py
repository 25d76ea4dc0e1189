"""Our terminal in raw mode, in which every key is a byte for somebody else, and back out of it."""

from __future__ import annotations

import errno
import os
import signal
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TypeVar

from barasync.cli.interrupts import Interrupts
from barasync.cli.signals import act_by_default

T = TypeVar("T")


@contextmanager
def raw_mode(
    descriptor: int, interrupts: Interrupts, *, changed: Callable[[], None]
) -> Iterator[None]:
    """Have a terminal in raw mode for the block, and as it was before after it, however it ends.

    It is as it was before too while the process is stopped by SIGTSTP from outside (Ctrl-Z is a
    byte), and when SIGQUIT ends it; only what cannot be caught, SIGKILL, leaves it raw. After
    SIGCONT it is raw again: whoever stopped us, a shell has had the terminal meanwhile. `changed`
    is called whenever the terminal's size may be another one.
    """
    mode = _Mode(descriptor)

    def suspend() -> None:
        mode.leave()
        act_by_default(signal.SIGTSTP)
        resume()

    def resume() -> None:
        mode.enter()
        changed()

    with ExitStack() as stack:
        stack.callback(mode.leave)
        for number, handler in (
            (signal.SIGTSTP, suspend),
            (signal.SIGCONT, resume),
            (signal.SIGWINCH, changed),
            (signal.SIGQUIT, partial(_quit, mode)),
        ):
            stack.enter_context(interrupts.taking(number, handler))
        mode.enter()
        yield


def _quit(mode: _Mode) -> None:
    mode.leave()
    act_by_default(signal.SIGQUIT)


class _Mode:
    """The modes of a terminal, which are those at this moment unless it is raw.

    They change at once: to wait until what was written has been shown (`TCSADRAIN`) may take
    forever, and what has been typed ahead is not thrown away.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._before = _retried(partial(termios.tcgetattr, descriptor))

    def enter(self) -> None:
        """Make it raw. In the background this stops the process, as it stops any."""
        if self._before is not None:
            _retried(partial(tty.setraw, self._descriptor, termios.TCSANOW))

    def leave(self) -> None:
        """Make it what it was.

        Not from the background: then a shell has taken the terminal, with modes of its own, and the
        kernel would stop us.
        """
        if self._before is not None and self._is_ours():
            _retried(partial(termios.tcsetattr, self._descriptor, termios.TCSANOW, self._before))

    def _is_ours(self) -> bool:
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            # It is not the one that controls our session, so that there are no jobs.
            return True


def _retried(call: Callable[[], T]) -> T | None:
    """Return what a call on a terminal returns, `None` where the terminal has hung up.

    Whoever reads that is told; here there is nothing to be done about it.
    """
    while True:
        try:
            return call()
        except termios.error as error:
            if error.args[0] == errno.EIO:
                return None
            if error.args[0] != errno.EINTR:
                raise
