from __future__ import annotations

import os
import re
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest

from barasync.report.board import Board, LiveView, Row
from barasync.report.channel import Channel, Descriptor
from barasync.report.console import Console
from tests.unit.report_examples import (
    CANCELLED,
    FAILED,
    LEAKED,
    Capture,
    CellFiles,
    Failing,
    container_started,
    finished,
    image_progress,
    leaked,
    run_started,
    size,
    started,
)


class Clock:
    """A clock that a test turns."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def board(*cells: str) -> Board:
    board = Board(began=0.0)
    board.apply(run_started(*cells), 100.0)
    return board


def test_cells_are_shown_in_the_order_of_the_plan() -> None:
    seen = board("amd64", "arm64", "riscv64", "s390x")
    seen.apply(started("arm64"), 101.0)
    seen.show_line("arm64", "compiling")
    seen.apply(started("amd64"), 101.0)
    seen.apply(finished("amd64", FAILED), 104.14)
    seen.apply(finished("s390x", CANCELLED, attempt=0), 105.0)

    assert seen.rows(105.0, 10) == [
        Row("amd64", "failed", "3.1 s", "exit code 3", FAILED.status),
        Row("arm64", "running", "4.0 s", "compiling"),
        Row("riscv64", "queued", "", ""),
        Row("s390x", "cancelled", "", CANCELLED.reason, CANCELLED.status),
    ]


def test_a_cell_that_is_found_to_be_leaked_shows_it() -> None:
    seen = board("amd64")
    seen.apply(started("amd64"), 101.0)
    seen.apply(finished("amd64"), 104.14)
    seen.apply(leaked("amd64"), 105.0)

    assert seen.rows(105.0, 10) == [Row("amd64", "leaked", "3.1 s", LEAKED.reason, LEAKED.status)]


def test_on_a_small_terminal_the_cells_that_need_eyes_come_first() -> None:
    seen = board("passed", "queued", "failed", "running")
    for cell in ("passed", "failed", "running"):
        seen.apply(started(cell), 101.0)
    seen.apply(finished("passed"), 102.0)
    seen.apply(finished("failed", FAILED), 102.0)

    assert [row.cell for row in seen.rows(103.0, 3)] == ["running", "failed", "and 2 more"]
    assert [row.cell for row in seen.rows(103.0, 4)] == ["passed", "queued", "failed", "running"]
    assert [row.cell for row in seen.rows(103.0, 0)] == ["and 4 more"]


def test_the_counts_of_a_run() -> None:
    seen = board("a", "b", "c", "d", "e")
    for cell in "abc":
        seen.apply(started(cell), 101.0)
    seen.apply(finished("a"), 102.0)
    seen.apply(finished("b", FAILED), 102.0)

    assert seen.status_line(112.3) == "1 running, 2 queued, 1 failed, 1 passed, 12.3 s"


def test_a_cell_that_starts_again_runs_again() -> None:
    seen = board("amd64")
    seen.apply(started("amd64"), 101.0)
    seen.apply(finished("amd64", FAILED), 102.0)

    assert seen.attempt("amd64") is None

    seen.apply(started("amd64", attempt=2), 103.0)

    assert seen.attempt("amd64") == 2
    assert seen.rows(104.0, 5) == [Row("amd64", "running", "1.0 s", "")]


def test_a_port_is_shown_beside_its_cell_as_long_as_it_runs() -> None:
    seen = board("amd64", "arm64")
    for cell, ports in (("amd64", {"8000/tcp": ("127.0.0.1:4711",)}), ("arm64", None)):
        seen.apply(started(cell), 101.0)
        seen.apply(container_started(cell, ports=ports), 101.0)
    seen.show_line("amd64", "listening")

    assert [row.text for row in seen.rows(102.0, 10)] == [
        "8000/tcp at 127.0.0.1:4711  listening",
        "",
    ]
    seen.apply(finished("amd64", FAILED), 104.0)
    assert seen.rows(105.0, 10)[0].text == "exit code 3"


def test_what_is_being_made_is_said_until_a_container_runs() -> None:
    seen = board("amd64")
    seen.apply(image_progress("unpacking"), 101.0)

    assert seen.message == "base (linux/arm64): unpacking"

    seen.apply(container_started("amd64"), 102.0)

    assert seen.message == ""


@pytest.fixture
def clock() -> Clock:
    return Clock()


def text(device: Capture) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", device.text)


def test_the_board_is_drawn_five_times_a_second_at_most(tmp_path: Path, clock: Clock) -> None:
    device = Capture()
    view = LiveView(Channel(device, terminal=True), CellFiles(tmp_path).logs, clock)
    view.event(run_started("amd64"))

    assert view.step() == pytest.approx(0.2)
    assert "1 queued" in text(device)

    drawn = len(device.data)
    clock.now += 0.15
    view.event(started("amd64"))

    assert view.step() == pytest.approx(0.05)
    assert len(device.data) == drawn

    clock.now += 0.05

    assert view.step() == pytest.approx(0.2)
    assert "1 running" in text(device)


def test_the_board_shows_the_last_line_of_a_cell_without_its_controls(
    tmp_path: Path, clock: Clock
) -> None:
    device, files = Capture(), CellFiles(tmp_path)
    files.append("amd64", b"first\n\x1b[31mcompiling\x1b[2J [bold]zlib.c\n")
    view = LiveView(
        Channel(device, terminal=True, colour=True, size=size(100, 30)), files.logs, clock
    )
    for event in (run_started("amd64", "arm64"), started("amd64")):
        view.event(event)
    view.written("amd64")
    view.written("arm64")
    view.step()

    assert "compiling [bold]zlib.c" in text(device)
    assert "first" not in text(device)
    assert "\x1b[2J" not in device.text


def test_the_board_is_never_taller_or_wider_than_the_terminal(tmp_path: Path, clock: Clock) -> None:
    device, files = Capture(), CellFiles(tmp_path)
    cells = [f"cell-{number}" for number in range(50)]
    view = LiveView(Channel(device, terminal=True, size=size(40, 10)), files.logs, clock)
    view.event(run_started(*cells))
    for cell in cells:
        files.append(cell, b"x" * 500 + b"\n")
        view.event(started(cell))
        view.written(cell)
    view.step()
    lines = text(device).strip("\r\n").split("\n")

    assert len(lines) <= 10
    assert max(map(len, lines)) <= 40
    assert "and 44 more" in text(device)


def test_nothing_is_drawn_once_the_terminal_is_gone(tmp_path: Path, clock: Clock) -> None:
    device = Failing(BrokenPipeError())
    view = LiveView(Channel(device, terminal=True), CellFiles(tmp_path).logs, clock)
    view.step()

    assert view.step() is None

    view.close(["summary"])

    assert device.calls == 1


def test_a_board_that_was_never_drawn_leaves_the_summary_only(tmp_path: Path, clock: Clock) -> None:
    device = Capture()
    LiveView(Channel(device, terminal=True), CellFiles(tmp_path).logs, clock).close(["1 passed"])

    assert device.text == "1 passed\n"


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    leader, follower = os.openpty()
    yield leader, follower
    os.close(follower)
    os.close(leader)


@pytest.mark.anyio
async def test_a_terminal_is_left_as_it_was_found(
    tmp_path: Path, clock: Clock, terminal: tuple[int, int]
) -> None:
    leader, follower = terminal
    before = termios.tcgetattr(follower)
    channel = Channel.of(
        Descriptor(follower), encoding="utf-8", environment={"TERM": "xterm-256color"}
    )
    async with Console(LiveView(channel, CellFiles(tmp_path).logs, clock)) as console:
        console.emit(run_started("amd64"))
        await console.finish(["1 passed"])
    # The kernel hands over what was written piece by piece.
    shown = ""
    while not shown.endswith("1 passed\r\n"):
        shown += os.read(leader, 65536).decode()

    assert termios.tcgetattr(follower) == before
    assert shown.count("\x1b[?25l") == 1
    assert shown.count("\x1b[?25h") == 1
    assert shown.index("\x1b[?25l") < shown.index("\x1b[?25h")
    # The board is gone, line by line, and nothing follows the summary.
    assert shown.rindex("\x1b[2K") < shown.index("1 passed")
    assert "\x1b[?1049h" not in shown
