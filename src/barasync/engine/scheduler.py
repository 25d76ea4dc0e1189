"""Which cell starts next: a state machine without I/O and without a clock.

The engine tells it what happened (`started` through `ready`, `finished`, `stop`) and asks what may
start now. Every cell is handed out once and accounted for once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Scheduler:
    """Hands out cells in the order given, at most `jobs` at a time.

    Invariants, held by a stateful property test: never more than `jobs` cells are running; a cell
    is handed out at most once; every cell ends up finished or dropped, never both.
    """

    def __init__(self, cells: Iterable[str], *, jobs: int) -> None:
        if jobs < 1:
            raise ValueError(f"at least one job has to be allowed, not {jobs}")
        self._queue = deque(cells)
        self._running: set[str] = set()
        self._jobs = jobs

    @property
    def running(self) -> frozenset[str]:
        """The cells that were handed out and have not finished."""
        return frozenset(self._running)

    @property
    def done(self) -> bool:
        """Whether nothing runs and nothing waits."""
        return not self._queue and not self._running

    def ready(self) -> tuple[str, ...]:
        """Hand out the cells that may start now; they count as running from here on."""
        room = min(self._jobs - len(self._running), len(self._queue))
        started = tuple(self._queue.popleft() for _ in range(room))
        self._running.update(started)
        return started

    def finished(self, cell: str, *, again: bool = False) -> None:
        """Take note that a running cell has ended, however it ended; `again` queues it once more.

        Raises:
            KeyError: the cell is not running.
        """
        self._running.remove(cell)
        if again:
            self._queue.append(cell)

    def stop(self) -> tuple[str, ...]:
        """Drop what waits and return it, in order; running cells stay until they finish."""
        dropped = tuple(self._queue)
        self._queue.clear()
        return dropped
