"""What the steps of one image print: kept in a file, and its last lines for people."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from anyio import to_thread

from barasync.aiopodman import Chunk, Stream
from barasync.aiopodman.wire.lines import Ending, LineSplitter
from barasync.terminal_text import plain

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
_MODE = 0o666
_LAST_LINES = 10
_LINE_BYTES = 1000


class StepLog:
    r"""A file for the output of an image's steps, made when the first of them prints or begins.

    `on_line`, if anybody wants it, is called with every line as text, cut to 1000 bytes; what is
    drawn over (`\r`) is no line. However much is printed, no more than a few lines are in memory.
    A file that cannot be written does not end a step: `problem` says why, and what comes later is
    in no file.
    """

    def __init__(self, path: Path, on_line: Callable[[str], None] | None) -> None:
        self.path = path
        self.problem: OSError | None = None
        self._on_line = on_line
        self._descriptor: int | None = None
        self._is_in_line = False
        self._last: deque[bytes] = deque(maxlen=_LAST_LINES)
        self._splitters = {stream: LineSplitter(max_bytes=_LINE_BYTES) for stream in Stream}

    @property
    def exists(self) -> bool:
        """Whether there is such a file, of these steps."""
        return self._descriptor is not None

    @property
    def last_lines(self) -> tuple[str, ...]:
        """The last lines that the step has printed, ten at most."""
        return tuple(map(_readable, self._last))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)

    async def begin(self, title: str) -> None:
        """Write a line that says which step prints from now on; what has not ended does here."""
        self.end()
        self._last.clear()
        line_end = "\n" if self._is_in_line else ""
        await self._append(f"{line_end}==> {title}\n".encode("utf-8", "backslashreplace"))

    async def write(self, chunk: Chunk) -> None:
        """Take a piece of output; waits for the disk."""
        await self._append(chunk.data)
        for line in self._splitters[chunk.stream].feed(chunk.data):
            self._take(line.data, line.ending)

    def end(self) -> None:
        """Take what a step ended with, if that was no newline."""
        for splitter in self._splitters.values():
            for line in splitter.finish():
                self._take(line.data, line.ending)

    def _take(self, data: bytes, ending: Ending) -> None:
        if ending is Ending.CARRIAGE_RETURN:
            return
        self._last.append(data)
        if self._on_line is not None:
            self._on_line(_readable(data))

    async def _append(self, data: bytes) -> None:
        if self.problem is not None or not data:
            return
        self._is_in_line = not data.endswith(b"\n")
        try:
            await to_thread.run_sync(self._write, data)
        except OSError as error:
            self.problem = error

    def _write(self, data: bytes) -> None:
        if self._descriptor is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(self.path, _FLAGS, _MODE)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


def _readable(data: bytes) -> str:
    return plain(data.decode("utf-8", "replace").expandtabs()).rstrip()
