"""Lines in the output of a container, for a console that prefixes them.

A program that draws a progress bar ends its lines with a carriage return; one that prints a blob
does not end them at all. Both come out as lines of bounded length.

Invariant: the lines depend on the bytes, not on the pieces they are fed in; no more than one line
of `max_bytes` is ever kept.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import Enum

MAX_LINE_BYTES = 16 * 1024
_UTF8_MAX = 4
_TOP_TWO_BITS = 0b1100_0000
_CONTINUATION_BYTE = 0b1000_0000
_END_OF_LINE = re.compile(rb"\r*\n|\r+")


class Ending(Enum):
    """Why a line ends where it ends."""

    NEWLINE = "newline"
    """`\\n`, or `\\r\\n`, which counts as one ending."""
    CARRIAGE_RETURN = "carriage return"
    """`\\r` alone: what follows is drawn over this line."""
    CUT = "cut"
    """The line is longer than `max_bytes`; the next `Line` goes on with it."""
    END_OF_STREAM = "end of stream"
    """The output ended without a newline."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its ending, or a piece of one that is too long."""

    data: bytes
    ending: Ending


class LineSplitter:
    """Splits one stream of output into lines.

    `max_bytes` bounds `Line.data`; a longer line is cut, between UTF-8 characters where it is
    UTF-8. A run of carriage returns counts once. A carriage return is held until the next byte,
    which may be the newline that belongs to it.
    """

    def __init__(self, *, max_bytes: int = MAX_LINE_BYTES) -> None:
        if max_bytes < _UTF8_MAX:
            raise ValueError(f"max_bytes must be at least {_UTF8_MAX}, not {max_bytes}")
        self._max_bytes = max_bytes
        self._pending = b""
        self._carriage_return = False

    def feed(self, data: bytes) -> Iterator[Line]:
        """Yield the lines that `data` ends. Exhaust the iterator before the next call."""
        if not data:
            return
        if not self._carriage_return and b"\r" not in data:
            yield from self._feed_plain(data)
            return
        # What is pending holds no ending: the search starts behind it.
        start, scan = 0, len(self._pending)
        data = self._pending + (b"\r" if self._carriage_return else b"") + data
        self._carriage_return = False
        self._pending = b""
        for match in _END_OF_LINE.finditer(data, scan):
            newline = data[match.end() - 1 : match.end()] == b"\n"
            if not newline and match.end() == len(data):
                self._carriage_return = True
                data = data[: match.start()]
                break
            line = data[start : match.start()]
            if len(line) > self._max_bytes:
                line = yield from self._cut(line)
            yield Line(line, Ending.NEWLINE if newline else Ending.CARRIAGE_RETURN)
            start = match.end()
        self._pending = yield from self._cut(data[start:])

    def _feed_plain(self, data: bytes) -> Iterator[Line]:
        """Yield the lines of what has no carriage return, as most output: in half of the time."""
        first, *others = data.split(b"\n")
        lines = [self._pending + first, *others]
        rest = lines.pop()
        self._pending = b""
        for line in lines:
            short = line if len(line) <= self._max_bytes else (yield from self._cut(line))
            yield Line(short, Ending.NEWLINE)
        self._pending = yield from self._cut(rest)

    def finish(self) -> Iterator[Line]:
        """Yield what the output ends with; the splitter is then as new."""
        line, self._pending = self._pending, b""
        carriage_return, self._carriage_return = self._carriage_return, False
        if carriage_return:
            yield Line(line, Ending.CARRIAGE_RETURN)
        elif line:
            yield Line(line, Ending.END_OF_STREAM)

    def _cut(self, line: bytes) -> Generator[Line, None, bytes]:
        """Yield the pieces of `line` that are over the limit; return the rest."""
        start = 0
        while len(line) - start > self._max_bytes:
            end = _character_boundary(line, start + self._max_bytes)
            yield Line(line[start:end], Ending.CUT)
            start = end
        return line[start:]


def _character_boundary(text: bytes, index: int) -> int:
    """Return `index`, or the start of the UTF-8 character that it would cut."""
    for candidate in range(index, index - _UTF8_MAX, -1):
        if text[candidate] & _TOP_TWO_BITS != _CONTINUATION_BYTE:
            return candidate
    return index
