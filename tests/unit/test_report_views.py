from __future__ import annotations

import time
from pathlib import Path

import pytest

from barasync.events import AnyEvent
from barasync.matrix.outcome import Outcome, Status
from barasync.report.board import LiveView
from barasync.report.channel import Channel
from barasync.report.console import View
from barasync.report.frames import Frame, GitHubFrame, PlainFrame
from barasync.report.terminal import OutputMode
from barasync.report.views import GroupView, QuietView, StreamView, view_for
from tests.unit.report_examples import (
    CANCELLED,
    FAILED,
    Capture,
    CellFiles,
    Failing,
    container_started,
    finished,
    image_progress,
    retried,
    run_finished,
    run_started,
    started,
)

RUN = "20231114-221320-3f9a"


class Stage:
    """A view with its devices and log files."""

    def __init__(self, directory: Path, *, terminal: bool = False, colour: bool = False) -> None:
        self.files = CellFiles(directory)
        self.out, self.notices = Capture(), Capture()
        self.channels = (
            Channel(self.out, terminal=terminal, colour=colour),
            Channel(self.notices, terminal=terminal, colour=colour),
        )

    def stream(self) -> StreamView:
        return StreamView(*self.channels, self.files.logs)

    def group(self, frame: Frame | None = None) -> GroupView:
        return GroupView(*self.channels, self.files.logs, frame or PlainFrame())


def show(view: View, *events: AnyEvent) -> None:
    """Let the view take note of events, then show all there is."""
    for event in events:
        view.event(event)
    for _ in range(10_000):
        if view.step() != 0.0:
            return
    raise AssertionError("the view never comes to rest")


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_lines_stand_behind_the_padded_id_of_their_cell(stage: Stage) -> None:
    view = stage.stream()
    stage.files.append("amd64", b"one\n")
    stage.files.append("riscv64", b"two\nthree\n")
    show(view, run_started("amd64", "riscv64"), started("amd64"), started("riscv64"))
    view.written("riscv64")
    view.written("amd64")
    show(view)

    assert stage.out.text == "riscv64 | two\nriscv64 | three\namd64   | one\n"


def test_a_line_is_shown_when_it_is_complete(stage: Stage) -> None:
    view = stage.stream()
    show(view, run_started("amd64"), started("amd64"))
    stage.files.append("amd64", b"half ")
    view.written("amd64")
    show(view)

    assert stage.out.text == ""

    stage.files.append("amd64", b"and half\nrest")
    view.written("amd64")
    show(view)

    assert stage.out.text == "amd64 | half and half\n"

    show(view, finished("amd64"))

    assert stage.out.text == "amd64 | half and half\namd64 | rest\n"


def test_the_end_of_a_cell_is_announced_after_its_last_line(stage: Stage) -> None:
    view = StreamView(stage.channels[0], stage.channels[0], stage.files.logs)
    stage.files.append("amd64", b"last words")
    show(view, run_started("amd64"), started("amd64"), finished("amd64", FAILED))

    assert stage.out.text.splitlines()[-2:] == [
        "amd64 | last words",
        "amd64: failed after 3.1 s: exit code 3",
    ]


def test_notices_go_to_standard_error_and_output_to_standard_output(stage: Stage) -> None:
    view = stage.stream()
    stage.files.append("amd64", b"output\n")
    show(
        view,
        run_started("amd64", "arm64"),
        image_progress("unpacking\n\x1b[2Jpackages"),
        started("amd64"),
        finished("amd64"),
        finished("arm64", CANCELLED, attempt=0),
        run_finished(),
    )

    assert stage.out.text == "amd64 | output\n"
    assert stage.notices.text.splitlines() == [
        f"run {RUN}: 2 cells, podman 4.3.1, record in .barasync/runs/{RUN}",
        "base (linux/arm64): unpacking packages",
        "amd64: started",
        "arm64: cancelled: not started: the run was interrupted",
        "amd64: passed after 3.1 s",
    ]


def test_a_port_is_told_when_its_container_runs(stage: Stage) -> None:
    ports = {"8000/tcp": ("127.0.0.1:4711",)}

    show(stage.stream(), container_started("amd64"), container_started("arm64", ports=ports))

    assert stage.notices.data == b"arm64: published 8000/tcp at 127.0.0.1:4711\n"


