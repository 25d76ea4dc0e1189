"""A command on a terminal of its own, as a person sits before it: what comes, what is typed.

The command runs as the foreground job of a session whose leader does nothing but wait for it, as an
interactive shell does. Were it the leader itself, the kernel would reset the terminal's modes at
its end, and what a test reads of them then would always be right.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from typing import Any

from tests.rig.signals import as_a_shell_shows

SECONDS = 60.0
"""How long is waited for anything, unless a test says otherwise."""

_PIECE_BYTES = 65536

# Says on descriptor REPORT what becomes of the command, and ends when HOLD does. It has lost its
# terminal once that is closed, and has to be there still. Both sides make the group, as shells do:
# neither can go on without it, and a group of the leader's could not be stopped.
_LEADER = """
import fcntl, os, signal, sys, termios
report, hold, stdin, stdout = map(int, sys.argv[1:5])
command = sys.argv[5:]
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
child = os.fork()
if not child:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, os.getpid())
    for number in (signal.SIGTTOU, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    for own, given in ((0, stdin), (1, stdout)):
        if given != own:
            os.dup2(given, own)
    os.closerange(3, 1024)
    os.execvp(command[0], command)
try:
    os.setpgid(child, child)
except PermissionError:
    pass
for given in (stdin, stdout):
    if given > 2:
        os.close(given)
os.write(report, b"pid %d\\n" % child)
while True:
    _, status = os.waitpid(child, os.WUNTRACED | os.WCONTINUED)
    if os.WIFSTOPPED(status):
        os.write(report, b"stopped %d\\n" % os.WSTOPSIG(status))
    elif os.WIFCONTINUED(status):
        os.write(report, b"continued 0\\n")
    else:
        break
os.write(report, b"ended %d\\n" % os.waitstatus_to_exitcode(status))
os.read(hold, 1)
"""


class PseudoTerminal:
    """The other side of a command's terminal. Made by `on_terminal`."""

    def __init__(self, master: int, report: int) -> None:
        self.output = b""
        self.pid = 0
        self.modes_before = termios.tcgetattr(master)
        self._master = master
        self._report = report
        self._reported: list[tuple[str, int]] = []
        self._partial = b""
        self._expected = 0
        self._open = True

    def expect(self, marker: bytes, *, seconds: float = SECONDS) -> bytes:
        """Read until `marker` has come; return what came since the last one, with it.

        Raises:
            AssertionError: it does not come in `seconds`, or the command ends before.
        """
        deadline = monotonic() + seconds
        while (at := self.output.find(marker, self._expected)) < 0:
            ended = self.code is not None
            # What it has printed before its end may still have to be read.
            if not self._step(deadline):
                what = f"the command ended with {self.code}" if ended else f"after {seconds:.0f} s"
                raise AssertionError(f"{marker!r} did not come, {what}: {self._unexpected!r}")
        came = self.output[self._expected : at + len(marker)]
        self._expected = at + len(marker)
        return came

    def send(self, data: bytes) -> None:
        """Type something; waits for room, and reads meanwhile, so that neither side stands still.

        Raises:
            AssertionError: there is no room for it after 60 s.
        """
        deadline = monotonic() + SECONDS
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._master, rest) :]
            except BlockingIOError:
                assert self._step(deadline, select.POLLOUT), f"no room for {len(rest)} bytes"

    def resize(self, columns: int, rows: int) -> None:
        """Give the terminal another size, which the kernel tells its foreground job."""
        _set_size(self._master, columns, rows)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the command, and to nothing else."""
        os.kill(self.pid, number)

    def attributes(self) -> list[Any]:
        """Return the modes that the terminal has now, as `termios.tcgetattr` does."""
        return termios.tcgetattr(self._master)

    def set_attributes(self, attributes: list[Any]) -> None:
        """Give the terminal other modes, as another program that uses it may."""
        termios.tcsetattr(self._master, termios.TCSANOW, attributes)

    def is_raw(self) -> bool:
        """Return whether the terminal hands on every byte at once, and Ctrl-C as one."""
        flags = termios.tcgetattr(self._master)[3]
        return not flags & (termios.ICANON | termios.ECHO | termios.ISIG)

    def hang_up(self) -> None:
        """Close the terminal under the command. It gets no SIGHUP: a shell would pass that on."""
        if self._open:
            self._open = False
            os.close(self._master)

    @property
    def code(self) -> int | None:
        """The exit code as a shell shows it, or `None` while it has not been read.

        It is negative for the number of a signal that does not ask for an end.
        """
        return next((number for what, number in self._reported if what == "ended"), None)

    def wait(self, *, seconds: float = SECONDS, reading: bool = True) -> int:
        """Return the exit code once the command has ended; its output is read meanwhile.

        Without `reading` nothing is: the terminal stands still.

        Raises:
            AssertionError: it goes on after `seconds`.
        """
        self.wait_for("ended", seconds=seconds, reading=reading)
        while reading and self._open and self._read():
            pass
        assert self.code is not None
        return self.code

    def wait_for(self, what: str, *, seconds: float = SECONDS, reading: bool = True) -> None:
        """Wait until the command has `stopped`, `continued` or `ended`, since the last such wait.

        Raises:
            AssertionError: it has not after `seconds`, or has ended instead.
        """
        deadline = monotonic() + seconds
        while not any(reported == what for reported, _ in self._reported):
            assert self.code is None, f"ended with {self.code}, not {what}: {self._unexpected!r}"
            assert self._step(deadline, 0 if reading else None), (
                f"not {what} after {seconds:.0f} s: {self._unexpected!r}"
            )
        if what != "ended":
            self._reported = [entry for entry in self._reported if entry[0] != what]

    @property
    def _unexpected(self) -> bytes:
        return self.output[self._expected :][-2000:]

    def _step(self, deadline: float, also: int | None = 0) -> bool:
        """Take in what comes next; `False` after the deadline. `also`: POLLOUT to stop at room."""
        poll = select.poll()
        poll.register(self._report, select.POLLIN)
        if self._open and also is not None:
            poll.register(self._master, select.POLLIN | also)
        if self.code is not None:
            return bool(self._open and self._read())
        ready = dict(poll.poll(max(0.0, deadline - monotonic()) * 1000))
        if self._report in ready:
            self._take_report()
        if ready.get(self._master, 0) & ~select.POLLOUT:
            self._read()
        return bool(ready)

    def _take_report(self) -> None:
        data = os.read(self._report, _PIECE_BYTES)
        assert data, "the leader of the session is gone"
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            what, number = line.decode().split()
            if what == "pid":
                self.pid = int(number)
            else:
                self._reported.append((what, as_a_shell_shows(int(number))))

    def _read(self) -> bool:
        try:
            data = os.read(self._master, _PIECE_BYTES)
        except BlockingIOError:
            return False
        self.output += data
        return bool(data)

    def _started(self) -> None:
        deadline = monotonic() + SECONDS
        while not self.pid:
            assert self._step(deadline, None), "the session did not start"


@contextmanager
def on_terminal(
    words: Sequence[str],
    *,
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    columns: int = 80,
    rows: int = 24,
    stdin: int | None = None,
    stdout: int | None = None,
) -> Iterator[PseudoTerminal]:
    """Run a command on a new terminal; neither outlives the block.

    `stdin` and `stdout` are descriptors that it gets instead of the terminal's.
    """
    master, slave = pty.openpty()
    report, reports = os.pipe()
    hold, holds = os.pipe()
    os.set_blocking(master, False)
    _set_size(master, columns, rows)
    terminal = PseudoTerminal(master, report)
    given = 0 if stdin is None else stdin, 1 if stdout is None else stdout
    process = subprocess.Popen(
        [sys.executable, "-c", _LEADER, *map(str, (reports, hold, *given)), *words],
        cwd=cwd,
        env=environ,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        pass_fds=[reports, hold, *(descriptor for descriptor in given if descriptor > 1)],
    )
    for descriptor in (slave, reports, hold):
        os.close(descriptor)
    try:
        terminal._started()
        yield terminal
    finally:
        if terminal.pid and terminal.code is None:
            # It may have ended unnoticed, and the leader may have reaped it.
            with suppress(ProcessLookupError):
                os.kill(terminal.pid, signal.SIGKILL)
        os.close(holds)
        terminal.hang_up()
        process.wait(SECONDS)
        os.close(report)


def _set_size(master: int, columns: int, rows: int) -> None:
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
