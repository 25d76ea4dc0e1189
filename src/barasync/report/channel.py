"""Our own standard streams, as the places that a run is shown in; everything here blocks."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable, Mapping
from typing import Protocol

from barasync.report.terminal import Style, wants_colour


class Device(Protocol):
    """Where bytes go in the end."""

    def write(self, data: bytes) -> None:
        """Write all of `data`, for as long as that takes.

        Raises:
            OSError: nobody reads any more (`BrokenPipeError`), or there is no room.
        """


class Descriptor:
    """A file descriptor that somebody else opened and closes; 1 or 2 as a rule.

    Writes past Python's own buffers, so nothing is left for the interpreter to flush at its exit.
    When the reader has gone the descriptor is pointed at `/dev/null`, for the same reason: whoever
    printed through `sys.stdout` before is not to fail at exit either.
    """

    def __init__(self, number: int) -> None:
        self._number = number

    def write(self, data: bytes) -> None:
        """Write all of `data`; waits where somebody made the descriptor non-blocking."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._number, rest) :]
            except BlockingIOError:
                self._wait()
            except BrokenPipeError:
                self._discard()
                raise

    def is_terminal(self) -> bool:
        """Whether a terminal is at the other end."""
        return os.isatty(self._number)

    def size(self) -> os.terminal_size:
        """Return the size of the terminal in characters, 80 by 24 where it does not tell."""
        try:
            size = os.get_terminal_size(self._number)
        except OSError:
            size = os.terminal_size((0, 0))
        return os.terminal_size((size.columns or 80, size.lines or 24))

    def same_as(self, other: Descriptor) -> bool:
        """Whether both lead to the same place: one terminal, one pipe (`2>&1`), one file."""
        return os.path.sameopenfile(self._number, other._number)

    def _wait(self) -> None:
        poll = select.poll()
        poll.register(self._number, select.POLLOUT)
        poll.poll()

    def _discard(self) -> None:
        null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.dup2(null, self._number)
        finally:
            os.close(null)


class Channel:
    """A stream to show things on: the device, and what may be sent there.

    `terminal` says that a person's terminal is at the other end; then containers' output has to be
    neutralised. `size` tells its columns and lines. When the device fails, the channel goes silent
    and the run goes on: `closed` is set, and `problem` too unless the reader has just gone, with
    `unread` where that was one of a pipe.
    `raw` is set while that terminal is in raw mode, in which a line feed alone goes straight down.
    """

    def __init__(
        self,
        device: Device,
        *,
        terminal: bool = False,
        colour: bool = False,
        encoding: str = "utf-8",
        size: Callable[[], os.terminal_size] = lambda: os.terminal_size((80, 24)),
    ) -> None:
        self.terminal = terminal
        self.encoding = encoding
        self.style = Style.of(encoding, colour=colour)
        self.size = size
        self.closed = False
        self.unread = False
        self.raw = False
        self.problem: OSError | None = None
        self._device = device

    @classmethod
    def of(
        cls, descriptor: Descriptor, *, encoding: str, environment: Mapping[str, str]
    ) -> Channel:
        """Return the channel of one of our standard streams."""
        terminal = descriptor.is_terminal()
        return cls(
            descriptor,
            terminal=terminal,
            colour=wants_colour(terminal=terminal, environment=environment),
            encoding=encoding,
            size=descriptor.size,
        )

    def write(self, data: bytes) -> None:
        """Write bytes as they are; nothing happens once the channel is closed."""
        if self.closed or not data:
            return
        try:
            self._device.write(data)
        except OSError as error:
            self.closed = True
            self.unread = isinstance(error, BrokenPipeError)
            # EIO: the terminal has hung up.
            if not self.unread and error.errno != errno.EIO:
                self.problem = error

    def print(self, *lines: str) -> None:
        """Write lines of text; what the stream's encoding lacks is replaced."""
        text = "".join(f"{line}\n" for line in lines)
        self.write(self.encode(text.replace("\n", "\r\n") if self.raw else text))

    def encode(self, text: str) -> bytes:
        """Return text in the stream's encoding; what that lacks is replaced."""
        try:
            return text.encode(self.encoding, errors="replace")
        except LookupError:
            return text.encode("ascii", errors="replace")
