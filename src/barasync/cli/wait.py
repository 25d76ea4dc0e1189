"""`barasync wait`: what was begun in the background, as if it had been here."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from barasync.cli.background import Waiter
from barasync.cli.background_entries import Ended, awaited, shown, taken
from barasync.cli.standard_streams import STDERR, STDOUT, CannotWrite
from barasync.config.load import find
from barasync.errors import EXIT_NOT_PASSED, ConfigError
from barasync.report.channel import Channel, Descriptor

EXIT_STILL_RUNS = 124

_LONGEST_SECONDS = 1e9
# The first signal may come just before we wait, and then another one has to end that.
_AGAIN_SECONDS = 0.1
_PIECE_BYTES = 1 << 16


def wait(
    key: Annotated[
        str,
        typer.Argument(
            metavar="KEY", help="What --background of run or matrix was given.", show_default=False
        ),
    ],
    *,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", help="Seconds to wait at most.", metavar="SECONDS"),
    ] = None,
    waiter: Waiter = None,
) -> None:
    """Wait for what was begun in the background with KEY; its output is ours, and its exit code.

    First all of its stdout, then all of its stderr. What is taken so is gone.
    """
    if timeout is not None and not 0 <= timeout <= _LONGEST_SECONDS:
        raise ConfigError(f"--timeout: {timeout:g} is not a number of seconds")
    file = find(Path.cwd())
    project = Path.cwd() if file is None else file.parent
    named = "what was begun with these words" if waiter else shown(key)
    with awaited(project, key, waiter) as lock:
        if not _wait(lock, timeout):
            typer.echo(f"barasync: {named} still runs after {timeout:g} s", err=True)
            raise typer.Exit(EXIT_STILL_RUNS)
        with taken(project, key, lock, waiter) as ended:
            code = _replay(ended)
            if ended.code is None:
                typer.echo(
                    f"barasync: {named} was killed before its end\n"
                    "  hint: `barasync clean` removes what it has left",
                    err=True,
                )
    raise typer.Exit(code)


def _wait(lock: int, seconds: float | None) -> bool:
    """Wait for a lock that others may have as well; tell whether we have it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    else:
        return True
    if seconds is None:
        fcntl.flock(lock, fcntl.LOCK_SH)
        return True
    if not seconds:
        return False
    signal.signal(signal.SIGALRM, _give_up)
    # Whoever has started us may have had it blocked.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGALRM})
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN_SECONDS)
            fcntl.flock(lock, fcntl.LOCK_SH)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except TimeoutError:
        return False
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
    return True


def _give_up(_number: int, _frame: FrameType | None) -> None:
    # One has ended the waiting: the next would come where nobody expects it.
    signal.setitimer(signal.ITIMER_REAL, 0)
    raise TimeoutError


def _replay(ended: Ended) -> int:
    """Print what was printed, byte for byte; return the exit code.

    A reader who has left changes nothing about that, and has had it.

    Raises:
        CannotWrite: stdout or stderr takes nothing.
    """
    for source, number in ((ended.stdout, STDOUT), (ended.stderr, STDERR)):
        channel = Channel(Descriptor(number), encoding=sys.stdout.encoding)
        while not channel.closed and (piece := os.read(source, _PIECE_BYTES)):
            channel.write(piece)
        if channel.problem is not None:
            raise CannotWrite.because(number, channel.problem)
    return EXIT_NOT_PASSED if ended.code is None else ended.code
