from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from barasync.errors import ConfigError
from barasync.report.files import BuildDirectory, RunDirectory, last_lines

NOW = datetime(2026, 11, 23, 22, 45, 1, 987654, tzinfo=UTC)


def tokens(*values: str) -> Callable[[int], str]:
    supply = iter(values)
    return lambda _: next(supply)


def test_a_run_is_named_after_its_second_and_a_token(tmp_path: Path) -> None:
    directory = RunDirectory.create(tmp_path, now=NOW, token=tokens("3f9a"))

    assert directory.run == "20261123-224501-3f9a"
    assert directory.path == tmp_path / ".barasync" / "runs" / "20261123-224501-3f9a"
    assert directory.path.is_dir()


def test_a_build_is_named_like_a_run(tmp_path: Path) -> None:
    directory = BuildDirectory.create(tmp_path, now=NOW, token=tokens("3f9a"))

    builds = tmp_path / ".barasync" / "builds"
    assert directory.build == "20261123-224501-3f9a"
    assert directory.path == builds / directory.build
    assert (builds / "latest").resolve() == directory.path
    assert (tmp_path / ".barasync" / ".gitignore").read_text() == "*\n"


def test_a_build_that_logged_nothing_leaves_nothing(tmp_path: Path) -> None:
    empty = BuildDirectory.create(tmp_path, now=NOW, token=tokens("3f9a"))
    empty.remove_if_empty()
    builds = tmp_path / ".barasync" / "builds"
    assert list(builds.iterdir()) == []

    logged = BuildDirectory.create(tmp_path, now=NOW, token=tokens("0001"))
    (logged.path / "tool-arm64.log").write_text("said\n")
    logged.remove_if_empty()
    assert sorted(path.name for path in builds.iterdir()) == [logged.build, "latest"]


def test_the_token_is_asked_for_four_hexadecimal_digits(tmp_path: Path) -> None:
    asked: list[int] = []

    def token(length: int) -> str:
        asked.append(length)
        return "0" * 2 * length

    RunDirectory.create(tmp_path, now=NOW, token=token)

    assert asked == [2]


def test_runs_of_one_second_never_share_a_directory(tmp_path: Path) -> None:
    first = RunDirectory.create(tmp_path, now=NOW, token=tokens("3f9a"))
    second = RunDirectory.create(tmp_path, now=NOW, token=tokens("3f9a", "3f9a", "0001"))

    assert first.run == "20261123-224501-3f9a"
    assert second.run == "20261123-224501-0001"


def test_a_token_that_never_changes_is_an_error_and_no_endless_loop(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path, now=NOW, token=lambda _: "3f9a")

    with pytest.raises(ConfigError, match="names in a row are taken"):
        RunDirectory.create(tmp_path, now=NOW, token=lambda _: "3f9a")


def test_git_ignores_everything_below_the_state_directory(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path, now=NOW, token=tokens("3f9a"))

    assert (tmp_path / ".barasync" / ".gitignore").read_text() == "*\n"


def test_a_gitignore_of_the_users_own_is_kept(tmp_path: Path) -> None:
    (tmp_path / ".barasync").mkdir()
    (tmp_path / ".barasync" / ".gitignore").write_text("runs\n")

    RunDirectory.create(tmp_path, now=NOW, token=tokens("3f9a"))

    assert (tmp_path / ".barasync" / ".gitignore").read_text() == "runs\n"


def test_latest_points_at_the_newest_run(tmp_path: Path) -> None:
    RunDirectory.create(tmp_path, now=NOW, token=tokens("0001"))
    newest = RunDirectory.create(tmp_path, now=NOW, token=tokens("0002"))
    latest = tmp_path / ".barasync" / "runs" / "latest"

    assert latest.readlink() == Path(newest.run)
    assert sorted(path.name for path in latest.parent.iterdir()) == [
        "20261123-224501-0001",
        "20261123-224501-0002",
        "latest",
    ]


def test_a_directory_named_latest_does_not_stop_a_run(tmp_path: Path) -> None:
    latest = tmp_path / ".barasync" / "runs" / "latest"
    latest.mkdir(parents=True)

    directory = RunDirectory.create(tmp_path, now=NOW, token=tokens("0001"))

    assert sorted(path.name for path in latest.parent.iterdir()) == [directory.run, "latest"]
    assert not latest.is_symlink()


def test_a_project_that_cannot_hold_a_record_is_a_clear_error(tmp_path: Path) -> None:
    (tmp_path / ".barasync").write_text("a file is in the way")

    with pytest.raises(ConfigError, match=r"no place for the record .*\.barasync/runs: ") as caught:
        RunDirectory.create(tmp_path, now=NOW, token=tokens("0001"))

    assert caught.value.hint is not None


def test_the_paths_of_a_run(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path)

    assert run.events == tmp_path / "events.jsonl"
    assert run.result == tmp_path / "result.json"
    assert run.logs("arm64-debug") == tmp_path / "cells" / "arm64-debug"
    assert run.logs("arm64-debug", 2) == tmp_path / "cells" / "arm64-debug" / "attempt-2"
    assert run.artifacts == tmp_path / "artifacts"


def test_the_last_lines_of_a_log_are_its_last_lines_with_text(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    log.write_bytes(b"one\n\ntwo  \nthree\n   \n\n")

    assert last_lines(log, 2) == ("two", "three")
    assert last_lines(log, 10) == ("one", "two", "three")


def test_a_progress_bar_shows_its_last_state(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    log.write_bytes(b"start\n10%\r20%\r30%")

    assert last_lines(log, 1) == ("30%",)


def test_only_the_end_of_a_large_log_is_read_and_no_line_without_its_beginning(
    tmp_path: Path,
) -> None:
    log = tmp_path / "output.log"
    log.write_bytes(b"a long first line\nsecond\nthird\n")

    assert last_lines(log, 10, limit_bytes=16) == ("second", "third")


def test_one_enormous_line_shows_its_end(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    log.write_bytes(b"x" * 1000 + b"end")

    assert last_lines(log, 10, limit_bytes=8) == ("xxxxxend",)


def test_bytes_that_are_no_text_are_replaced(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    log.write_bytes(b"caf\xe9\n")

    assert last_lines(log, 1) == ("caf\N{REPLACEMENT CHARACTER}",)


def test_a_log_that_is_not_there_has_no_lines(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "output.log", 10) == ()
