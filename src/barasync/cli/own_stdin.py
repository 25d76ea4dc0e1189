"""Our stdin for the command of a run, whose output is recorded and shown as that of any other."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import anyio

from barasync.cli.terminals import Here, read_piece
from barasync.errors import EXIT_INTERRUPTED, EXIT_NOT_PASSED, EXIT_UNREAD
from barasync.matrix.outcome import Outcome, Status


class OwnStdin:
    """What comes here until its end, or until nobody is here for whom it would be passed on.

    The run is ended then, as a program in a pipeline is when it prints to nobody: a source that
    never ends would keep it going for ever.
    """

    def __init__(self, here: Here) -> None:
        self._here = here
        self._code: int | None = None

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Give what is read here, as it comes.

        Raises:
            CannotPassOn: it cannot be read.
        """
        while piece := await read_piece(self._here.stdin):
            if self._here.out.closed:
                await self._end(EXIT_UNREAD if self._here.out.problem is None else EXIT_NOT_PASSED)
            yield piece
        if piece is None:
            await self._end(EXIT_INTERRUPTED)

    def exit_code(self, outcome: Outcome) -> int | None:
        """Return what a run that was ended from here ends with, `None` where none was."""
        return self._code if outcome.status is Status.CANCELLED else None

    async def _end(self, code: int) -> None:
        """Have the run ended, and give nothing more: not even an end, which would be too early."""
        self._code = code
        self._here.interrupts.hang_up()
        await anyio.sleep_forever()
