"""`--background KEY` of `run` and `matrix`: the same run, by a process that outlives its caller.

Where podman was asked before which network a name means, the event loop of that is closed and its
threads have ended; where one has not, nothing is begun. With neither, two processes are forked:

- a **guard** in a session of its own, which waits for the other and notes what it ended with: the
  kernel tells that however it ended, and a process that is killed cannot;
- the **run**, which returns into the command and goes on as in the foreground. Its stdin is at its
  end, its output goes to the files of the entry, and it has no other descriptor of the caller: one
  of a pipe would keep a reader waiting, one of a lock would hold that.

The caller's process ends with 0 once the run no longer depends on it. The lock of the entry, which
that has taken, is inherited: it is free when both others are gone.
"""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from barasync.cli.background_entries import Begun, begin, shown
from barasync.cli.signals import exit_code_of
from barasync.cli.standard_streams import STDERR, STDIN, STDOUT
from barasync.errors import ConfigError, EngineUnavailable

if TYPE_CHECKING:
    from barasync.cli.cell_options import RunOptions
    from barasync.matrix.plan import Plan

_LONGEST_IN_A_LINE = 60
_DIGITS = 20

Background = Annotated[
    str | None,
    typer.Option(
        "--background",
        help="Begin it, and end: `barasync wait KEY` waits for it and has its output and its code.",
        metavar="KEY",
    ),
]

Waiter = Annotated[
    str | None,
    typer.Option(
        "--waiter",
        help="The command that waits for it, with words that its users know in place of a KEY.",
        metavar="COMMAND",
        hidden=True,
    ),
]


def goes_on(
    key: str | None,
    project: Path,
    plan: Plan,
    asked: RunOptions,
    environ: Mapping[str, str],
    *,
    waiter: str | None = None,
) -> bool:
    """Return whether this process is to carry out the plan, the one in the background if `key`.

    It is called once, before there is a thread: where there is a key it returns in two processes.
    `waiter` is the command that is said to wait for it, `barasync wait` without one.

    Raises:
        ConfigError: what else would be found in the background, or the entry cannot be made.
        EngineUnavailable: there can be no process, or a thread is left of what podman was asked.
    """
    if key is None:
        return True
    if not key:
        raise ConfigError("--background: the key is empty")
    _require_values(plan, asked, environ)
    _require_no_threads()
    begun = begin(project, key)
    if begun is None:
        _note(f"{'it' if waiter else shown(key)} runs already in the background")
        return False
    process = _fork(begun)
    if process is None:
        return True
    begun.close()
    waits = f"`{waiter}` with the same words" if waiter else f"`barasync wait -- {_named(key)}`"
    _note(f"it runs in the background as process {process}; {waits} waits for it")
    return False


def _named(key: str) -> str:
    return shlex.quote(key) if len(key) <= _LONGEST_IN_A_LINE and key.isprintable() else "KEY"


def _require_values(plan: Plan, asked: RunOptions, environ: Mapping[str, str]) -> None:
    """Find mistakes in names and secrets, which a run looks at only when the client is loaded.

    That has no threads, but takes 0.2 s: it is not loaded without need.
    """
    asked.snapshots(plan.cells)
    if any(cell.settings.secrets for cell in plan.cells):
        from barasync.cli.secrets import read_secrets  # noqa: PLC0415 - as said

        read_secrets(plan, environ)


def _require_no_threads() -> None:
    """Refuse to fork beside a thread, which the new process would lack, but not what it locked."""
    left = threading.active_count() - 1
    if left:
        raise EngineUnavailable(
            "nothing is begun in the background: what podman was asked before has not come to an"
            " end",
            hint="`barasync doctor` says whether podman answers; without --background it is no"
            " matter",
        )


def _fork(begun: Begun) -> int | None:
    """Return the ID of the process in the background, and `None` in that process.

    Raises:
        EngineUnavailable: there can be no more processes.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    told, tell = os.pipe()
    # Neither half of it is to be left by a signal.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        try:
            guard = os.fork()
        except OSError:
            guard = -1
        if guard == 0:
            _guard(begun, tell)
            return None
        os.close(tell)
        process = b"" if guard < 0 else os.read(told, _DIGITS)
        os.close(told)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    if not process:
        begun.undo()
        raise EngineUnavailable(
            "a process for the background could not be made",
            hint="`ulimit -u` and the limits of the control group say how many there may be",
        )
    return int(process)


def _guard(begun: Begun, tell: int) -> None:
    """Be the guard of the process that this returns in."""
    try:
        os.setsid()
        process = os.fork()
        if process == 0:
            _be_alone(begun.stdout, begun.stderr, keep=(begun.lock, tell))
            # There is no terminal whose end it could tell of.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            # The caller may have been killed by now.
            with suppress(BrokenPipeError):
                os.write(tell, str(os.getpid()).encode())
            os.close(tell)
            return
    except OSError:
        os._exit(1)
    _watch(begun, process)


def _watch(begun: Begun, process: int) -> NoReturn:
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        _be_alone(nothing, nothing, keep=(begun.lock,))
        _, status = os.waitpid(process, 0)
        code = exit_code_of(status)
        if code is not None:
            begun.end(code)
    finally:
        # Whoever waits is told that it was killed where the code could not be noted.
        os._exit(0)


def _be_alone(stdout: int, stderr: int, *, keep: Collection[int]) -> None:
    """Have no descriptor of whoever has started this process."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, number in ((nothing, STDIN), (stdout, STDOUT), (stderr, STDERR)):
        os.dup2(source, number)
    for path in Path("/proc/self/fd").iterdir():
        descriptor = int(path.name)
        if descriptor not in {STDIN, STDOUT, STDERR, *keep}:
            # That of the listing itself is closed already.
            with suppress(OSError):
                os.close(descriptor)


def _note(line: str) -> None:
    typer.echo(f"note: {line}", err=True)
