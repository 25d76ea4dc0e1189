"""Runs all tests in several sessions of pytest, two at a time.

    python -m tests.rig.at_once [PYTEST-ARGUMENT…]

A session spends half of its time waiting for podman, so that two take little longer than one. What
the first lane prints is shown as it comes, and what the other one prints is shown whole afterwards;
until then its last line, every few minutes. All that a session prints is in a file in the cache of
the tests as well, for when this process is killed.
The exit code is 0 if every session ended with that, 2 after a signal, else 1.
"""

from __future__ import annotations

import io
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import anyio
from anyio.abc import Process

from tests.rig.debian import CACHE
from tests.rig.parts import Part

PROJECT = Path(__file__).parents[2]

LANES = ((Part.HOST,), (Part.TRIXIE, Part.REST))
"""The parts of a lane run one after another."""

TELL_SECONDS = 300.0

PYTEST = ("setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "pytest")
"""A session ends with this process, however that ends, and by way of its fixtures."""


@dataclass(slots=True)
class Session:
    """A command and what came of it; `code` is `None` unless it ended by itself.

    What it prints goes to `log`, too.
    """

    name: str
    command: Sequence[str]
    log: BinaryIO = field(default_factory=io.BytesIO)
    code: int | None = None
    running: bool = False
    printed: bytearray = field(default_factory=bytearray)

    async def run(self, *, show: bool) -> None:
        """Run it to its end; when cancelled it is asked to end, and waited for."""
        async with await anyio.open_process(
            self.command,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.STDOUT,
            cwd=PROJECT,
            # A terminal's Ctrl-C comes to us alone, and from us to it, once.
            start_new_session=True,
        ) as process:
            self.running = True
            try:
                await self._read(process, show=show)
                self.code = await process.wait()
            except anyio.get_cancelled_exc_class():
                process.terminate()
                with anyio.CancelScope(shield=True):
                    await self._read(process, show=show)
                    await process.wait()
                raise
            finally:
                self.running = False

    async def _read(self, process: Process, *, show: bool) -> None:
        assert process.stdout is not None
        async for piece in process.stdout:
            self.printed += piece
            self.log.write(piece)
            if show:
                _show(piece)

    def summary(self) -> str:
        """Return the last line, after the one that counts contract tests where there is one."""
        counted = [line for line in self._lines() if line.startswith("contract tests: ")]
        ended = "was ended" if self.code is None else f"exit code {self.code}"
        return "\n".join([*counted, f"{self.name}: {ended}: {self.last_line()}"])

    def last_line(self) -> str:
        """Return the last line so far, without what decorates it."""
        return (self._lines() or ["nothing was printed"])[-1].strip("= ")

    def _lines(self) -> list[str]:
        return self.printed.decode(errors="replace").splitlines()


async def run(lanes: Sequence[Sequence[Session]], tell_seconds: float = TELL_SECONDS) -> int:
    """Run the sessions, show what they print, and return the exit code."""
    try:
        await _run_lanes(lanes, tell_seconds)
    finally:
        for lane in lanes[1:]:
            for session in lane:
                _show(session.printed)
    sessions = [session for lane in lanes for session in lane]
    for session in sessions:
        _show(f"{session.summary()}\n".encode())
    if any(session.code is None for session in sessions):
        return 2
    return int(any(session.code for session in sessions))


async def _run_lanes(lanes: Sequence[Sequence[Session]], tell_seconds: float) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        async with anyio.create_task_group() as group:

            async def give_up() -> None:
                async for _ in signals:
                    group.cancel_scope.cancel()

            async def finish() -> None:
                async with anyio.create_task_group() as running:
                    for lane in lanes:
                        running.start_soon(_run_lane, lane, lane is lanes[0])
                group.cancel_scope.cancel()

            group.start_soon(give_up)
            group.start_soon(finish)
            group.start_soon(_tell, [each for lane in lanes[1:] for each in lane], tell_seconds)


async def _tell(sessions: Sequence[Session], seconds: float) -> None:
    """Let who reads what is shown see that the sessions that are not shown go on."""
    while True:
        await anyio.sleep(seconds)
        for session in sessions:
            if session.running:
                _show(f"\n{session.name}, meanwhile: {session.last_line()}\n".encode())


async def _run_lane(lane: Sequence[Session], show: bool) -> None:
    for session in lane:
        await session.run(show=show)


def _show(text: bytes | bytearray) -> None:
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def _main() -> int:
    CACHE.mkdir(parents=True, exist_ok=True)
    with ExitStack() as files:

        def session(part: Part) -> Session:
            log = (CACHE / f"session-{part}.log").open("wb", buffering=0)
            command = [*PYTEST, "--part", part, *sys.argv[1:]]
            return Session(part, command, files.enter_context(log))

        return anyio.run(run, [[session(part) for part in lane] for lane in LANES])


if __name__ == "__main__":
    sys.exit(_main())
