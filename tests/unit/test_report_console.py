from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest
from anyio import to_thread

from barasync.events import AnyEvent
from barasync.report.channel import Channel
from barasync.report.console import Console
from barasync.report.views import StreamView
from tests.unit.report_examples import (
    Capture,
    CellFiles,
    Failing,
    Stalled,
    finished,
    run_started,
    started,
)

pytestmark = pytest.mark.anyio


class Script:
    """A view that keeps what it is told and does what a test wants."""

    def __init__(self, *, endless: bool = False, defect: Exception | None = None) -> None:
        self.told: list[object] = []
        self.stepped = threading.Event()
        self._endless = endless
        self._defect = defect

    def event(self, event: AnyEvent) -> None:
        self.told.append(event)
        if self._defect is not None:
            raise self._defect

    def written(self, cell: str) -> None:
        self.told.append(cell)

    def step(self) -> float | None:
        self.stepped.set()
        return 0.0 if self._endless else None

    def close(self, summary: Sequence[str]) -> None:
        self.told.append(tuple(summary))


async def reached(event: threading.Event) -> None:
    assert await to_thread.run_sync(event.wait, 10), "the console never got there"


def stream(files: CellFiles, device: Capture | Failing) -> StreamView:
    channel = Channel(device)
    return StreamView(channel, channel, files.logs)


async def test_a_view_is_told_everything_in_order_and_the_summary_last() -> None:
    view = Script()
    async with Console(view) as console:
        console.emit(run_started("amd64"))
        console.emit(started("amd64"))
        console.written("amd64")
        console.emit(finished("amd64"))
        await console.finish(["1 passed"])

    assert view.told == [
        run_started("amd64"),
        started("amd64"),
        "amd64",
        finished("amd64"),
        ("1 passed",),
    ]


async def test_a_terminal_that_stands_still_holds_nobody_back_and_loses_nothing(
    tmp_path: Path,
) -> None:
    files, device = CellFiles(tmp_path), Stalled()
    async with Console(stream(files, device)) as console:
        console.emit(run_started("amd64", "arm64"))
        await reached(device.entered)
        for cell in ("amd64", "arm64"):
            console.emit(started(cell))
        for number in range(2000):
            for cell in ("amd64", "arm64"):
                files.append(cell, b"%d\n" % number)
                console.written(cell)
        for cell in ("amd64", "arm64"):
            console.emit(finished(cell))

        assert device.data == b""
        # What waits is a message per event and per cell, whatever was printed.
        assert console._inbox.qsize() == 6

        device.released.set()
        await console.finish(["2 passed"])

    lines = device.text.splitlines()
    assert [line for line in lines if line.startswith("amd64 | ")] == [
        f"amd64 | {number}" for number in range(2000)
    ]
    assert [line for line in lines if line.startswith("arm64 | ")] == [
        f"arm64 | {number}" for number in range(2000)
    ]
    assert lines[-1] == "2 passed"


async def test_output_that_grows_while_it_is_shown_is_announced_again() -> None:
    class Growing(Script):
        def written(self, cell: str) -> None:
            super().written(cell)
            if len(self.told) == 1:
                # As if the engine wrote more at the very moment this view reads.
                console.written(cell)

    view = Growing()
    async with Console(view) as console:
        console.written("amd64")
        await reached(view.stepped)
        while len(view.told) < 2:
            view.stepped.clear()
            await reached(view.stepped)
        await console.finish()

    assert view.told == ["amd64", "amd64", ()]


async def test_a_reader_that_has_gone_fails_nothing(tmp_path: Path) -> None:
    files, device = CellFiles(tmp_path), Failing(BrokenPipeError())
    files.append("amd64", b"output\n")
    async with Console(stream(files, device)) as console:
        console.emit(run_started("amd64"))
        console.emit(started("amd64"))
        console.emit(finished("amd64"))
        await console.finish(["1 passed"])

    assert device.calls == 1


