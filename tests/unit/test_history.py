"""What is remembered of cells, and what becomes of the file it is kept in."""

from __future__ import annotations

import json
import tempfile
import threading
from pathlib import Path

import pytest

from barasync.engine import history as module
from barasync.engine.history import Ended, History, Record, read_history, remember
from barasync.matrix.outcome import Status
from tests.unit.projects import without_privileges


def ended(
    seconds: float, status: Status = Status.PASSED, *, rule: str = "tests", cell: str = "amd64"
) -> Ended:
    return Ended(rule=rule, cell=cell, status=status, seconds=seconds)


def history(*attempts: Ended) -> History:
    known = History()
    for attempt in attempts:
        known.note(attempt)
    return known


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.json"


def test_nothing_is_known_of_a_cell_that_never_ran() -> None:
    assert History().seconds("tests", "amd64") is None
    assert not History().failed("tests", "amd64")


def test_a_duration_is_the_mean_of_the_last_and_of_what_was_remembered() -> None:
    known = history(ended(8), ended(4, Status.FAILED), ended(2))

    assert known.seconds("tests", "amd64") == 4


def test_cells_are_remembered_by_rule() -> None:
    known = history(ended(8, rule="tests"), ended(1, rule="lints"))

    assert known.seconds("tests", "amd64") == 8
    assert known.seconds("lints", "amd64") == 1


def test_a_timeout_says_that_a_cell_takes_at_least_so_long() -> None:
    assert history(ended(5, Status.TIMED_OUT)).seconds("tests", "amd64") == 5
    assert history(ended(2), ended(5, Status.TIMED_OUT)).seconds("tests", "amd64") == 5
    assert history(ended(9), ended(5, Status.TIMED_OUT)).seconds("tests", "amd64") == 9


def test_running_out_of_memory_is_a_failure_without_a_duration() -> None:
    known = history(ended(1, Status.OUT_OF_MEMORY))

    assert known.seconds("tests", "amd64") is None
    assert known.failed("tests", "amd64")


@pytest.mark.parametrize(
    "status",
    [Status.FAILED, Status.TIMED_OUT, Status.OUT_OF_MEMORY, Status.ARTIFACTS_INCOMPLETE],
)
def test_a_cell_that_did_not_pass_has_failed_until_it_passes(status: Status) -> None:
    assert history(ended(1, status)).failed("tests", "amd64")
    assert not history(ended(1, status), ended(1)).failed("tests", "amd64")


@pytest.mark.parametrize(
    "status",
    [
        Status.CANCELLED,
        Status.INFRASTRUCTURE_ERROR,
        Status.WRONG_PLATFORM,
        Status.LEAKED,
    ],
)
def test_what_says_nothing_about_the_cell_changes_nothing(status: Status) -> None:
    assert list(history(ended(1, status))) == []
    known = history(ended(4, Status.FAILED), ended(1, status))
    assert known.seconds("tests", "amd64") == 4
    assert known.failed("tests", "amd64")


def test_the_preparation_of_an_image_is_not_the_cells_own_time() -> None:
    phases = {"image": 20.0, "workspace": 10.0, "run": 2.0}

    assert Ended.of("tests", "amd64", Status.PASSED, 33.0, phases) == ended(3)
    assert Ended.of("tests", "amd64", Status.PASSED, 29.0, phases) == ended(0)


def test_what_comes_after_a_cell_has_given_its_claims_back_is_not_its_own_time() -> None:
    collected = {"run": 2.0, "collect": 20.0, "remove": 10.0}

    assert Ended.of("tests", "amd64", Status.PASSED, 33.0, collected) == ended(3)
    assert Ended.of("tests", "amd64", Status.PASSED, 3.0, {"remove": 1.0}) == ended(3)


def test_only_the_newest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_RECORDS", 2)
    known = history(*(ended(1, cell=cell) for cell in ("a", "b", "a", "c")))

    assert [record.cell for record in known] == ["a", "c"]


def test_a_rule_too_long_to_keep_is_not_kept() -> None:
    assert list(history(ended(1, rule="x" * 501))) == []


def test_what_is_remembered_is_read_again(path: Path) -> None:
    remember(path, [ended(4), ended(2, Status.FAILED, cell="arm64")])
    remember(path, [ended(2)])

    known = read_history(path)
    assert known.seconds("tests", "amd64") == 3
    assert known.failed("tests", "arm64")
    assert [entry.name for entry in path.parent.iterdir()] == ["history.json"]


def test_a_rule_that_is_no_text_is_remembered_too(path: Path) -> None:
    remember(path, [ended(4, rule="te\udc80sts")])

    assert read_history(path).seconds("te\udc80sts", "amd64") == 4


def test_no_file_is_no_history(path: Path) -> None:
    assert list(read_history(path)) == []


RECORD = {"rule": "tests", "cell": "amd64", "seconds": 1.0, "failed": False}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\x00",
        b'{"schema":1,"records":[{"ru',
        b"[" * 100_000,
        b'{"schema":1,"records":[{"rule":"\xff","cell":"amd64"}]}',
        json.dumps({"schema": 2, "records": [RECORD]}).encode(),
        json.dumps({"schema": 1, "records": [{**RECORD, "seconds": -1}]}).encode(),
        json.dumps({"schema": 1, "records": [{**RECORD, "seconds": 1e300}]}).encode(),
        b'{"schema":1,"records":[{"rule":"tests","cell":"amd64","seconds":1e999}]}',
        json.dumps({"schema": 1, "records": [{**RECORD, "seconds": "1"}]}).encode(),
    ],
    ids=range(10),
)
def test_a_damaged_file_is_as_good_as_none_and_is_replaced(path: Path, content: bytes) -> None:
    path.write_bytes(content)

    assert list(read_history(path)) == []
    remember(path, [ended(2)])
    assert list(read_history(path)) == [Record(rule="tests", cell="amd64", seconds=2.0)]


def test_a_file_without_end_is_not_read_to_its_end(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(path, [ended(2)])
    monkeypatch.setattr(module, "_MOST_BYTES", 10)

    assert list(read_history(path)) == []


def test_a_file_that_may_not_be_read_is_replaced() -> None:
    with tempfile.TemporaryDirectory() as directory:  # everybody can reach it, unlike pytest's
        Path(directory).chmod(0o777)
        path = Path(directory, "history.json")
        path.touch(mode=0)
        with without_privileges():
            assert list(read_history(path)) == []
            remember(path, [ended(2)])
            assert read_history(path).seconds("tests", "amd64") == 2


def test_what_cannot_be_written_is_an_error_that_leaves_nothing(path: Path) -> None:
    path.mkdir()

    with pytest.raises(OSError, match=r"history\.json"):
        remember(path, [ended(2)])
    assert [entry.name for entry in path.parent.iterdir()] == ["history.json"]


def test_runs_that_end_together_leave_a_whole_file(path: Path) -> None:
    def run(number: int) -> None:
        for _ in range(20):
            remember(path, [ended(1, cell=f"cell{number}")])

    runs = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for each in runs:
        each.start()
    for each in runs:
        each.join()

    assert set(json.loads(path.read_text())) == {"schema", "records"}
    assert list(read_history(path))
    assert [entry.name for entry in path.parent.iterdir()] == ["history.json"]
