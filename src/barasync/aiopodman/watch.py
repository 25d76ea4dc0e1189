"""Events that go on after podman's service went away and came back."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import time_ns

import anyio
from anyio import CancelScope

from barasync.aiopodman.errors import (
    ConnectError,
    EventsLost,
    PodmanError,
    RequestTimeout,
    StreamTruncated,
    TransportError,
)
from barasync.aiopodman.events import in_nanoseconds, open_events, rfc3339
from barasync.aiopodman.horizon import Horizon
from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.models import Event, moment
from barasync.aiopodman.service_quirks import EVENTS_MISSED_AT_A_CUT
from barasync.aiopodman.streams import Ahead

MOST_AHEAD = 64
"""How many events are received before somebody asks for them."""

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 5.0
_LIFE_SECONDS = 1.0
# Podman looks at its file of events four times a second.
_REST_SECONDS = 0.25

# What podman notes where it cuts its own file of events, in the place of what was before.
_ROTATION = ("system", "log-rotation")
_CUTS = {"type": ["system"], "event": ["log-rotation"]}
# Podman takes no time for none; nothing has happened before this one.
_EVER = datetime(1970, 1, 2, tzinfo=UTC)


@asynccontextmanager
async def watch_events(
    libpod: Libpod, *, filters: Mapping[str, Sequence[str]], since: datetime | None
) -> AsyncIterator[AsyncIterator[Event]]:
    """Yield events as `Podman.watch` describes them.

    Source: `GET /libpod/events`.
    """
    watch = _Watch(libpod, filters, in_nanoseconds(since or datetime.now(UTC)))
    raised: Exception | None = None
    try:
        async with anyio.create_task_group() as tasks:
            cuts_are_minded = anyio.Event()
            if libpod.has(EVENTS_MISSED_AT_A_CUT):
                tasks.start_soon(watch.mind_cuts, cuts_are_minded)
            else:
                cuts_are_minded.set()
            tasks.start_soon(watch.read, cuts_are_minded)
            try:
                yield watch
            except Exception as error:  # noqa: BLE001 - raised below, as it is and not in a group
                raised = error
            tasks.cancel_scope.cancel()
    finally:
        watch.leave()
    if raised is not None:
        raise raised


class _Pauses:
    """The pauses between connections: none after one that was good for something."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._begun = math.inf

    def begin(self) -> None:
        """Take note that a connection has been opened."""
        self._begun = anyio.current_time()

    def end(self) -> None:
        """Have no pause before the next connection."""
        self._begun = -math.inf

    async def wait(self) -> None:
        """Wait before the next connection."""
        has_lived = anyio.current_time() - self._begun >= _LIFE_SECONDS
        longer = min(max(2 * self._seconds, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
        self._seconds = 0.0 if has_lived else longer
        self._begun = math.inf
        await anyio.sleep(self._seconds)


class _Watch(AsyncIterator[Event]):
    """The events of one connection after another.

    A task of its own reads them, whether or not somebody asks: so an iteration may be cancelled at
    any time, and how long a connection has lived is known.
    """

    def __init__(self, libpod: Libpod, filters: Mapping[str, Sequence[str]], since: int) -> None:
        self._libpod = libpod
        self._filters = filters
        self._horizon = Horizon(since)
        self._ahead = Ahead[Event | PodmanError](MOST_AHEAD)
        self._waiting: CancelScope | None = None
        self._waits_since = 0.0
        # Whether the events are to be asked for again, and until when those that came are told.
        self._stale = False
        self._cut = 0
        self._last_cut = 0
        self._again = False
        self._failure: PodmanError | None = None
        self._has_told_failure = False
        self._go_on = anyio.Event()
        self._goes_on = anyio.Event()

    async def __anext__(self) -> Event:
        if self._has_told_failure:
            self._has_told_failure = False
            self._go_on.set()
        try:
            told = await self._ahead.take()
        except anyio.ClosedResourceError:
            raise RuntimeError("the block that this watch belongs to has been left") from None
        if isinstance(told, PodmanError):
            self._has_told_failure = not isinstance(told, EventsLost)
            raise told
        return told

    def leave(self) -> None:
        """Tell nothing any more."""
        self._ahead.close()

    async def read(self, may_begin: anyio.Event) -> None:
        """Receive the events for those that ask for them; never returns.

        After a failure the service is asked again once somebody has been told of it and asks.
        """
        await may_begin.wait()
        while True:
            try:
                await self._read_connections()
            except PodmanError as error:
                self._go_on = anyio.Event()
                await self._ahead.put(error)
                await self._go_on.wait()
                # That of the other connection was of the same trouble.
                self._failure = None
                goes_on, self._goes_on = self._goes_on, anyio.Event()
                goes_on.set()

    async def mind_cuts(self, are_minded: anyio.Event) -> None:
        """Have events asked for again whenever podman cuts its file of them; never returns."""
        pauses = _Pauses()
        while True:
            try:
                await self._follow_cuts(pauses, are_minded)
            except PodmanError as error:
                are_minded.set()
                # Whoever reads tells of it, and of its own failure where that has one as well.
                self._failure = error
                self._stop_waiting()
                await self._goes_on.wait()
            await pauses.wait()

    async def _follow_cuts(self, pauses: _Pauses, are_minded: anyio.Event) -> None:
        async with open_events(
            self._libpod, filters=_CUTS, stream=True, since=None, until=None
        ) as cuts:
            pauses.begin()
            if are_minded.is_set():
                # Until now nobody would have told of one.
                self._ask_again()
            are_minded.set()
            try:
                async for cut in cuts:
                    # What podman has kept of its file is read again, with the cut before this one.
                    if cut.time_nano == self._last_cut:
                        continue
                    self._last_cut = cut.time_nano
                    self._horizon.cut(cut.time_nano, silent=self._is_silent())
                    self._cut = cut.time_nano
                    self._ask_again()
            except (TransportError, StreamTruncated):
                return

    def _is_silent(self) -> bool:
        """Tell whether all that a connection had to tell has come, and was told."""
        silence = anyio.current_time() - self._waits_since
        return self._waiting is not None and silence >= _REST_SECONDS

    def _ask_again(self) -> None:
        self._stale = True
        self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()

    async def _read_connections(self) -> None:
        pauses = _Pauses()
        while True:
            self._stale = False
            self._cut = 0
            async with open_events(
                self._libpod,
                filters=self._filters,
                stream=True,
                since=rfc3339(self._horizon.since),
                until=None,
            ) as events:
                pauses.begin()
                await self._pass_on(events, pauses)
            if self._failure is not None:
                raise self._failure
            await pauses.wait()

    async def _pass_on(self, events: AsyncIterator[Event], pauses: _Pauses) -> None:
        """Pass on the events of a connection until they have to be asked for again."""
        again, self._again = self._again, True
        try:
            if again:
                await self._look_for_a_gap()
            while (event := await self._next(events)) is not None:
                if not _is_rotation(event) and self._horizon.is_new(event):
                    pauses.end()
                    await self._ahead.put(event)
        except (ConnectError, RequestTimeout):
            raise
        except (TransportError, StreamTruncated):
            return
        if self._stale:
            pauses.end()

    async def _next(self, events: AsyncIterator[Event]) -> Event | None:
        """Return the next event, `None` where they have to be asked for again."""
        if self._failure is not None:
            return None
        if self._stale:
            return await self._rest(events)
        began, self._waits_since = time_ns(), anyio.current_time()
        try:
            with CancelScope() as self._waiting:
                return await anext(events, None)
        finally:
            self._waiting = None
            if not self._stale:
                self._horizon.wait(began, time_ns())
        return None

    async def _rest(self, events: AsyncIterator[Event]) -> Event | None:
        """Return the next of those events that had come before podman cut its file.

        What came after that comes again, behind what podman has left out.
        """
        with anyio.move_on_after(_REST_SECONDS):
            event = await anext(events, None)
            return event if event is not None and event.time_nano <= self._cut else None
        return None

    async def _look_for_a_gap(self) -> None:
        """Have it told where podman's record does not go back to what was told."""
        oldest = await self._oldest()
        complete = self._horizon.complete
        if self._horizon.is_behind_a_gap(oldest) and complete is not None:
            await self._ahead.put(EventsLost(moment(complete)))

    async def _oldest(self) -> Event | None:
        """Return the oldest event of podman's record, whatever it is of."""
        with anyio.move_on_after(self._libpod.transport.timeout):
            async with open_events(
                self._libpod, filters={}, stream=False, since=_EVER, until=None
            ) as events:
                async for event in events:
                    if not _is_rotation(event):
                        return event
                return None
        raise RequestTimeout("podman did not tell in time what the oldest of its events is")


def _is_rotation(event: Event) -> bool:
    return (event.type, event.action) == _ROTATION
