"""Followers: read the log of a cell while it grows, each at the pace of whoever shows it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from barasync.aiopodman.wire.lines import Ending, Line, LineSplitter
from barasync.report.channel import Channel
from barasync.terminal_text import neutralise_lines

PIECE_BYTES = 64 * 1024


class Follower:
    """Reads a file from where it stopped the last time; blocking.

    Holds no descriptor between reads: when a terminal stands still, any number of finished cells
    may wait to be shown.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> bytes:
        """Return the next piece, 64 KiB at most.

        A piece that is shorter ends where the file ended just now. A file that is not there, not
        yet or no more, is empty.

        Raises:
            OSError: the file cannot be read.
        """
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        try:
            piece = os.pread(descriptor, PIECE_BYTES, self._offset)
        finally:
            os.close(descriptor)
        self._offset += len(piece)
        return piece


class LabelledLines:
    """Turns the output of one cell into whole lines that each begin with the cell's label.

    On a terminal a line is shown as text that cannot wreck it. Elsewhere, in a pipe or a file, the
    bytes of a line are left as they are. A line over 64 KiB is cut; what comes out depends on the
    bytes, not on the pieces they come in.
    """

    def __init__(self, label: str, channel: Channel) -> None:
        self._label = channel.encode(label)
        self._channel = channel
        self._splitter = LineSplitter(max_bytes=PIECE_BYTES)

    def feed(self, data: bytes) -> bytes:
        """Return the lines that `data`, 64 KiB at most, completes; the rest is kept for later."""
        first, last = data.find(b"\n") + 1, data.rfind(b"\n") + 1
        # Between the first and the last newline lines are whole, and the splitter holds nothing.
        # Taking them all at once is 50 times as fast, and the engine waits for this thread's bursts
        # of work: they share one interpreter lock.
        return (
            self._split(self._splitter.feed(data[:first]))
            + self._whole(data[first:last])
            + self._split(self._splitter.feed(data[last:]))
        )

    def finish(self) -> bytes:
        """Return the last line if it did not end."""
        return self._split(self._splitter.finish())

    def _whole(self, lines: bytes) -> bytes:
        """Label lines that each end with a newline."""
        if b"\r" in lines:
            unix = lines.replace(b"\r\n", b"\n")
            if b"\r" in unix:
                return self._split(self._splitter.feed(lines))
            lines = unix
        if not lines:
            return b""
        if self._channel.terminal:
            text = lines[:-1].decode("utf-8", errors="replace")
            lines = self._channel.encode(neutralise_lines(text) + "\n")
        return self._label + lines[:-1].replace(b"\n", b"\n" + self._label) + b"\n"

    def _split(self, lines: Iterable[Line]) -> bytes:
        """Label lines that the splitter found."""
        # A carriage return before anything was printed ends no line that a person would see.
        return b"".join(
            [
                self._whole(line.data + b"\n")
                for line in lines
                if line.data or line.ending is not Ending.CARRIAGE_RETURN
            ]
        )
