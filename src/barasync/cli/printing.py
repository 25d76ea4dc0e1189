"""What a command prints, without keeping the event loop from signals while nobody reads it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import anyio

from barasync.cli.standard_streams import STDOUT, CannotWrite
from barasync.cli.terminal import channels
from barasync.errors import EXIT_OK, EXIT_UNREAD
from barasync.report.channel import Channel
from barasync.report.writer import Writer

_LAST_SECONDS = 2.0


class Printer:
    """Prints on a channel through a thread of its own; `printing` makes one for our stdout."""

    def __init__(self, channel: Channel, writer: Writer) -> None:
        self.channel = channel
        self._writer = writer

    async def print(self, text: str) -> int:
        """Print text and the end of its line; return once that is written.

        Returns `EXIT_UNREAD` where nobody reads any more, else `EXIT_OK`. When cancelled it is
        still written, if `print_last` gets to it.

        Raises:
            CannotWrite: it cannot be written.
        """
        await self._writer.write(self.channel.encode(f"{text}\n"))
        return self._exit_code()

    async def print_last(self) -> None:
        """Wait until what was printed is written, for `_LAST_SECONDS`, also when cancelled."""
        with anyio.move_on_after(_LAST_SECONDS, shield=True):
            await self._writer.write(b"")

    def _exit_code(self) -> int:
        if self.channel.problem is not None:
            raise CannotWrite.because(STDOUT, self.channel.problem)
        return EXIT_UNREAD if self.channel.closed else EXIT_OK


@contextmanager
def printing(environ: Mapping[str, str]) -> Iterator[Printer]:
    """Yield what prints on our stdout, for a block within an event loop."""
    out, _error = channels(environ)
    with Writer(out) as writer:
        yield Printer(out, writer)


async def print_all(text: str, environ: Mapping[str, str]) -> int:
    """Print all that a command has to say on our stdout, and return its exit code.

    Raises:
        CannotWrite: it cannot be written.
    """
    with printing(environ) as printer:
        return await printer.print(text)
