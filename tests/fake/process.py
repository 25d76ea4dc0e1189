"""The process of a container, and what watches it in the place of conmon."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import anyio

from barasync.aiopodman import Stream
from tests.fake.wire import Refusal

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
READ_BYTES = 8192
TIMED_OUT = -1

_SIGNAL_BASE = 128
_WAIT = 'unset PWD OLDPWD; read -r _ && exec "$0" "$@" </dev/null'
_NOT_FOUND = "OCI runtime attempted to invoke a command that was not found"


def executable(name: str, work_dir: Path, path: str) -> str:
    """Return the program that a command names, as crun looks for it.

    Raises:
        Refusal: there is none, or it cannot be executed.
    """
    if "/" in name:
        found: str | None = str(work_dir / name)
    else:
        found = shutil.which(name, path=path)
    if found is None or not os.path.lexists(found):
        text = f"crun: executable file `{name}` not found in $PATH: No such file or directory"
        raise Refusal(500, _NOT_FOUND, f"{text}: {_NOT_FOUND}")
    if not (Path(found).is_file() and os.access(found, os.X_OK)):
        text = f"crun: open executable: Permission denied: OCI permission denied ({name})"
        raise Refusal(500, "OCI permission denied", text)
    return found


class Process:
    """A command of this host in a session of its own, which waits to be started.

    Whoever starts it has to `watch` it, else `end_waiting` is due.
    """

    def __init__(
        self, command: Sequence[str], *, program: str, work_dir: Path, env: Mapping[str, str]
    ) -> None:
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", _WAIT, program, *command[1:]],
            cwd=work_dir,
            env=dict(env),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The process ID of the command."""
        return self._process.pid

    def start(self) -> None:
        """Execute the command."""
        assert self._process.stdin is not None
        with self._process.stdin as told:
            told.write(b"\n")

    def end_waiting(self) -> None:
        """End what was never started."""
        self.kill_all()
        self.reap()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def send(self, number: int) -> None:
        """Send a signal to the command, which was not reaped yet."""
        os.kill(self.pid, number)

    async def watch(
        self, take: Callable[[Stream, bytes], Awaitable[None]], *, seconds: float | None
    ) -> int:
        """Pass all output to `take` until the command has ended; return its exit code.

        What the command started dies with it, as in a PID namespace. After `seconds` it is killed,
        and the exit code is -1. When cancelled, the command goes on and nobody reads its output.
        """
        outputs = {Stream.STDOUT: self._process.stdout, Stream.STDERR: self._process.stderr}
        timed_out = False
        try:
            async with anyio.create_task_group() as group:
                for stream, output in outputs.items():
                    group.start_soon(_pass_on, stream, output, take)
                with anyio.move_on_after(seconds):
                    await self.ended()
                    seconds = None
                timed_out = seconds is not None
                self.kill_all()
                await self.ended()
        finally:
            for output in outputs.values():
                assert output is not None
                output.close()
        code = self.reap()
        if timed_out:
            return TIMED_OUT
        return code if code >= 0 else _SIGNAL_BASE - code

    async def ended(self) -> None:
        """Wait until the command has ended; it is not reaped."""
        descriptor = os.pidfd_open(self.pid)
        try:
            await anyio.wait_readable(descriptor)
        finally:
            os.close(descriptor)

    def kill_all(self) -> None:
        """Kill the command, and everything in its session's process group."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def reap(self) -> int:
        """Return what a command came to that has ended or was killed."""
        return self._process.wait()


async def _pass_on(
    stream: Stream,
    output: IO[bytes] | None,
    take: Callable[[Stream, bytes], Awaitable[None]],
) -> None:
    assert output is not None
    while True:
        await anyio.wait_readable(output.fileno())
        data = os.read(output.fileno(), READ_BYTES)
        if not data:
            return
        await take(stream, data)
