"""A cell that the resolver of its network answers: what it may ask, and what its rules hold."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager

import anyio

from barasync.config.policies import Address
from barasync.networks.asked import Asked
from barasync.networks.names import Lifetime
from barasync.networks.rate import Rate

Load = Callable[[str], Awaitable[None]]
"""Loads nft's text in the network namespace of a cell; raises `BarasyncError` where it cannot."""

# A question takes about 1 ms of this process, a feed two programs and some 8 ms (measured).
_QUESTIONS_A_SECOND = 100.0
_QUESTIONS_IN_A_ROW = 200
_FEEDS_A_SECOND = 20.0
_FEEDS_IN_A_ROW = 100
_KEPT = 1024
_NEAR_SECONDS = 1.0


class Cell:
    """A cell of a network; `load` is of use until `end`.

    `questions` and `feeds` are how often it may ask, and have its rules changed; it does that with
    `feeding` held.
    """

    def __init__(self, names: Iterable[str], addresses: Iterable[Address], load: Load) -> None:
        self.names = tuple(name.lower() for name in names)
        self.addresses = tuple(addresses)
        self.load = load
        self.asked = Asked()
        self.questions = Rate(_QUESTIONS_A_SECOND, burst=_QUESTIONS_IN_A_ROW)
        self.feeds = Rate(_FEEDS_A_SECOND, burst=_FEEDS_IN_A_ROW)
        self.feeding = anyio.Lock()
        self._held: OrderedDict[tuple[str, Address], float] = OrderedDict()
        self._in_hand: set[anyio.CancelScope] = set()
        self._idle = anyio.Event()

    @contextmanager
    def question(self) -> Iterator[None]:
        """Do what a question takes; it is cancelled, and the block left, where the cell ends."""
        with anyio.CancelScope() as scope:
            self._in_hand.add(scope)
            try:
                yield
            finally:
                self._in_hand.remove(scope)
                if not self._in_hand:
                    self._idle.set()

    async def end(self) -> None:
        """Cancel what is in hand for it, and wait until that has ended, even when cancelled.

        That is a moment: a server that does not answer is waited for no longer, nor is nft.
        Questions must not begin meanwhile.
        """
        if not self._in_hand:
            return
        self._idle = anyio.Event()
        for scope in self._in_hand:
            scope.cancel()
        with anyio.CancelScope(shield=True):
            await self._idle.wait()

    def lacks(self, name: str, lifetime: Lifetime, now: float) -> bool:
        """Tell whether its rules drop an address before its lifetime is over, give or take 1 s.

        They hold addresses some seconds longer, and a client that asks all the time does not have
        them loaded all the time.
        """
        until = self._held.get((name, lifetime.address))
        return until is None or until < now + lifetime.seconds - _NEAR_SECONDS

    def note(self, name: str, lifetime: Lifetime, now: float) -> None:
        """Take note of what its rules hold; of the oldest only that it has to be loaded again."""
        self._held[name, lifetime.address] = now + lifetime.seconds
        self._held.move_to_end((name, lifetime.address))
        if len(self._held) > _KEPT:
            self._held.popitem(last=False)
