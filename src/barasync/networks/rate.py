"""How often something may happen: so many times a second, and some more after a pause."""

from __future__ import annotations


class Rate:
    """Times at which something happens that at most `burst` times in a row comes without a pause.

    Times are in seconds of any one clock.

    Source: the "virtual scheduling algorithm" of ITU-T I.371, annex A (GCRA).
    """

    def __init__(self, per_second: float, *, burst: int) -> None:
        self._pause = 1 / per_second
        self._ahead = (burst - 1) * self._pause
        self._rounding = self._pause / 2
        self._due = float("-inf")

    def admits(self, now: float) -> bool:
        """Tell whether it may happen now, and count it then."""
        if self._due - now > self._ahead + self._rounding:
            return False
        self._count(now)
        return True

    def wait(self, now: float) -> float:
        """Count that it happens next, and return in how many seconds that may be."""
        seconds = max(0.0, self._due - now - self._ahead)
        self._count(now)
        return seconds

    def _count(self, now: float) -> None:
        self._due = max(self._due, now) + self._pause
