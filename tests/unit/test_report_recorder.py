from __future__ import annotations

from pathlib import Path

import pytest

from barasync.aiopodman.wire.frames import Chunk, Stream
from barasync.artifacts.place import Place
from barasync.events import AnyEvent
from barasync.report.files import RunDirectory
from barasync.report.jsonl import EventLog, read_events
from barasync.report.recorder import Recorder
from barasync.report.result import reduce_events
from tests.unit.report_examples import finished, run_finished, run_started, started

pytestmark = pytest.mark.anyio


class Audience:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.events: list[AnyEvent] = []
        self.cells: list[str] = []

    def emit(self, event: AnyEvent) -> None:
        self.events.append(event)

    def written(self, cell: str) -> None:
        self.cells.append(cell)


async def test_a_run_is_recorded_and_told(tmp_path: Path) -> None:
    directory, audience = RunDirectory(tmp_path), Audience()
    events = [run_started("amd64"), started("amd64"), finished("amd64"), run_finished()]
    with EventLog(directory.events) as log:
        recorder = Recorder(directory, log, audience, artifacts=Place(-1, tmp_path))
        for event in events[:2]:
            recorder.emit(event)
        async with recorder.open_log("amd64", 1) as cell_log:
            await cell_log.write(Chunk(Stream.STDOUT, b"output"))
        for event in events[2:]:
            recorder.emit(event)

    assert audience.events == events
    assert audience.cells == ["amd64"]
    assert (tmp_path / "cells" / "amd64" / "stdout.log").read_bytes() == b"output"
    assert recorder.document() == reduce_events(read_events(directory.events))
    assert recorder.problems == ()


async def test_what_could_not_be_recorded_is_named(tmp_path: Path) -> None:
    (tmp_path / "cells").touch()
    directory = RunDirectory(tmp_path)
    directory.events.touch()
    with EventLog(directory.events) as log:
        recorder = Recorder(directory, log, Audience(), artifacts=Place(-1, tmp_path))
        recorder.emit(run_started("amd64"))
        async with recorder.open_log("amd64", 1) as cell_log:
            await cell_log.write(Chunk(Stream.STDOUT, b"output"))
    first, second = recorder.problems

    assert first.startswith("the output of amd64 is incomplete on disk: ")
    assert second.startswith("the record of this run is incomplete: ")
    assert recorder.document().run == run_started().run
