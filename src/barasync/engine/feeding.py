"""What a command is to read on its stdin, passed on as it takes it, to its end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from barasync.aiopodman import Attachment, PodmanError

OpenStdin = Callable[[], AsyncGenerator[bytes]]
"""Opens what a command is to read, in pieces; called once the command runs.

What it raises as a `BarasyncError` ends the command.
"""


class Feed:
    """Passes on what `open_stdin` gives; one piece of it is kept at a time."""

    def __init__(self, open_stdin: OpenStdin) -> None:
        self._open = open_stdin
        self._sent = False
        self._ended = False

    @property
    def is_at_stake(self) -> bool:
        """Whether the command may not have had all of it, if its connection is broken off.

        What was sent may still be on its way. An end that comes too early is one where nothing was
        to come.
        """
        return self._sent or not self._ended

    async def into(self, attachment: Attachment) -> None:
        """Send all of it, then its end; return as well when nobody takes it any more.

        Waits for as long as the command takes nothing, and as long as nothing comes. When
        cancelled, part of a piece may be sent.

        Raises:
            BarasyncError: there is no reading it.
        """
        async with aclosing(self._open()) as pieces:
            async for piece in pieces:
                self._sent = True
                try:
                    await attachment.send(piece)
                except PodmanError:
                    # The command has ended, or podman: its output tells.
                    return
        self._ended = True
        await attachment.close_stdin()
