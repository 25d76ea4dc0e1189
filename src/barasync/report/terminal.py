"""What may be sent to a terminal, and what kind of output suits it: pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

_SIGNS = "✓✗–│…"  # noqa: RUF001 - the dash is one of them
RESET = "\x1b[0m"

_CELL_COLOURS = ("36", "33", "35", "34", "32", "96", "93", "95", "94", "92")

# ECMA-48 and xterm's control sequences. No part of a pattern can match what starts the next one, so
# matching takes linear time whatever a container sends.
_CONTROL = re.compile(
    r"(?P<sgr>\x1b\[[0-9;:]*m)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: cursor, erase, modes, alternate screen
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])"  # OSC, DCS, SOS, PM, APC: titles, clipboard
    r"[^\x00-\x1f\x7f-\x9f]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b[ -/]*[0-~]"  # two-character escapes: reset, character sets, save cursor
    r"|(?P<stray>[\x00-\x08\x0a-\x1f\x7f-\x9f])"
)
_HARMLESS = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f-\x9f]*")
_C1_START, _C1_END = 0x80, 0xA0


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


def neutralise(line: str, *, sgr: bool) -> str:
    """Return a line of a container's output that cannot wreck the terminal it is shown on.

    Sequences that move the cursor, switch screens or set titles and the clipboard are left out,
    other control characters are shown in caret notation, tabs stay. Colours (SGR) stay with `sgr`,
    and are reset at the end of the line.
    """
    kept = False

    def replacement(match: re.Match[str]) -> str:
        nonlocal kept
        if match["stray"] is not None:
            return _visible(match["stray"])
        if sgr and match["sgr"] is not None:
            kept = True
            return match["sgr"]
        return ""

    line = _CONTROL.sub(replacement, line)
    return line + RESET if kept else line


def one_line(text: str) -> str:
    """Return a message on one line, without control characters; for words we did not choose."""
    return neutralise(" ".join(text.split()), sgr=False)


def neutralise_lines(text: str) -> str:
    """Return lines of output, joined by newlines, each neutralised and with its colours."""
    if _HARMLESS.fullmatch(text):
        return text
    return "\n".join([neutralise(line, sgr=True) for line in text.split("\n")])


def _visible(control: str) -> str:
    """Return a control character in caret notation, as `cat -v` writes it."""
    code = ord(control)
    prefix = "M-^" if _C1_START <= code < _C1_END else "^"
    return prefix + chr((code & 0x7F) ^ 0x40)
