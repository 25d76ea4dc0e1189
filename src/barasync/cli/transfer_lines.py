"""What is shown of transfers: lines that stay, below them on a terminal one for each that lives.

Without a terminal only the lines that stay are there. With `verbose` podman's own lines stay too.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import anyio

from barasync.images.progress import Progress
from barasync.report.channel import Channel
from barasync.report.terminal import one_line
from barasync.report.words import duration

_REFRESH_SECONDS = 0.2
_UP_AND_CLEAR = "\x1b[1A\x1b[2K"


@dataclass(slots=True)
class _Living:
    began: float
    progress: Progress = field(default_factory=Progress)


class TransferLines:
    """The lines on `channel` of transfers that go on at the same time, each with its `subject`."""

    def __init__(
        self, channel: Channel, *, lives: bool, verbose: bool, clock: Callable[[], float]
    ) -> None:
        self._channel = channel
        self._lives = lives
        self._verbose = verbose
        self._clock = clock
        self._living: dict[str, _Living] = {}
        self._drawn = 0

    @contextmanager
    def living(self, subject: str) -> Iterator[None]:
        """Show that a transfer goes on, while the block is executed."""
        self._living[subject] = _Living(self._clock())
        try:
            yield
        finally:
            del self._living[subject]
            self.draw()

    def say(self, subject: str, line: str) -> None:
        """Show a line that stays."""
        self._print(f"{subject}: {one_line(line)}")

    def hear(self, subject: str, words: str) -> None:
        """Take a line of podman's."""
        if subject in self._living:
            self._living[subject].progress.hear(words)
        if self._verbose:
            self.say(subject, words)

    def draw(self) -> None:
        """Draw the lines that live anew."""
        self._print()

    async def redraw(self) -> None:
        """Draw them again and again; runs until it is cancelled."""
        while True:
            await anyio.sleep(_REFRESH_SECONDS)
            self.draw()

    def _print(self, *lines: str) -> None:
        width = max(self._channel.size().columns - 1, 1)
        shown = self._living.items() if self._lives else ()
        living = [self._line(subject, each, width) for subject, each in shown]
        text = _UP_AND_CLEAR * self._drawn + "".join(f"{line}\n" for line in (*lines, *living))
        self._drawn = len(living)
        self._channel.write(self._channel.encode(text))

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
    """Yield the lines of transfers; afterwards only those that stay are there."""
    lines = TransferLines(channel, lives=lives, verbose=verbose, clock=clock)
    async with anyio.create_task_group() as group:
        if lives:
            group.start_soon(lines.redraw)
        yield lines
        group.cancel_scope.cancel()