def test_cells_that_are_behind_take_turns(stage: Stage) -> None:
    view = stage.stream()
    show(view, run_started("a", "b"), started("a"), started("b"))
    for cell in "ab":
        stage.files.append(cell, b"x" * 63 + b"\n" + (b"y" * 63 + b"\n") * 2047)
        view.written(cell)
    view.step()
    view.step()
    labels = [line[0] for line in stage.out.text.splitlines()]

    assert labels == ["a"] * 1024 + ["b"] * 1024

    show(view)

    assert len(stage.out.text.splitlines()) == 4096


def test_a_backlog_costs_a_piece_of_memory_at_a_time(stage: Stage) -> None:
    view = stage.stream()
    show(view, run_started("a"), started("a"))
    stage.files.append("a", b"0123456789abcde\n" * 65536)
    view.written("a")
    view.step()

    assert len(stage.out.data) == 65536 + 4096 * len("a | ")


def test_a_later_attempt_is_shown_after_the_one_before(stage: Stage) -> None:
    view = stage.stream()
    stage.files.append("amd64", b"first\n")
    stage.files.append("amd64", b"second\n", attempt=2)
    show(
        view,
        run_started("amd64"),
        started("amd64"),
        finished("amd64", FAILED),
        started("amd64", attempt=2),
        finished("amd64", attempt=2),
    )

    assert stage.out.text == "amd64 | first\namd64 | second\n"
    assert "amd64: started again, attempt 2" in stage.notices.text


def test_a_pipe_gets_the_bytes_as_they_are(stage: Stage) -> None:
    view = stage.stream()
    stage.files.append("amd64", b"\x1b[2J\xff\x00caf\xe9\r\n")
    show(view, run_started("amd64"), started("amd64"), finished("amd64"))

    assert stage.out.data == b"amd64 | \x1b[2J\xff\x00caf\xe9\n"


def test_a_terminal_gets_text_that_cannot_wreck_it(tmp_path: Path) -> None:
    stage = Stage(tmp_path, terminal=True, colour=True)
    view = stage.stream()
    stage.files.append("amd64", b"\x1b[2J\x1b[31mred\ncaf\xe9\x07\n")
    show(view, run_started("amd64"), started("amd64"), finished("amd64"))

    label = "\x1b[36mamd64\x1b[0m | "
    assert stage.out.text == f"{label}\x1b[31mred\x1b[0m\n{label}caf\N{REPLACEMENT CHARACTER}^G\n"


def test_each_update_of_a_progress_bar_is_a_line(stage: Stage) -> None:
    view = stage.stream()
    stage.files.append("amd64", b"\r10%\r20%\r\n")
    show(view, run_started("amd64"), started("amd64"), finished("amd64"))

    assert stage.out.text == "amd64 | 10%\namd64 | 20%\n"


