"""Whoever reads what the command of a run prints: it is ended when they have left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token

from barasync.engine.run import RunResult
from barasync.errors import EXIT_INTERRUPTED, EXIT_NOT_PASSED, EXIT_UNREAD
from barasync.matrix.outcome import Outcome, Status

Stop = Callable[[str], bool]
"""Ends a run for a reason; tells whether it is that which has ended it."""

_REASON = "nobody reads its output any more"


class Reader:
    """The reader of our stdout. Made in the event loop.

    A program in a pipeline dies when it prints to nobody (SIGPIPE), and so does the command of a
    run: one that never ends, such as `yes`, would go on for ever and fill the disk with its record.
    """

    def __init__(self) -> None:
        self._token: EventLoopToken = current_token()
        self._stop: Stop | None = None
        self._code: int | None = None

    @contextmanager
    def ends(self, stop: Stop) -> Iterator[None]:
        """End a run where the reader leaves during the block."""
        self._stop = stop
        try:
            yield
        finally:
            self._stop = None

    def has_left(self, problem: OSError | None = None) -> None:
        """End the run, if it has not ended; `problem` is why stdout takes nothing where it is read.

        Called in the event loop.
        """
        if self._stop is not None and self._stop(_REASON):
            self._code = EXIT_UNREAD if problem is None else EXIT_NOT_PASSED

    def is_missed(self) -> None:
        """Do what `has_left` does, called in another thread."""
        # The event loop may have ended meanwhile.
        with suppress(RuntimeError):
            from_thread.run_sync(self.has_left, token=self._token)

    def exit_code(self, outcome: Outcome, result: RunResult) -> int | None:
        """Return what a run ends with that was ended for want of a reader, `None` for any other.

        One whose command had ended by then, or that was interrupted as well, is another one.
        """
        if outcome.status is Status.CANCELLED and result.exit_code != EXIT_INTERRUPTED:
            return self._code
        return None
