from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from types import MappingProxyType
from typing import get_args

import pytest

from barasync.errors import ConfigError
from barasync.events import AnyEvent
from barasync.matrix.outcome import Collected, Outcome, Status
from barasync.report.jsonl import EventLog, encode, read_events
from tests.unit.report_examples import (
    FAILED,
    admission_held,
    container_started,
    finished,
    image_progress,
    image_resolved,
    leaked,
    retried,
    run_finished,
    run_started,
    started,
)

EVERY_KIND: tuple[AnyEvent, ...] = (
    run_started("amd64", "arm64"),
    image_progress("unpacking"),
    image_resolved("arm64", "r.example/base@sha256:1"),
    started("amd64"),
    container_started("amd64"),
    finished("amd64"),
    admission_held("512 MiB of memory are available"),
    retried("arm64", FAILED),
    finished("arm64", FAILED, attempt=2),
    leaked("arm64"),
    run_finished(1, "podman went away"),
)


def test_the_examples_cover_every_kind_of_event() -> None:
    assert {type(event) for event in EVERY_KIND} == {*get_args(AnyEvent)}


def test_every_event_reads_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        for event in EVERY_KIND:
            log.emit(event)

    assert tuple(read_events(path)) == EVERY_KIND


def test_an_event_is_one_line_that_names_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        log.emit(image_progress("two\nlines"))

    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {
            "event": "image.progress",
            "at": 1_700_000_000.5,
            "image": "base",
            "platform": "linux/arm64",
            "message": "two\nlines",
        }
    ]


def test_an_event_is_on_disk_when_emit_returns_by_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    real, sizes = os.write, []
    with EventLog(path) as log:
        monkeypatch.setattr(
            "barasync.report.jsonl.os.write",
            lambda fd, data: sizes.append(len(data)) or real(fd, data),
        )
        log.emit(started("amd64"))

        assert tuple(read_events(path)) == (started("amd64"),)
        assert sizes == [path.stat().st_size]


def test_a_read_only_mapping_is_recorded() -> None:
    outcome = Outcome(status=Status.PASSED, phases=MappingProxyType({"run": 1.5}))

    assert json.loads(encode(finished("amd64", outcome)))["outcome"]["phases"] == {"run": 1.5}


def test_names_that_are_not_utf8_are_recorded_escaped(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    hostile = os.fsdecode(b"caf\xe9")
    collected = Collected(source="/a", destination=None, refused=(f"{hostile}: a device",))
    with EventLog(path) as log:
        log.emit(finished("amd64", Outcome(status=Status.PASSED, artifacts=(collected,))))

    (event,) = read_events(path)

    assert event.outcome.artifacts[0].refused == (r"caf\udce9: a device",)


def test_a_last_line_that_was_cut_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(encode(started("amd64")) + b"\n" + encode(started("arm64"))[:-4])

    assert tuple(read_events(path)) == (started("amd64"),)


def test_an_event_of_a_later_version_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event": "cell.warmed", "at": 1.0}\n' + encode(started("amd64")) + b"\n")

    assert tuple(read_events(path)) == (started("amd64"),)


def test_a_field_of_a_later_version_is_ignored(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(
        b'{"event": "cell.started", "at": 1.0, "cell": "a", "attempt": 1, "node": "n"}\n'
    )

    assert [event.cell for event in read_events(path)] == ["a"]


@pytest.mark.parametrize(
    "line", [b"not json\n", b'{"event": "cell.started", "at": "noon"}\n', b"[]\n", b"\n", b"\xff\n"]
)
def test_a_line_that_is_no_event_is_an_error_that_names_it(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(encode(started("amd64")) + b"\n" + line + encode(started("arm64")) + b"\n")

    with pytest.raises(ConfigError, match=r"events\.jsonl:2: not an event"):
        tuple(read_events(path))


def test_a_record_that_is_not_there_is_an_error_with_a_hint(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file") as caught:
        tuple(read_events(tmp_path / "events.jsonl"))

    assert caught.value.hint is not None


def test_a_full_disk_stops_the_record_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "events.jsonl"
    real = os.write

    def nearly_full(descriptor: int, data: bytes) -> int:
        if path.stat().st_size:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, bytes(data[:10]))

    with EventLog(path) as log:
        monkeypatch.setattr("barasync.report.jsonl.os.write", nearly_full)
        log.emit(started("amd64"))
        monkeypatch.undo()
        log.emit(started("arm64"))

    assert log.problem is not None
    assert log.problem.errno == errno.ENOSPC
    assert path.stat().st_size == 10
    assert tuple(read_events(path)) == ()


def test_a_record_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(b"of another run\n")

    with EventLog(path) as log:
        log.emit(started("amd64"))

    assert isinstance(log.problem, FileExistsError)
    assert path.read_bytes() == b"of another run\n"