async def test_the_console_outlives_an_engine_that_is_cancelled(tmp_path: Path) -> None:
    files, device = CellFiles(tmp_path), Capture()
    async with Console(stream(files, device)) as console:
        with anyio.CancelScope() as engine:
            engine.cancel()
            console.emit(run_started("amd64"))
            await anyio.sleep_forever()
        console.emit(started("amd64"))
        files.append("amd64", b"cleaned up\n")
        console.emit(finished("amd64"))
        await console.finish(["1 cancelled"])

    assert device.text.splitlines()[-4:] == [
        "amd64 | cleaned up",
        "amd64: passed after 3.1 s",
        "",
        "1 cancelled",
    ]


async def test_cancelling_the_finish_gives_up_on_a_terminal_that_stands_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barasync.report.console._FAREWELL_SECONDS", 0.01)
    files, device = CellFiles(tmp_path), Stalled()
    with anyio.CancelScope() as scope:
        async with Console(stream(files, device)) as console:
            console.emit(run_started("amd64"))
            await reached(device.entered)
            scope.cancel()
            await console.finish(["never shown"])

    assert scope.cancelled_caught
    assert device.data == b""

    device.released.set()
    await to_thread.run_sync(console._thread.join, 10)

    assert not console._thread.is_alive()
    assert "never shown" not in device.text


async def test_giving_up_on_a_backlog_closes_the_view() -> None:
    view = Script(endless=True)
    with anyio.CancelScope() as scope:
        async with Console(view) as console:
            await reached(view.stepped)
            scope.cancel()
            await console.finish(["never shown"])

    assert scope.cancelled_caught
    assert view.told == [()]


async def test_without_finish_the_console_catches_up_and_ends() -> None:
    view = Script()
    async with Console(view) as console:
        console.emit(started("amd64"))

    assert view.told == [started("amd64"), ()]


async def test_an_error_of_the_run_is_shown_after_all_output_and_stays_as_it_is() -> None:
    view = Script()
    with pytest.raises(ValueError, match="of the run"):  # noqa: PT012 - the error crosses it
        async with Console(view) as console:
            console.emit(started("amd64"))
            raise ValueError("of the run")

    assert view.told == [started("amd64"), ()]


async def test_a_defect_of_the_view_is_raised_by_finish_and_not_before() -> None:
    view = Script(defect=ZeroDivisionError("a defect"))
    async with Console(view) as console:
        console.emit(started("amd64"))
        await reached(view.stepped)
        console.written("amd64")
        with pytest.raises(ZeroDivisionError, match="a defect"):
            await console.finish(["summary"])

    assert view.told == [started("amd64"), ()]


async def test_a_defect_of_the_view_does_not_hide_an_error_of_the_run() -> None:
    view = Script(defect=ZeroDivisionError("a defect"))
    with pytest.raises(ValueError, match="of the run"):  # noqa: PT012 - the error crosses it
        async with Console(view) as console:
            console.emit(started("amd64"))
            raise ValueError("of the run")


PROGRAM = """
import sys
from pathlib import Path

import anyio

from barasync.report.channel import Channel, Descriptor
from barasync.report.console import Console
from barasync.report.views import QuietView

async def main(patience):
    out = Channel.of(Descriptor(1), encoding="utf-8", environment={})
    with anyio.move_on_after(patience):
        async with Console(QuietView(out)) as console:
            await console.finish(["line"] * 200_000)
    print("done", file=sys.stderr)

sys.stdout.write(sys.argv[2])
anyio.run(main, float(sys.argv[1]))
"""


def program(patience: float, printed: str = "") -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(patience), printed],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )


def test_a_pipe_that_was_closed_leaves_no_trace_at_the_exit_of_the_interpreter() -> None:
    with program(30, printed="kept in a buffer until the exit") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1) == b"l"
        process.stdout.close()

        assert process.stderr.read() == b"done\n"
        assert process.wait(10) == 0


def test_a_reader_that_stands_still_does_not_hold_up_the_exit_of_the_interpreter() -> None:
    with program(0.3) as process:
        assert process.stdout is not None
        assert process.stderr is not None

        assert process.stderr.read() == b"done\n"
        assert process.wait(10) == 0
        # A pipe full of lines that nobody has read until now.
        assert len(process.stdout.read()) >= 64 * 1024
