"""The live board: what every cell is doing, redrawn in place a few times a second.

`Board` is the state and what is to be seen of it; `LiveView` draws it with rich.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from rich.console import Console as RichConsole
from rich.console import ConsoleDimensions
from rich.live import Live
from rich.table import Table
from rich.text import Text

from barasync.events import (
    AdmissionHeld,
    AnyEvent,
    CellFinished,
    CellLeaked,
    CellRetried,
    CellStarted,
    ContainerStarted,
    ImageProgress,
    RunFinished,
    RunStarted,
)
from barasync.matrix.outcome import Outcome, Status
from barasync.report.channel import Channel
from barasync.report.files import OUTPUT_LOG, last_lines
from barasync.report.notices import notice
from barasync.report.terminal import Style
from barasync.report.views import LogsOf
from barasync.report.words import duration, published, tally, words
from barasync.terminal_text import one_line

_REFRESH_SECONDS = 0.2
_LAST_LINE_BYTES = 4096
_WORDS_BELOW = 3


@dataclass(slots=True)
class _CellState:
    """What is known of a cell; `started` and `seconds` as `Board` is told them."""

    id: str
    attempt: int = 0
    started: float | None = None
    seconds: float | None = None
    outcome: Outcome | None = None
    ports: str = ""
    last_line: str = ""

    @property
    def running(self) -> bool:
        return self.started is not None and self.outcome is None

    @property
    def place(self) -> int:
        """Where it belongs when not all cells fit: what needs eyes comes first."""
        if self.running:
            return 0
        if self.outcome is None:
            return 2
        return 3 if self.outcome.passed else 1


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the board."""

    cell: str
    state: str
    elapsed: str
    text: str
    status: Status | None = None


@dataclass(slots=True)
class Board:
    """The state of a run's cells, in the order of the plan; times are seconds of one clock."""

    began: float
    _cells: dict[str, _CellState] = field(default_factory=dict)
    _message: str = ""

    def apply(self, event: AnyEvent, now: float) -> None:
        """Take note of an event."""
        match event:
            case RunStarted():
                self.began = now
                self._cells = {cell.id: _CellState(cell.id) for cell in event.cells}
            case AdmissionHeld():
                self._message = (notice(event, Style()) or "") if event.reason else ""
            case ImageProgress():
                self._message = notice(event, Style()) or ""
            case CellStarted():
                self._cells[event.cell] = _CellState(event.cell, attempt=event.attempt, started=now)
            case CellFinished():
                state = self._cells.setdefault(event.cell, _CellState(event.cell))
                state.outcome, state.seconds = event.outcome, event.seconds
                state.attempt = event.attempt
            case CellLeaked():
                self._cells.setdefault(event.cell, _CellState(event.cell)).outcome = event.outcome
            case CellRetried():
                self._cells[event.cell] = _CellState(event.cell)
            case ContainerStarted():
                self._message = ""
                state = self._cells.setdefault(event.cell, _CellState(event.cell))
                state.ports = published(event.ports)
            case RunFinished():
                self._message = ""

    def attempt(self, cell: str) -> int | None:
        """Return the running attempt of a cell, `None` when it does not run."""
        state = self._cells.get(cell)
        return state.attempt if state is not None and state.running else None

    def show_line(self, cell: str, line: str) -> None:
        """Take note of the last line that a cell has printed."""
        self._cells[cell].last_line = line

    def rows(self, now: float, height: int) -> list[Row]:
        """Return `height` rows at most: all cells in order, or those that need eyes and a count."""
        cells = list(self._cells.values())
        if len(cells) <= height:
            return [_row(cell, now) for cell in cells]
        shown = sorted(cells, key=lambda cell: cell.place)[: max(height - 1, 0)]
        rest = f"and {len(cells) - len(shown)} more"
        return [*(_row(cell, now) for cell in shown), Row(rest, "", "", "")]

    def status_line(self, now: float) -> str:
        """Return the line of counts: `2 running, 5 queued, 1 failed, 3 passed, 12.3 s`."""
        cells = self._cells.values()
        running = sum(cell.running for cell in cells)
        queued = sum(cell.started is None and cell.outcome is None for cell in cells)
        verdicts: dict[Status | None, int] = {}
        for cell in cells:
            if cell.outcome is not None:
                verdicts[cell.outcome.status] = verdicts.get(cell.outcome.status, 0) + 1
        parts = [f"{running} running", f"{queued} queued"]
        if verdicts:
            parts.append(tally(verdicts))
        return ", ".join([*parts, duration(now - self.began)])

    @property
    def message(self) -> str:
        """What is being made for the cells, empty when nothing is."""
        return self._message


