from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from barasync.events import AnyEvent
from barasync.matrix.outcome import Status
from barasync.report.jsonl import EventLog, read_events
from barasync.report.result import Logs, ResultDocument, reduce_events, write_result
from tests.unit.report_examples import (
    CANCELLED,
    FAILED,
    PASSED,
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

EVENTS: tuple[AnyEvent, ...] = (
    run_started("amd64", "arm64", "riscv64"),
    image_progress("unpacking"),
    started("arm64"),
    started("amd64"),
    container_started("arm64"),
    container_started("amd64"),
    finished("arm64", FAILED),
    finished("amd64"),
    finished("riscv64", CANCELLED, attempt=0),
    run_finished(130),
)


def test_the_run_itself_is_in_the_document() -> None:
    document = reduce_events(EVENTS)

    assert (document.schema, document.run) == (1, "20231114-221320-3f9a")
    assert (document.project, document.rule) == ("/home/u/project", "tests")
    assert (document.barasync, document.podman) == ("0.1.0", "4.3.1")
    assert document.started == datetime(2023, 11, 14, 22, 13, 20, 250_000, tzinfo=UTC)
    assert document.finished == datetime(2023, 11, 14, 22, 13, 32, 500_000, tzinfo=UTC)
    assert (document.seconds, document.exit_code, document.problem) == (12.34, 130, None)
    assert document.counts == {"passed": 1, "failed": 1, "cancelled": 1}


def test_a_cell_has_the_image_that_its_own_was_at_last_whatever_it_ran_in() -> None:
    pinned = [f"r.example/base@sha256:{number}" for number in "123"]
    events = (*EVENTS[:2], image_resolved("arm64"), image_resolved("arm64", *pinned), *EVENTS[2:])

    document = reduce_events(events)

    found = {
        cell.id: (cell.base_id, cell.digest, cell.list_digest, cell.digests, cell.image_id)
        for cell in document.cells
    }
    assert found == {
        "amd64": (None, "", "", (), "1mage"),
        "arm64": ("ba5e", pinned[0], pinned[1], (pinned[2],), "1mage"),
        "riscv64": (None, "", "", (), None),
    }


def test_cells_are_in_the_order_of_the_plan_whatever_order_they_ended_in() -> None:
    assert [cell.id for cell in reduce_events(EVENTS).cells] == ["amd64", "arm64", "riscv64"]


def test_a_cell_carries_its_outcome_and_where_its_logs_are() -> None:
    cell = reduce_events(EVENTS).cells[0]

    assert (cell.platform, cell.image, cell.image_id) == ("linux/amd64", "base", "1mage")
    assert (cell.status, cell.exit_code, cell.seconds) == (Status.PASSED, 0, 3.14)
    assert cell.phases == {"prepare": 0.5, "run": 2.5}
    assert (cell.usage, cell.output, cell.artifacts) == (
        PASSED.usage,
        PASSED.output,
        PASSED.artifacts,
    )
    assert cell.logs == Logs(
        stdout="cells/amd64/stdout.log",
        stderr="cells/amd64/stderr.log",
        output="cells/amd64/output.log",
    )


def test_a_cell_that_never_started_has_no_logs() -> None:
    cell = reduce_events(EVENTS).cells[2]

    assert (cell.status, cell.attempt, cell.logs) == (Status.CANCELLED, 0, None)
    assert cell.reason == "not started: the run was interrupted"


def test_the_last_attempt_is_the_one_that_counts() -> None:
    document = reduce_events(
        [
            run_started("amd64"),
            started("amd64"),
            container_started("amd64"),
            finished("amd64", FAILED),
            started("amd64", attempt=2),
            finished("amd64", PASSED, attempt=2),
        ]
    )
    cell = document.cells[0]

    assert (cell.status, cell.attempt, cell.hint, cell.image_id) == (Status.PASSED, 2, None, None)
    assert cell.logs is not None
    assert cell.logs.output == "cells/amd64/attempt-2/output.log"
    assert document.counts == {"passed": 1}


def test_a_cell_whose_container_was_found_at_the_end_is_leaked() -> None:
    document = reduce_events(
        [run_started("amd64"), started("amd64"), finished("amd64"), leaked("amd64")]
    )
    cell = document.cells[0]

    assert (cell.status, cell.attempt, cell.seconds) == (Status.LEAKED, 1, 3.14)
    assert cell.reason == "container c0ffee could not be removed"
    assert document.counts == {"leaked": 1}


def test_an_attempt_that_was_not_followed_by_another_one_after_all_is_the_last() -> None:
    events = [run_started("amd64"), started("amd64"), retried("amd64"), finished("amd64", FAILED)]
    cell = reduce_events(events).cells[0]

    assert (cell.status, cell.attempt, cell.retried) == (Status.FAILED, 1, ())
    assert cell.logs is not None


def test_a_record_that_was_cut_off_has_no_end_and_cells_without_verdict() -> None:
    document = reduce_events(EVENTS[:-3])

    assert (document.finished, document.exit_code) == (None, None)
    assert [cell.status for cell in document.cells] == [None, Status.FAILED, None]


def test_events_without_a_run_are_refused() -> None:
    with pytest.raises(ValueError, match=r"run\.started"):
        reduce_events([started("amd64")])


def test_the_recorded_events_give_the_same_document(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with EventLog(path) as log:
        for event in EVENTS:
            log.emit(event)

    assert reduce_events(read_events(path)) == reduce_events(EVENTS)


def test_the_document_reads_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    document = reduce_events(EVENTS)

    write_result(path, document)

    assert msgspec.json.decode(path.read_bytes(), type=ResultDocument) == document


def test_the_document_is_json_for_people_and_programs(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(path, reduce_events(EVENTS))
    text = path.read_text()

    assert text.endswith("}\n")
    assert text.startswith('{\n  "schema": 1,\n')
    assert json.loads(text)["started"] == "2023-11-14T22:13:20.250000Z"
    assert json.loads(text)["cells"][1]["status"] == "failed"


def test_a_document_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("older")
    kept = path.open()

    write_result(path, reduce_events(EVENTS))

    with kept:
        assert kept.read() == "older"
    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]


def test_a_document_that_cannot_be_put_in_place_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.mkdir()

    with pytest.raises(IsADirectoryError):
        write_result(path, reduce_events(EVENTS))

    assert [entry.name for entry in tmp_path.iterdir()] == ["result.json"]
