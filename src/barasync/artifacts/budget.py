"""What a cell may still bring out: one account for all of its archives, extracted at once."""

from __future__ import annotations

import threading

from barasync.artifacts.errors import LimitExceeded
from barasync.artifacts.rules import Limits


class Budget:
    """The bytes and members that are left of a cell's limits; several threads take from it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._bytes = limits.bytes
        self._members = limits.members

    def take(self, size: int, members: int) -> None:
        """Take bytes and members, or give them back where they are negative.

        Raises:
            LimitExceeded: that much is not left; nothing was taken.
        """
        with self._lock:
            if members > self._members:
                raise LimitExceeded(
                    f"there are more than {self._limits.members} members "
                    f"({self._limits.members_setting})"
                )
            if size > self._bytes:
                raise LimitExceeded(
                    f"the files have more than {self._limits.bytes} bytes "
                    f"({self._limits.bytes_setting})"
                )
            self._bytes -= size
            self._members -= members


class Share:
    """What one archive takes of a budget; if nothing comes of the archive, all is given back."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._bytes = 0
        self._members = 0

    def take(self, *, size: int = 0, members: int = 0) -> None:
        """Take what the next member needs, before it is written.

        Raises:
            LimitExceeded: the cell's archives together have too much.
        """
        self._budget.take(size, members)
        self._bytes += size
        self._members += members

    def give_back(self) -> None:
        """Return everything that was taken."""
        self._budget.take(-self._bytes, -self._members)
        self._bytes = self._members = 0
