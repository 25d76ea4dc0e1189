"""Our terminal in raw mode, in which every key is a byte for somebody else, and back out of it."""

from __future__ import annotations

import errno
import os
import signal
import termios
import tty
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TypeVar

import anyio

from barasync.cli.interrupts import Interrupts
from barasync.cli.signals import act_by_default
from barasync.report.channel import Channel

T = TypeVar("T")


# For a signal that ends the command to be heard, as `kill %1` of a shell sends one with SIGCONT.
_SETTLING_SECONDS = 0.5


@contextmanager
def raw_mode(
    descriptor: int,
    interrupts: Interrupts,
    *,
    channels: Iterable[Channel] = (),
    changed: Callable[[], None],
) -> Iterator[RawMode]:
    """Have a terminal in raw mode for the block, and as it was before after it, however it ends.

    It is as it was before too while the process is stopped by SIGTSTP from outside (Ctrl-Z is a
    byte). What is not caught leaves it raw: SIGKILL, SIGSTOP as long as it lasts, and signals that
    do not ask for an end, though they are one (SIGUSR1, SIGALRM, SIGABRT). After SIGCONT it has to
    be made raw again: whoever stopped us, a shell has had the terminal meanwhile.
    `changed` is called then, and whenever the terminal may have another size. What is printed on
    `channels` meanwhile begins each line at its beginning, where they lead to a terminal.
    """
    mode = RawMode(descriptor, interrupts, channels)

    def suspend() -> None:
        mode.leave()
        act_by_default(signal.SIGTSTP)
        # Also where nothing could stop the process.
        signal.raise_signal(signal.SIGCONT)

    def resume() -> None:
        mode.stale = True
        changed()

    with ExitStack() as stack:
        for number, handler in (
            (signal.SIGTSTP, suspend),
            (signal.SIGCONT, resume),
            (signal.SIGWINCH, changed),
        ):
            stack.enter_context(interrupts.taking(number, handler))
        stack.callback(mode.leave)
        mode.enter()
        yield mode


class RawMode:
    """The modes of a terminal, which are those at this moment unless it is raw.

    They change at once: to wait until what was written has been shown (`TCSADRAIN`) may take
    forever, and what has been typed ahead is not thrown away. It is `stale` when the process was
    stopped since it was made raw.
    """

    def __init__(
        self, descriptor: int, interrupts: Interrupts, channels: Iterable[Channel]
    ) -> None:
        self.stale = False
        self._channels = [each for each in channels if each.terminal]
        self._descriptor = descriptor
        self._interrupts = interrupts
        self._before = _retried(partial(termios.tcgetattr, descriptor))

    async def renew(self) -> None:
        """Make it raw again where that is `stale`, but not of a command that is about to end.

        In the background that stops the process, until a shell gives it the terminal again.
        """
        if not self.stale:
            return
        self.stale = False
        if not self._is_ours():
            with anyio.move_on_after(_SETTLING_SECONDS):
                await anyio.sleep_forever()
        if not self._interrupts.count:
            self.enter()

    def enter(self) -> None:
        """Make it raw. In the background this stops the process, as it stops any."""
        if self._before is not None:
            _retried(partial(tty.setraw, self._descriptor, termios.TCSANOW))
            self._tell(raw=True)

    def leave(self) -> None:
        """Make it what it was.

        Not from the background: then a shell has taken the terminal, with modes of its own, and the
        kernel would stop us.
        """
        if self._before is not None and self._is_ours():
            _retried(partial(termios.tcsetattr, self._descriptor, termios.TCSANOW, self._before))
        self._tell(raw=False)

    def _tell(self, *, raw: bool) -> None:
        for channel in self._channels:
            channel.raw = raw

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
