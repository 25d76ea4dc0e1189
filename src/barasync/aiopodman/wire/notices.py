"""What podman itself writes into the output of a command.

It comes as the command's own output, on stderr where that is apart, in one frame: that the
connection to the command's monitor broke, which also happens where the command has ended, or closed
its stdin, without having read it; before 5.4, that the command was detached by podman's keys.

Source: `hijackWriteError` of podman, in `libpod/util.go`; measured on 4.3.1 and 5.4.2.
"""

from __future__ import annotations

import re

RESET = rb"Error: read unixpacket [^\n]*/attach: read: connection reset by peer\r?\n"
"""A regular expression of what podman says where the connection to a monitor broke."""

_RESET = re.compile(RESET)
# What podman says of a stdin that the monitor takes no more of.
_UNTAKEN = (
    rb"Error: write unixpacket [^\n]*/attach: write: (?:broken pipe|connection reset by peer)\r?\n"
)
_AT_THE_END = re.compile(
    rb"(?:" + RESET + rb"|" + _UNTAKEN + rb"|Error: detached from container\r?\n)\Z"
)
_MOST_BYTES = 1024

_OPEN = (b"Error: read unixpacket ", b"Error: write unixpacket ")
_FIXED = (*_OPEN, b"Error: detached from container\r\n")


def is_reset(data: bytes) -> bool:
    """Tell whether `data` is podman's notice that the connection to a monitor broke."""
    return _RESET.fullmatch(data) is not None


def notice_at(data: bytes) -> int | None:
    """Return where the notice of podman begins that `data` ends with; `None` for no such."""
    found = _AT_THE_END.search(data, max(0, len(data) - _MOST_BYTES))
    return None if found is None else found.start()


def begun_notice_at(data: bytes, *, least: int = 1) -> int | None:
    """Return where something begins that `data` ends with, and that may become podman's notice.

    It has `least` bytes; `None` for no such.
    """
    begin = max(data.rfind(text, max(0, len(data) - _MOST_BYTES)) for text in _OPEN)
    if begin >= 0 and data.find(b"\n", begin) < 0:
        return begin
    longest = max(map(len, _FIXED))
    for length in range(min(longest, len(data)), least - 1, -1):
        if any(data.endswith(text[:length]) for text in _FIXED if length < len(text)):
            return len(data) - length
    return None
