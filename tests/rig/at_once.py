"""Runs all tests in several sessions of pytest, two at a time.

    python -m tests.rig.at_once [PYTEST-ARGUMENT…]

A session spends half of its time waiting for podman, so that two take little longer than one. What
the first lane prints is shown as it comes, and what the other one prints is shown whole afterwards.
The exit code is 0 if every session ended with that, 2 after a signal, else 1.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
from anyio.abc import Process

from tests.rig.parts import Part

PROJECT = Path(__file__).parents[2]

LANES = ((Part.HOST,), (Part.TRIXIE, Part.REST))
"""The parts of a lane run one after another."""

PYTEST = ("setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "pytest")
"""A session ends with this process, however that ends, and by way of its fixtures."""


@dataclass(slots=True)
class Session:
    """A command and what came of it; `code` is `None` unless it ended by itself."""

    name: str
    command: Sequence[str]
    code: int | None = None
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
            try:
                await self._read(process, show=show)
                self.code = await process.wait()
            except anyio.get_cancelled_exc_class():
                process.terminate()
                with anyio.CancelScope(shield=True):
                    await self._read(process, show=show)
                    await process.wait()
                raise

    async def _read(self, process: Process, *, show: bool) -> None:
        assert process.stdout is not None
        async for piece in process.stdout:
            self.printed += piece
            if show:
                _show(piece)

    def summary(self) -> str:
        """Return the last line, after the one that counts contract tests where there is one."""
        lines = self.printed.decode(errors="replace").splitlines() or ["nothing was printed"]
        counted = [line for line in lines if line.startswith("contract tests: ")]
        ended = "was ended" if self.code is None else f"exit code {self.code}"
        return "\n".join([*counted, f"{self.name}: {ended}: {lines[-1].strip('= ')}"])


async def run(lanes: Sequence[Sequence[Session]]) -> int:
    """Run the sessions, show what they print, and return the exit code."""
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
    for lane in lanes[1:]:
        for session in lane:
            _show(session.printed)
    sessions = [session for lane in lanes for session in lane]
    for session in sessions:
        _show(f"{session.summary()}\n".encode())
    if any(session.code is None for session in sessions):
        return 2
    return int(any(session.code for session in sessions))


async def _run_lane(lane: Sequence[Session], show: bool) -> None:
    for session in lane:
        await session.run(show=show)


def _show(text: bytes | bytearray) -> None:
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    made = [
        [Session(part, [*PYTEST, "--part", part, *sys.argv[1:]]) for part in lane] for lane in LANES
    ]
    sys.exit(anyio.run(run, made))
