"""Notices: what barasync itself says while a run goes on, one line each, on standard error."""

from __future__ import annotations

from barasync.events import (
    AdmissionHeld,
    AnyEvent,
    AttemptEnded,
    CellLeaked,
    CellStarted,
    ContainerStarted,
    ImageProgress,
    ImageResolved,
    RunFinished,
    RunStarted,
)
from barasync.report.terminal import Style
from barasync.report.words import count, ended_line, published, verdict_colour
from barasync.terminal_text import one_line


def notice(event: AnyEvent, style: Style) -> str | None:
    """Return what is to be said of an event, `None` for one that needs no words."""
    match event:
        case RunStarted():
            cells = count(len(event.cells), "cell")
            return f"run {event.run}: {cells}, podman {event.podman}, record in {event.directory}"
        case ImageProgress():
            return f"{event.image} ({event.platform}): {one_line(event.message)}"
        case AdmissionHeld():
            return _admission(event)
        case CellStarted():
            again = f" again, attempt {event.attempt}" if event.attempt > 1 else ""
            return f"{event.cell}: started{again}"
        case AttemptEnded() | CellLeaked():
            return style.paint(ended_line(event), verdict_colour(event.outcome.status))
        case ImageResolved() | ContainerStarted() | RunFinished():
            return _published(event) if isinstance(event, ContainerStarted) else None


def _published(event: ContainerStarted) -> str | None:
    if not event.ports:
        return None
    return f"{event.cell}: published {published(event.ports)}"


def _admission(event: AdmissionHeld) -> str:
    if not event.reason:
        return "there is memory again, cells are started as usual"
    return f"{event.reason}: no more cells are started until some have ended"
