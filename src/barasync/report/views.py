"""The views for streams of text: every line as it arrives, a block per cell, or the end only.

Cells' output and the summary go to standard output; notices, what barasync itself has to say, go to
standard error.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from barasync.events import AnyEvent, CellFinished, CellRetried, CellStarted, RunStarted
from barasync.report.channel import Channel
from barasync.report.console import View
from barasync.report.files import OUTPUT_LOG
from barasync.report.follow import PIECE_BYTES, Follower, LabelledLines
from barasync.report.frames import Frame
from barasync.report.notices import notice
from barasync.report.terminal import OutputMode

LogsOf = Callable[[str, int], Path]
"""Gives the directory of the logs of a cell's attempt (`RunDirectory.logs`)."""

_Attempt = tuple[str, int]


class QuietView:
    """Shows the summary only."""

    def __init__(self, out: Channel) -> None:
        self._out = out

    def event(self, event: AnyEvent) -> None:
        """Say nothing."""

    def written(self, cell: str) -> None:
        """Show nothing."""

    def step(self) -> float | None:
        """Wait for the end."""
        return None

    def close(self, summary: Sequence[str]) -> None:
        """Print the summary."""
        self._out.print(*summary)


class StreamView:
    """Shows the output of all cells as it arrives, each line behind the id of its cell.

    Cells that are behind take turns, a piece of 64 KiB each. A cell's end is announced after its
    last line.
    """

    def __init__(self, out: Channel, notices: Channel, logs: LogsOf) -> None:
        self._out = out
        self._notices = notices
        self._logs = logs
        self._places: dict[str, int] = {}
        self._width = 0
        self._latest: dict[str, _Attempt] = {}
        self._feeds: dict[_Attempt, _Feed] = {}
        self._behind: deque[_Attempt] = deque()

    def event(self, event: AnyEvent) -> None:
        """Print a notice; a cell's end waits until its output has been shown."""
        match event:
            case RunStarted():
                self._places = {cell.id: place for place, cell in enumerate(event.cells)}
                self._width = max(map(len, self._places), default=0)
            case CellStarted():
                key = event.cell, event.attempt
                self._latest[event.cell] = key
                self._feeds[key] = _Feed.of(self._logs(*key), self._label(event.cell), self._out)
            case CellRetried() | CellFinished() if (event.cell, event.attempt) in self._feeds:
                key = event.cell, event.attempt
                self._feeds[key].finished = event
                self._queue(key)
                return
            case _:
                pass
        _announce(self._notices, event)

    def written(self, cell: str) -> None:
        """Queue a cell that has something to show."""
        key = self._latest.get(cell)
        if key in self._feeds:
            self._queue(key)

    def step(self) -> float | None:
        """Show a piece of the output of the cell whose turn it is."""
        if not self._behind:
            return None
        key = self._behind.popleft()
        feed = self._feeds[key]
        if feed.show(self._notices):
            self._behind.append(key)
        elif feed.finished is not None:
            feed.end()
            _announce(self._notices, feed.finished)
            del self._feeds[key]
        return 0.0 if self._behind else None

    def close(self, summary: Sequence[str]) -> None:
        """Print what is left of lines that never ended, and the summary set off from them."""
        for feed in self._feeds.values():
            feed.end()
        if summary:
            self._out.print("", *summary)

    def _queue(self, key: _Attempt) -> None:
        if key not in self._behind:
            self._behind.append(key)

    def _label(self, cell: str) -> str:
        padded = cell.ljust(self._width)
        return f"{self._out.style.cell(padded, self._places.get(cell, 0))} | "


class GroupView:
    """Shows the output of a cell as one block when the cell has ended, in the order they end."""

    def __init__(self, out: Channel, notices: Channel, logs: LogsOf, frame: Frame) -> None:
        self._out = out
        self._notices = notices
        self._logs = logs
        self._frame = frame
        self._ended: deque[CellRetried | CellFinished] = deque()
        self._retried: dict[str, int] = {}
        self._block: tuple[CellRetried | CellFinished, _Feed] | None = None

    def event(self, event: AnyEvent) -> None:
        """Queue a cell that has ended; print a notice of everything else."""
        match event:
            case CellRetried():
                self._retried[event.cell] = event.attempt
                self._ended.append(event)
            # One that was not tried again after all has had its block.
            case CellFinished() if event.attempt > self._retried.get(event.cell, 0):
                self._ended.append(event)
            case _:
                _announce(self._notices, event)

    def written(self, cell: str) -> None:
        """Show nothing: the output waits for the cell's end."""

    def step(self) -> float | None:
        """Show a piece of the current block, or open the next one."""
        if self._block is None:
            if not self._ended:
                return None
            event = self._ended.popleft()
            self._out.print(*self._frame.head(event, self._out.style))
            self._block = event, _Feed.of(self._logs(event.cell, event.attempt), "", self._out)
        if not self._block[1].show(self._notices):
            self._end_block()
        return 0.0

    def close(self, summary: Sequence[str]) -> None:
        """End a block that was given up, then print the summary."""
        self._end_block()
        self._out.print(*summary)

    def _end_block(self) -> None:
        if self._block is None:
            return
        event, feed = self._block
        feed.end()
        self._out.print(*self._frame.foot(event, self._out.style))
        self._block = None


def view_for(
    mode: OutputMode,
    *,
    out: Channel,
    notices: Channel,
    logs: LogsOf,
    frame: Frame,
    clock: Callable[[], float],
) -> View:
    """Return the view for a mode that `choose_mode` gave; `clock` is monotonic, in seconds."""
    match mode:
        case OutputMode.QUIET:
            return QuietView(out)
        case OutputMode.GROUP:
            return GroupView(out, notices, logs, frame)
        case OutputMode.LIVE:
            # rich takes 60 ms to import; only the board needs it.
            from barasync.report.board import LiveView  # noqa: PLC0415 - as said

            return LiveView(out, logs, clock)
        case OutputMode.STREAM | OutputMode.AUTO:
            return StreamView(out, notices, logs)


@dataclass(slots=True)
class _Feed:
    """The output of one attempt on its way to a channel."""

    follower: Follower
    lines: LabelledLines
    out: Channel
    finished: CellRetried | CellFinished | None = None

    @classmethod
    def of(cls, logs: Path, label: str, out: Channel) -> _Feed:
        return cls(Follower(logs / OUTPUT_LOG), LabelledLines(label, out), out)

    def show(self, notices: Channel) -> bool:
        """Show a piece; return whether there is more."""
        if self.out.closed:
            return False
        try:
            piece = self.follower.read()
        except OSError as error:
            notices.print(f"cannot show the output of a cell: {error}")
            return False
        self.out.write(self.lines.feed(piece))
        return len(piece) == PIECE_BYTES

    def end(self) -> None:
        """Show the last line if it did not end."""
        self.out.write(self.lines.finish())


def _announce(notices: Channel, event: AnyEvent) -> None:
    line = notice(event, notices.style)
    if line is not None:
        notices.print(line)
