"""Our stdin for the command of a run, whose output is recorded and shown as that of any other."""

from __future__ import annotations

import signal
from collections.abc import AsyncGenerator

import anyio

from barasync.cli.reader import Reader
from barasync.cli.signals import came
from barasync.cli.terminals import Here, read_piece
from barasync.errors import EXIT_INTERRUPTED
from barasync.matrix.outcome import Outcome, Status


class OwnStdin:
    """What comes here until its end, or until nobody is here for whom it would be passed on.

    The run is ended then: a source that never ends would keep it going for ever. `reader` is who
    reads what it prints.
    """

    def __init__(self, here: Here, reader: Reader) -> None:
        self._here = here
        self._reader = reader
        self._code: int | None = None

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Give what is read here, as it comes.

        Raises:
            CannotPassOn: it cannot be read.
        """
        while piece := await read_piece(self._here.stdin):
            if self._here.out.closed:
                self._reader.has_left(self._here.out.problem)
                # Not even an end is given, which would be too early.
                await anyio.sleep_forever()
            yield piece
        if piece is None:
            self._code = EXIT_INTERRUPTED
            came(signal.SIGHUP)
            self._here.interrupts.hang_up()
            await anyio.sleep_forever()

    def exit_code(self, outcome: Outcome) -> int | None:
        """Return what a run that was ended from here ends with, `None` where none was."""
        return self._code if outcome.status is Status.CANCELLED else None
