"""What is shown of transfers: lines that stay, below them on a terminal one for each that lives.

Without a terminal only the lines that stay are there. With `verbose` podman's own lines stay too.
A terminal that stands still (Ctrl-S) holds no transfer back.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import anyio

from barasync.images.progress import Progress
from barasync.report.channel import Channel
from barasync.report.words import duration
from barasync.report.writer import Writer
from barasync.terminal_text import one_line

_REFRESH_SECONDS = 0.2
_FAREWELL_SECONDS = 0.5
_KEPT_LINES = 10_000
_UP_AND_CLEAR = "\x1b[1A\x1b[2K"

Write = Callable[[bytes], Awaitable[None]]
"""Writes bytes to the channel; returns when they are written."""


@dataclass(slots=True)
class _Living:
    began: float
    progress: Progress = field(default_factory=Progress)


class TransferLines:
    """The lines of transfers that go on at the same time, each with its `subject`.

    They are for `channel`, to which `write` writes. While that takes its time, the last 10,000 of
    the lines that stay are kept for it, and those that live are drawn as they are when it is done.
    """

    def __init__(
        self,
        channel: Channel,
        write: Write,
        *,
        lives: bool,
        verbose: bool,
        clock: Callable[[], float],
    ) -> None:
        self._channel = channel
        self._write = write
        self._lives = lives
        self._verbose = verbose
        self._clock = clock
        self._living: dict[str, _Living] = {}
        self._said: deque[str] = deque(maxlen=_KEPT_LINES)
        self._news = anyio.Event()
        self._drawn = 0

    @contextmanager
    def living(self, subject: str) -> Iterator[None]:
        """Show that a transfer goes on, while the block is executed."""
        self._living[subject] = _Living(self._clock())
        try:
            yield
        finally:
            del self._living[subject]
            self._news.set()

    def say(self, subject: str, line: str) -> None:
        """Show a line that stays."""
        self._said.append(f"{subject}: {one_line(line)}")
        self._news.set()

    def hear(self, subject: str, words: str) -> None:
        """Take a line of podman's."""
        if subject in self._living:
            self._living[subject].progress.hear(words)
        if self._verbose:
            self.say(subject, words)

    async def draw(self) -> None:
        """Write the lines that stay and were not written yet, and those that live anew."""
        width = max(self._channel.size().columns - 1, 1)
        shown = self._living.items() if self._lives else ()
        living = [self._line(subject, each, width) for subject, each in shown]
        text = _UP_AND_CLEAR * self._drawn + "".join(f"{each}\n" for each in (*self._said, *living))
        self._said.clear()
        self._drawn = len(living)
        await self._write(self._channel.encode(text))

    async def show(self) -> None:
        """Draw them again and again; runs until it is cancelled."""
        while True:
            with anyio.move_on_after(_REFRESH_SECONDS if self._lives else math.inf):
                await self._news.wait()
            self._news = anyio.Event()
            await self.draw()

    async def close(self) -> None:
        """Draw them for the last time; when cancelled, that is waited for a moment only."""
        try:
            await self.draw()
        except anyio.get_cancelled_exc_class():
            with anyio.move_on_after(_FAREWELL_SECONDS, shield=True):
                await self.draw()
            raise

    def _line(self, subject: str, living: _Living, width: int) -> str:
        state = f": {living.progress}, {duration(self._clock() - living.began)}"
        room = width - len(state)
        if len(subject) > room:
            # Its end tells the tag and the architecture.
            subject = f"…{subject[len(subject) - max(room - 1, 0) :]}"
        return (subject + state)[:width]


@asynccontextmanager
async def transfer_lines(
    channel: Channel, *, lives: bool, verbose: bool, clock: Callable[[], float]
) -> AsyncIterator[TransferLines]:
    """Yield the lines of transfers; afterwards only those that stay are there.

    When cancelled while the terminal stands still, it has not got all of them.
    """
    with Writer(channel) as writer:
        lines = TransferLines(channel, writer.write, lives=lives, verbose=verbose, clock=clock)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(lines.show)
                yield lines
                group.cancel_scope.cancel()
        finally:
            await lines.close()
