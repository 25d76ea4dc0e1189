"""What kind of output suits a terminal, and its colours: pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from barasync.terminal_text import RESET

_SIGNS = "✓✗–│…"  # noqa: RUF001 - the dash is one of them

_CELL_COLOURS = ("36", "33", "35", "34", "32", "96", "93", "95", "94", "92")


class OutputMode(StrEnum):
    """How a run is shown while it goes on; the values of `--output`."""

    AUTO = "auto"
    LIVE = "live"
    STREAM = "stream"
    GROUP = "group"
    QUIET = "quiet"


def choose_mode(asked: OutputMode, *, terminal: bool, environment: Mapping[str, str]) -> OutputMode:
    """Decide how a run is shown; never `AUTO`.

    Of itself it is the live board on a terminal, a group per cell on GitHub Actions, and the stream
    of prefixed lines everywhere else, on the terminals that other CI services pretend to have too.
    A board that was asked for needs a terminal that can draw; without one it becomes the stream.
    """
    draws = terminal and environment.get("TERM", "dumb") != "dumb"
    if asked is OutputMode.LIVE:
        return OutputMode.LIVE if draws else OutputMode.STREAM
    if asked is not OutputMode.AUTO:
        return asked
    if environment.get("GITHUB_ACTIONS"):
        return OutputMode.GROUP
    return OutputMode.LIVE if draws and not environment.get("CI") else OutputMode.STREAM


def wants_colour(*, terminal: bool, environment: Mapping[str, str]) -> bool:
    """Decide whether our own words are coloured.

    `NO_COLOR` (no-color.org) is stronger than `FORCE_COLOR` (force-color.org), and that than what
    the stream is.
    """
    if environment.get("NO_COLOR"):
        return False
    if environment.get("FORCE_COLOR", "0") not in {"", "0", "false"}:
        return True
    return terminal and environment.get("TERM", "dumb") != "dumb"


@dataclass(frozen=True, slots=True)
class Style:
    """What a stream of text can show: colours, and signs beyond ASCII."""

    colour: bool = False
    unicode: bool = False

    @classmethod
    def of(cls, encoding: str, *, colour: bool) -> Style:
        """Return the style of a stream with this encoding."""
        try:
            _SIGNS.encode(encoding)
        except (UnicodeEncodeError, LookupError):
            return cls(colour=colour)
        return cls(colour=colour, unicode=True)

    def paint(self, text: str, code: str) -> str:
        """Return `text` in a colour, an SGR code, where there are colours and a code."""
        return f"\x1b[{code}m{text}{RESET}" if self.colour and code else text

    def cell(self, text: str, index: int) -> str:
        """Return `text` in the colour of the cell with this place in the plan."""
        return self.paint(text, _CELL_COLOURS[index % len(_CELL_COLOURS)])
