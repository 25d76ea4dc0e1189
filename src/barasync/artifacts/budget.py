"""What a cell may still bring out: one account for all of its archives, extracted at once."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from barasync.artifacts.errors import BudgetSpent, LimitExceeded
from barasync.artifacts.rules import Limits


class Budget:
    """The bytes and members that are left of a cell's limits; several threads take from it.

    `spent` are the shares that others have of them already.
    """

    def __init__(self, limits: Limits, spent: Iterable[Share] = ()) -> None:
        self.limits = limits
        self._lock = threading.Lock()
        self._bytes = limits.bytes
        self._members = limits.members
        for share in spent:
            self._bytes -= share.bytes
            self._members -= share.members

    def take(self, size: int, members: int) -> None:
        """Take bytes and members, or give them back where they are negative.

        Raises:
            BudgetSpent: that much is not left; nothing was taken.
        """
        with self._lock:
            if members > self._members:
                raise BudgetSpent(_too_many(self.limits))
            if size > self._bytes:
                raise BudgetSpent(_too_large(self.limits))
            self._bytes -= size
            self._members -= members


class Share:
    """What one archive takes of a budget; if nothing comes of the archive, all is given back."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.bytes = 0
        self.members = 0

    def take(self, *, size: int = 0, members: int = 0) -> None:
        """Take what the next member needs, before it is written.

        Raises:
            LimitExceeded: this archive alone has too much.
            BudgetSpent: the cell's archives together have too much.
        """
        limits = self._budget.limits
        if self.members + members > limits.members:
            raise LimitExceeded(_too_many(limits))
        if self.bytes + size > limits.bytes:
            raise LimitExceeded(_too_large(limits))
        self._budget.take(size, members)
        self.bytes += size
        self.members += members

    def give_back(self) -> None:
        """Return everything that was taken."""
        self._budget.take(-self.bytes, -self.members)
        self.bytes = self.members = 0


class Shares:
    """The shares of archives in the order in which they were asked for; the first come first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._common = Budget(limits)
        self._shares: dict[str, Share] = {}

    def of(self, name: str) -> Share:
        """Return a share of what all have in common."""
        share = self._shares[name] = Share(self._common)
        return share

    def alone(self, name: str, before: Iterable[str]) -> Share:
        """Return a share of what those that were asked for before have left."""
        names = tuple(before)
        excess = self.excess(names)
        kept = (self._shares.get(other) for other in names if other not in excess)
        spent = [share for share in kept if share is not None]
        share = self._shares[name] = Share(Budget(self._limits, spent))
        return share

    def excess(self, names: Iterable[str]) -> dict[str, LimitExceeded]:
        """Return which are not within the limits, each with those before it that are, and why."""
        budget = Budget(self._limits)
        excess = {}
        for name in names:
            share = self._shares.get(name)
            if share is None:
                continue
            try:
                Share(budget).take(size=share.bytes, members=share.members)
            except LimitExceeded as error:
                excess[name] = error
        return excess


def _too_many(limits: Limits) -> str:
    return f"there are more than {limits.members} members ({limits.members_setting})"


def _too_large(limits: Limits) -> str:
    return f"the files have more than {limits.bytes} bytes ({limits.bytes_setting})"
