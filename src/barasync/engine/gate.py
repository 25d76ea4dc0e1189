"""How many requests of one kind podman gets at once: few at first, and fewer again when it fails.

Starting a container costs podman some 100 ms of CPU and storage locks that all its requests share,
so that a burst of them makes each slow and the host unusable (podman #19824, #14941). What runs in
a started container is bounded by the scheduler; this bounds what podman itself is asked to do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from barasync.aiopodman import ServerError, TransportError

MOST = 8
"""Requests of one kind at once; measured on 2 cores, more than 4 gain nothing."""
COLLECTING = 4
"""Cells of which artifacts are collected at once, several archives of each."""
ENDED = 64
"""Cells that have ended and whose artifacts are collected or wait for that."""


class Storage:
    """Keeps requests that podman would keep waiting from being made meanwhile.

    While podman makes an image of a large container its storage is locked, for a minute or more:
    whoever asked it to remove a container by then would think that it does not. Those that wait are
    let in by turns, whether to use the storage together or alone.
    """

    def __init__(self) -> None:
        self._turn = anyio.Lock()
        self._inside = 0
        self._changed = anyio.Event()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Use the storage in the block, as others may; do not ask for it again there."""
        if self._turn.locked():
            await self._turn.acquire()
            self._turn.release()
        self._inside += 1
        try:
            yield
        finally:
            self._inside -= 1
            self._changed.set()
            self._changed = anyio.Event()

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Use the storage in the block as nobody else does."""
        async with self._turn:
            while self._inside:
                await self._changed.wait()
            yield


class Gate:
    """Lets requests through, `most` at once, while they may use the `storage`.

    It opens from one by one more with each success, and closes to half when podman fails, by an
    error of its own or by not answering.
    """

    def __init__(self, most: int = MOST, storage: Storage | None = None) -> None:
        self._most = most
        self._storage = storage or Storage()
        self._limiter = anyio.CapacityLimiter(1)

    @property
    def width(self) -> int:
        """How many requests are let through at once by now."""
        return int(self._limiter.total_tokens)

    @asynccontextmanager
    async def passed(self) -> AsyncIterator[None]:
        """Wait for a place and hold it for the block, which makes one request."""
        # Not the task, which may hold a place at another gate already, but the passage.
        borrower = object()
        async with _held(self._limiter, borrower), self._storage.shared():
            try:
                yield
            except (ServerError, TransportError, TimeoutError):
                self._limiter.total_tokens = max(1, self.width // 2)
                raise
        self._limiter.total_tokens = min(self._most, self.width + 1)


@asynccontextmanager
async def _held(limiter: anyio.CapacityLimiter, borrower: object) -> AsyncIterator[None]:
    await limiter.acquire_on_behalf_of(borrower)
    try:
        yield
    finally:
        limiter.release_on_behalf_of(borrower)


class Gates:
    """The gates of a run: creating, starting and removing containers do not wait for each other."""

    def __init__(self) -> None:
        self._storage = Storage()
        self.create = Gate(storage=self._storage)
        self.start = Gate(storage=self._storage)
        self.remove = Gate(storage=self._storage)
        self._collected = anyio.Semaphore(COLLECTING)
        self._ended = anyio.Semaphore(ENDED)
        self.images = anyio.Lock()
        self._commits = anyio.Lock()
        self._held = False
        self._containers = 0
        self._changed = anyio.Event()

    @asynccontextmanager
    async def collecting(self, on_release: Callable[[], None]) -> AsyncIterator[None]:
        """Wait until a cell that has ended may have its artifacts collected and its snapshot taken.

        `on_release` is called before, as soon as no more than `ENDED` cells wait or are collected:
        until then the cell keeps what it claimed of the host, so that no number of ended containers
        heaps up where collecting takes longer than running. They are let through in the order in
        which they ended.
        """
        async with self._ended:
            on_release()
            async with self._collected:
                yield

    @asynccontextmanager
    async def committing(self, *, alone: bool) -> AsyncIterator[None]:
        """Wait until an image may be made of a container, in the block: one at a time.

        While one is made `alone` no container is made, started or removed.
        """
        async with self._commits, self._storage.alone() if alone else self._storage.shared():
            yield

    def hold(self, *, on: bool) -> None:
        """Let no container come into being while `on`, or one when there is none."""
        self._held = on
        self._change()

    async def admitted(self) -> None:
        """Wait until another container may come into being, and count it; see `left`."""
        while self._held and self._containers:
            await self._changed.wait()
        self._containers += 1

    def left(self) -> None:
        """Take a container out of the count: it has ended, or never came into being."""
        self._containers -= 1
        self._change()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()


class Admission:
    """Counts the containers of one attempt as one, from `wait` until `leave`."""

    def __init__(self, gates: Gates) -> None:
        self._gates = gates
        self._counts = False

    async def wait(self) -> None:
        """Wait until another one may come into being; see `Gates.hold`."""
        await self._gates.admitted()
        self._counts = True

    def leave(self) -> None:
        """Let another one come into being: this one takes no memory any more, or never did."""
        if self._counts:
            self._counts = False
            self._gates.left()
