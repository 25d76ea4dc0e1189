"""The words for what a run reports: one vocabulary for notices, the board and the summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from barasync.events import AttemptEnded, CellLeaked, CellRetried
from barasync.matrix.outcome import Outcome, Status
from barasync.terminal_text import one_line

_VERDICTS: Mapping[Status | None, str] = {
    Status.PASSED: "passed",
    Status.FAILED: "failed",
    Status.TIMED_OUT: "timed out",
    Status.OUT_OF_MEMORY: "out of memory",
    Status.CANCELLED: "cancelled",
    Status.INFRASTRUCTURE_ERROR: "error",
    Status.WRONG_PLATFORM: "wrong platform",
    Status.ARTIFACTS_INCOMPLETE: "artifacts incomplete",
    Status.SNAPSHOT_FAILED: "snapshot failed",
    Status.LEAKED: "leaked",
    None: "no verdict",
}
# Bad news first, as a person reads; what passed comes last.
_ORDER = (
    Status.LEAKED,
    Status.INFRASTRUCTURE_ERROR,
    Status.FAILED,
    Status.TIMED_OUT,
    Status.OUT_OF_MEMORY,
    Status.WRONG_PLATFORM,
    Status.ARTIFACTS_INCOMPLETE,
    Status.SNAPSHOT_FAILED,
    Status.CANCELLED,
    None,
    Status.PASSED,
)
_GREEN, _RED, _YELLOW = "32", "31", "33"
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_UNIT = 1024
_UNITS = ("KiB", "MiB", "GiB", "TiB")


def verdict(status: Status | None) -> str:
    """Return the words for a status; `None` is a cell whose record ends before its verdict."""
    return _VERDICTS[status]


def words(outcome: Outcome) -> str:
    """Return the words for an outcome: those for its status, and whether it took a retry."""
    return f"{verdict(outcome.status)}, flaky" if outcome.flaky else verdict(outcome.status)


def verdict_colour(status: Status | None) -> str:
    """Return the SGR code for a status."""
    if status is Status.PASSED:
        return _GREEN
    return _YELLOW if status in {Status.CANCELLED, None} else _RED


def ended_line(event: AttemptEnded | CellLeaked) -> str:
    """Say what became of an attempt in one line: `arm64: failed after 3.1 s: exit code 3`."""
    line = f"{event.cell}: {words(event.outcome)}"
    if isinstance(event, AttemptEnded) and event.attempt > 0:
        line += f" after {duration(event.seconds)}"
    if event.outcome.reason:
        line += f": {one_line(event.outcome.reason)}"
    return f"{line}; trying again" if isinstance(event, CellRetried) else line


def tally(counts: Mapping[Status | None, int]) -> str:
    """Count cells in words, bad news first: `1 failed, 2 passed`."""
    parts = [f"{counts[status]} {verdict(status)}" for status in _ORDER if counts.get(status)]
    return ", ".join(parts) or "no cells"


def count(number: int, noun: str) -> str:
    """Write a number of things: `1 cell`, `6 cells`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def published(ports: Mapping[str, Sequence[str]]) -> str:
    """Write where ports of a container are on the host: `80/tcp at 127.0.0.1:4711`."""
    return "; ".join(f"{port} at {', '.join(places)}" for port, places in ports.items())


def duration(seconds: float) -> str:
    """Write a duration for a person: `12.3 s`, `4 min 5 s`, `2 h 14 min`."""
    tenths = round(max(seconds, 0.0) * 10)
    if tenths < _MINUTE * 10:
        return f"{tenths / 10:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE} s"
    minutes = round(seconds / _MINUTE)
    return f"{minutes // _MINUTE} h {minutes % _MINUTE} min"


def age(seconds: float) -> str:
    """Write how old something is, for a person: `40 s`, `12 min`, `5 h`, `3 d`."""
    for unit, length in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if seconds >= length:
            return f"{seconds // length:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def size(number: int) -> str:
    """Write a number of bytes for a person, in three digits at most: `512 B`, `1.4 MiB`."""
    if number < _UNIT:
        return f"{number} B"
    exponent = 1
    while number >= 999.5 * _UNIT**exponent and exponent < len(_UNITS):
        exponent += 1
    amount = number / _UNIT**exponent
    digits = 1 if amount < 9.95 else 0  # noqa: PLR2004 - see above
    return f"{amount:.{digits}f} {_UNITS[exponent - 1]}"
