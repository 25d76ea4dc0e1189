"""Words that we did not choose, made fit for a terminal: pure functions."""

from __future__ import annotations

import re

RESET = "\x1b[0m"

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


def plain(line: str) -> str:
    """Return a line without colours, in which what does not print otherwise is a question mark.

    That are undecodable bytes of file names, and what turns the direction of text, among others.
    """
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() else "?" for c in neutralise(line, sgr=False))


def one_line(text: str, *, most: int | None = None) -> str:
    """Return a message on one line, `plain`, and cut to `most` characters; for foreign words."""
    shown = plain(" ".join(text.split())).strip()
    return shown if most is None or len(shown) <= most else f"{shown[: most - 1]}…"


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
