"""What signals do: before a command's work, during it, and after it.

It changes by one system call for each signal: at no moment does one do what it does by default.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# SIGQUIT too, as for ssh and make: it is Ctrl-\ at a terminal, where all that it does by default is
# a core dump of the interpreter, and what runs would be left behind. SIGABRT still makes one.
_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)


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


@contextmanager
def noted() -> Iterator[socket.socket]:
    """Have each of `heeded` write a byte that can be read from what is given, and nothing else.

    It is for the block; what they do after it has to be said before its end. The byte is the number
    of the signal, and others may be written as well. Source: `signal.set_wakeup_fd`.
    """
    read, write = socket.socketpair()
    with read, write:
        read.setblocking(False)
        write.setblocking(False)
        signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)
        try:
            for number in heeded():
                signal.signal(number, _note)
            yield read
        finally:
            signal.set_wakeup_fd(-1)


@contextmanager
def noting(number: signal.Signals) -> Iterator[None]:
    """Have one more signal written to what `noted` gives, for the block, and nothing else done.

    One that is ignored since whoever started the process wanted that stays ignored.
    """
    before = signal.getsignal(number)
    if before is signal.SIG_IGN:
        yield
        return
    signal.signal(number, _note)
    try:
        yield
    finally:
        signal.signal(number, before)


def act_by_default(number: signal.Signals) -> None:
    """Do what a signal does to a process that says nothing about it; returns if that is no end.

    Of SIGTSTP it returns after SIGCONT, or at once where no shell could continue the process.
    """
    before = signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)
    signal.signal(number, before)


def _note(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: the interpreter has written the byte."""


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
