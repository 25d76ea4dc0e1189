"""What signals do: before a command's work, during it, and after it.

It changes by one system call for each signal: at no moment does one do what it does by default.
Only when all is cleared up does the process die of the signal that ended its command. A shell that
waits for it goes on with its script where it merely exits, and is to stop.
"""

from __future__ import annotations

import atexit
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from barasync.errors import EXIT_INTERRUPTED

# SIGQUIT too, as for ssh and make: it is Ctrl-\ at a terminal, where all that it does by default is
# a core dump of the interpreter, and what runs would be left behind. SIGABRT still makes one.
_SIGNALS = (signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGHUP)
# Dying of SIGQUIT would make a core dump after all: make, too, only exits then.
_MORTAL = frozenset(_SIGNALS) - {signal.SIGQUIT}
_OF_A_SHELL = 128

_came: list[signal.Signals] = []
"""The signal that asked for an end first, once one has."""
_due: list[signal.Signals] = []
"""The same, once it is known that it has ended the command."""


def heeded() -> tuple[signal.Signals, ...]:
    """Return the signals that ask a command to end.

    Those are none of them that are ignored since whoever started the process wanted that: SIGHUP
    under nohup, SIGINT for what a shell's script has in the background.
    """
    return tuple(number for number in _SIGNALS if signal.getsignal(number) is not signal.SIG_IGN)


def take_as_ctrl_c() -> None:
    """Have each of `heeded` raise `KeyboardInterrupt` in the main thread."""
    for number in heeded():
        signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    came(signal.Signals(number))
    raise KeyboardInterrupt


def came(number: signal.Signals) -> None:
    """Remember that a signal asked for an end, or what is the same: the first one counts.

    One that is ignored since whoever started the process wanted that does not.
    """
    if not _came and number in heeded():
        _came.append(number)


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
                signal.signal(number, _note_end)
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


def _note_end(number: int, _frame: FrameType | None) -> None:
    came(signal.Signals(number))


def take_as_haste(code: int) -> None:
    """Have each of `heeded` end the process at once, as it ends anyway with this exit code.

    For when nothing is left to do but to end: what was printed has to be flushed before.
    """

    def leave(number: int, _frame: FrameType | None) -> None:
        came(signal.Signals(number))
        _die(code)
        os._exit(_shown(code))

    for number in heeded():
        signal.signal(number, leave)
    # The interpreter restores what a signal does by default some time before it ends the process.
    atexit.register(_ignore)


def _shown(code: int) -> int:
    """Return what a shell shows of a command whose exit code says that it was interrupted."""
    return _OF_A_SHELL + _came[0] if code == EXIT_INTERRUPTED and _came else code


def exit_code_of(status: int) -> int | None:
    """Return the exit code of a command of ours from what `os.waitpid` gives, `None` if killed.

    Of one that has died in order it is what a shell shows.
    """
    code = os.waitstatus_to_exitcode(status)
    if -code in _MORTAL:
        return _OF_A_SHELL - code
    return None if code < 0 else code


def die_in_the_end() -> None:
    """Have the process die, when all else is done, of the signal that `ended_with` knows of.

    Of the functions that are registered for the exit the first one is called last.
    """
    atexit.register(_die_if_due)


def ended_with(code: int) -> int:
    """Take note of how a command has ended; return the exit code for a process that cannot die.

    As one that is the first of a container.
    """
    if code == EXIT_INTERRUPTED:
        _due.extend(_came)
    return _shown(code)


def _die_if_due() -> None:
    if _due:
        for stream in (sys.stdout, sys.stderr):
            # As nobody may be there to read it.
            with suppress(OSError):
                stream.flush()
        _die(EXIT_INTERRUPTED)


def _die(code: int) -> None:
    """Die of the signal that has interrupted a command, if its exit code says that one has."""
    if code == EXIT_INTERRUPTED and _came and _came[0] in _MORTAL:
        act_by_default(_came[0])


def _ignore() -> None:
    for number in heeded():
        signal.signal(number, signal.SIG_IGN)