def _row(cell: _CellState, now: float) -> Row:
    if cell.outcome is not None:
        elapsed = "" if cell.seconds is None or not cell.attempt else duration(cell.seconds)
        status = cell.outcome.status
        return Row(cell.id, words(cell.outcome), elapsed, one_line(cell.outcome.reason), status)
    if cell.started is not None:
        shown = "  ".join(filter(None, (cell.ports, cell.last_line)))
        return Row(cell.id, "running", duration(now - cell.started), shown)
    return Row(cell.id, "queued", "", "")


class LiveView:
    """Draws the board on a terminal, five times a second at most, and takes it away at the end.

    `clock` is monotonic, in seconds.
    """

    def __init__(self, out: Channel, logs: LogsOf, clock: Callable[[], float]) -> None:
        self._out = out
        self._logs = logs
        self._clock = clock
        self._board = Board(began=clock())
        self._grown: set[str] = set()
        self._due = clock()
        # rich draws into memory, and a drawing goes out in one piece.
        self._drawing = io.StringIO()
        self._rich = RichConsole(
            file=self._drawing,
            force_terminal=True,
            color_system="standard" if out.style.colour else None,
            legacy_windows=False,
            highlight=False,
            markup=False,
            _environ={},
        )
        self._live = Live(
            console=self._rich,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
            transient=True,
        )

    def event(self, event: AnyEvent) -> None:
        """Take note; the next drawing shows it."""
        self._board.apply(event, self._clock())

    def written(self, cell: str) -> None:
        """Take note; the next drawing shows the cell's last line."""
        self._grown.add(cell)

    def step(self) -> float | None:
        """Draw the board when it is due."""
        if self._out.closed:
            return None
        now = self._clock()
        if now < self._due:
            return self._due - now
        self._draw(now)
        self._due = now + _REFRESH_SECONDS
        return _REFRESH_SECONDS

    def close(self, summary: Sequence[str]) -> None:
        """Take the board away, show the cursor again, print the summary."""
        self._live.stop()
        self._send()
        self._out.print(*summary)

    def _draw(self, now: float) -> None:
        self._read_last_lines()
        size = self._out.size()
        self._rich.size = ConsoleDimensions(size.columns, size.lines)
        self._live.start()
        self._live.update(self._table(now, size.lines - _WORDS_BELOW), refresh=True)
        self._send()

    def _send(self) -> None:
        self._out.write(self._out.encode(self._drawing.getvalue()))
        self._drawing.seek(0)
        self._drawing.truncate()

    def _read_last_lines(self) -> None:
        for cell in self._grown:
            attempt = self._board.attempt(cell)
            if attempt is not None:
                path = self._logs(cell, attempt) / OUTPUT_LOG
                for line in last_lines(path, 1, limit_bytes=_LAST_LINE_BYTES):
                    self._board.show_line(cell, one_line(line))
        self._grown.clear()

    def _table(self, now: float, height: int) -> Table:
        grid = Table.grid(padding=(0, 2), expand=True)
        for _ in range(3):
            grid.add_column(no_wrap=True)
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for row in self._board.rows(now, height):
            state = Text(row.state, style=_style(row.status))
            grid.add_row(Text(row.cell), state, Text(row.elapsed), Text(row.text, style="dim"))
        board = Table.grid(expand=True)
        board.add_column(no_wrap=True, overflow="ellipsis")
        board.add_row(grid)
        if self._board.message:
            board.add_row(Text(self._board.message, style="dim"))
        board.add_row(Text(self._board.status_line(now), style="bold"))
        return board


def _style(status: Status | None) -> str:
    if status is None:
        return ""
    if status is Status.PASSED:
        return "green"
    return "yellow" if status is Status.CANCELLED else "red"