def test_a_closed_pipe_stops_the_reading_and_not_the_notices(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    gone = Failing(BrokenPipeError())
    view = StreamView(Channel(gone), stage.channels[1], stage.files.logs)
    stage.files.append("amd64", b"output\n" * 100_000)
    show(view, run_started("amd64"), started("amd64"), finished("amd64"))
    view.close(["summary"])

    assert gone.calls == 1
    assert "amd64: passed" in stage.notices.text


def test_a_log_that_cannot_be_read_is_said_once_and_the_run_goes_on(stage: Stage) -> None:
    view = stage.stream()
    (stage.files.logs("amd64", 1) / "output.log").mkdir(parents=True)
    show(view, run_started("amd64"), started("amd64"), finished("amd64"))

    assert stage.notices.text.count("cannot show the output of a cell") == 1
    assert stage.notices.text.endswith("amd64: passed after 3.1 s\n")


def test_lines_that_never_ended_are_shown_before_the_summary(stage: Stage) -> None:
    view = stage.stream()
    stage.files.append("amd64", b"cut off")
    show(view, run_started("amd64"), started("amd64"))
    view.written("amd64")
    show(view)
    view.close(["summary"])

    assert stage.out.text == "amd64 | cut off\n\nsummary\n"


def test_a_block_per_cell_in_the_order_they_end(stage: Stage) -> None:
    view = stage.group()
    stage.files.append("amd64", b"one\n")
    stage.files.append("arm64", b"two")
    show(view, run_started("amd64", "arm64"), started("amd64"), started("arm64"))
    view.written("amd64")
    show(view, finished("arm64", FAILED), finished("amd64"))
    view.close(["summary"])

    assert stage.out.text == (
        "=== arm64: failed after 3.1 s: exit code 3 ===\ntwo\n\n"
        "=== amd64: passed after 3.1 s ===\none\n\n"
        "summary\n"
    )


def test_an_attempt_that_was_not_followed_by_another_one_has_one_block(stage: Stage) -> None:
    view = stage.group()
    stage.files.append("amd64", b"one\n")
    show(view, run_started("amd64"), started("amd64"), retried("amd64"), finished("amd64", FAILED))

    assert stage.out.text.count("one\n") == 1
    assert "amd64: failed after 3.1 s" in stage.notices.text


def test_a_block_of_any_size_is_whole(stage: Stage) -> None:
    view = stage.group()
    stage.files.append("amd64", b"0123456789abcde\n" * 20_000)
    show(view, run_started("amd64"), started("amd64"), finished("amd64"))

    assert stage.out.text.count("0123456789abcde\n") == 20_000
    assert stage.out.text.count("===") == 2


def test_a_cell_that_never_started_has_a_notice_and_no_block(stage: Stage) -> None:
    view = stage.group()
    show(view, run_started("amd64"), finished("amd64", CANCELLED, attempt=0))

    assert stage.out.text == ""
    assert "amd64: cancelled" in stage.notices.text


def test_github_folds_a_block_and_does_not_listen_to_the_cell(stage: Stage) -> None:
    view = stage.group(GitHubFrame("s3cret"))
    stage.files.append("amd64", b"::add-path::/evil\n::endgroup::\n")
    outcome = Outcome(status=Status.FAILED, reason="100% broken\nreally")
    show(view, run_started("amd64"), started("amd64"), finished("amd64", outcome))

    assert stage.out.text.splitlines() == [
        "::group::amd64: failed after 3.1 s: 100%25 broken really",
        "::stop-commands::s3cret",
        "::add-path::/evil",
        "::endgroup::",
        "::s3cret::",
        "::endgroup::",
        "::error::amd64: failed after 3.1 s: 100%25 broken really",
    ]


def test_github_has_no_annotation_for_a_cell_that_passed(stage: Stage) -> None:
    view = stage.group(GitHubFrame("s3cret"))
    show(view, run_started("amd64"), started("amd64"), finished("amd64"))

    assert "::error::" not in stage.out.text


def test_a_block_that_was_given_up_is_closed(stage: Stage) -> None:
    view = stage.group(GitHubFrame("s3cret"))
    stage.files.append("amd64", b"0123456789abcde\n" * 20_000)
    view.event(run_started("amd64"))
    view.event(finished("amd64"))
    view.step()
    view.close([])

    assert stage.out.text.endswith("\n::s3cret::\n::endgroup::\n")


def test_quiet_shows_the_summary_only(stage: Stage) -> None:
    view = QuietView(stage.channels[0])
    stage.files.append("amd64", b"output\n")
    show(view, run_started("amd64"), started("amd64"), finished("amd64"))
    view.written("amd64")
    show(view)
    view.close(["summary", "lines"])

    assert (stage.out.text, stage.notices.text) == ("summary\nlines\n", "")


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        (OutputMode.QUIET, QuietView),
        (OutputMode.GROUP, GroupView),
        (OutputMode.STREAM, StreamView),
        (OutputMode.LIVE, LiveView),
    ],
)
def test_every_mode_has_its_view(stage: Stage, mode: OutputMode, kind: type) -> None:
    out, notices = stage.channels
    view = view_for(
        mode,
        out=out,
        notices=notices,
        logs=stage.files.logs,
        frame=PlainFrame(),
        clock=time.monotonic,
    )

    assert type(view) is kind
