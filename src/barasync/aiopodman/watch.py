"""Events that go on after podman's service went away and came back."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta

import anyio
from anyio import CancelScope

from barasync.aiopodman.errors import (
    ConnectError,
    EventsLost,
    PodmanError,
    StreamTruncated,
    TransportError,
)
from barasync.aiopodman.events import open_events
from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.models import EPOCH, Event, moment
from barasync.aiopodman.service_quirks import EVENTS_MISSED_AT_A_CUT

LATE_SECONDS = 5
"""How much older than the newest one an event may be that is written after it."""

MOST_KEPT = 10_000
"""How many events of the last `LATE_SECONDS` are remembered, not to be told again."""

_NANOSECONDS = 1_000_000_000
_NANOSECONDS_OF_MICROSECOND = 1_000
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 5.0

# What podman notes where it cuts its own file of events, in the place of what was before.
_ROTATION = ("system", "log-rotation")
_CUTS = {"type": ["system"], "event": ["log-rotation"]}

_Key = tuple[int, str, str, str]


class Horizon:
    """Which events have been told, and since when to ask for more; without I/O.

    Podman's processes each write their events themselves, so that a file of them is not quite in
    the order of their times. What is asked for again overlaps with what was told, and what was told
    is left out. Times are in nanoseconds since the epoch.

    Invariant: a record that is still there begins, as far as it is asked for again, with an event
    that was told: the one told last is in it, and what is before that was told as well.
    """

    def __init__(self, since: int) -> None:
        self._floor = since
        self._newest = since
        self._told: set[_Key] = set()
        self._by_time: list[_Key] = []
        self._rejoining = False

    @property
    def since(self) -> int:
        """The time after which events are to be asked for."""
        return max(self._floor, self._newest - LATE_SECONDS * _NANOSECONDS)

    @property
    def newest(self) -> int:
        """The time of the newest event that was told, or from which on they are asked for."""
        return self._newest

    def rejoin(self) -> None:
        """Take note that the events after `since` come again, from the beginning."""
        self._rejoining = bool(self._told)

    def is_behind_a_gap(self, event: Event) -> bool:
        """Tell whether an event is the first of a record in which the one told last is missing.

        What was told before it is forgotten then: none of that can come again.
        """
        rejoining, self._rejoining = self._rejoining, False
        if not rejoining or _key(event) in self._told:
            return False
        self._told.clear()
        self._by_time.clear()
        return True

    def is_new(self, event: Event) -> bool:
        """Tell whether an event has not been told yet, and take it as told."""
        key = _key(event)
        if key in self._told:
            return False
        self._newest = max(self._newest, event.time_nano)
        self._told.add(key)
        heapq.heappush(self._by_time, key)
        self._forget()
        return True

    def _forget(self) -> None:
        if len(self._by_time) > MOST_KEPT:
            # What was forgotten must not be asked for again.
            self._floor = max(self._floor, self._by_time[0][0] + 1)
        while self._by_time and self._by_time[0][0] < self.since:
            self._told.discard(heapq.heappop(self._by_time))


@asynccontextmanager
async def watch_events(
    libpod: Libpod, *, filters: Mapping[str, Sequence[str]], since: datetime | None
) -> AsyncIterator[AsyncIterator[Event]]:
    """Yield events as `Podman.watch` describes them.

    Source: `GET /libpod/events`.
    """
    watch = _Watch(libpod, filters, _nanoseconds(since or datetime.now(UTC)))
    raised: Exception | None = None
    try:
        async with anyio.create_task_group() as tasks:
            if libpod.has(EVENTS_MISSED_AT_A_CUT):
                tasks.start_soon(watch.mind_cuts)
            try:
                yield watch
            except Exception as error:  # noqa: BLE001 - raised below, as it is and not in a group
                raised = error
            tasks.cancel_scope.cancel()
    finally:
        await watch.aclose()
    if raised is not None:
        raise raised


class _Watch(AsyncIterator[Event]):
    """The events of one connection after another."""

    def __init__(self, libpod: Libpod, filters: Mapping[str, Sequence[str]], since: int) -> None:
        self._libpod = libpod
        self._filters = filters
        self._horizon = Horizon(since)
        self._connection = AsyncExitStack()
        self._events: AsyncIterator[Event] | None = None
        self._waiting: CancelScope | None = None
        self._cut = False
        self._pause = 0.0

    async def __anext__(self) -> Event:
        try:
            while True:
                if self._events is None:
                    await anyio.sleep(self._pause)
                    self._events = await self._open()
                event = await self._next(self._events)
                if event is None:
                    await self.aclose()
                    self._pause = _longer(self._pause)
                    continue
                if self._is_news(event):
                    self._pause = 0.0
                    return event
        except BaseException:
            # What was received and not told is asked for again by the next call.
            await self.aclose()
            raise

    async def mind_cuts(self) -> None:
        """Have events asked for again whenever podman cuts its file of them; never returns.

        Of a service that is away the others tell, which read the events.
        """
        pause = 0.0
        while True:
            with suppress(PodmanError):
                async with open_events(
                    self._libpod, filters=_CUTS, stream=True, since=None, until=None
                ) as cuts:
                    self._ask_again()
                    pause = 0.0
                    async for _ in cuts:
                        self._ask_again()
            pause = _longer(pause)
            await anyio.sleep(pause)

    def _ask_again(self) -> None:
        self._cut = True
        if self._waiting is not None:
            self._waiting.cancel()

    async def aclose(self) -> None:
        """Close the connection; nothing happens where there is none."""
        self._events = None
        with CancelScope(shield=True):
            await self._connection.aclose()

    async def _open(self) -> AsyncIterator[Event]:
        self._cut = False
        self._horizon.rejoin()
        return await self._connection.enter_async_context(
            open_events(
                self._libpod,
                filters=self._filters,
                stream=True,
                since=_timestamp(self._horizon.since),
                until=None,
            )
        )

    def _is_news(self, event: Event) -> bool:
        """Tell whether an event is to be told.

        Raises:
            EventsLost: some before it are not to be had any more.
        """
        if (event.type, event.action) == _ROTATION:
            return False
        if self._horizon.is_behind_a_gap(event):
            raise EventsLost(moment(self._horizon.newest))
        return self._horizon.is_new(event)

    async def _next(self, events: AsyncIterator[Event]) -> Event | None:
        """Return the next event, `None` where they have to be asked for again."""
        if self._cut:
            return None
        try:
            with CancelScope() as self._waiting:
                return await anext(events, None)
        except ConnectError:
            raise
        except (TransportError, StreamTruncated):
            return None
        finally:
            self._waiting = None
        return None


def _longer(pause: float) -> float:
    return min(max(2 * pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)


def _key(event: Event) -> _Key:
    return event.time_nano, event.type, event.action, event.actor.id


def _nanoseconds(time: datetime) -> int:
    microseconds = (time - EPOCH) // timedelta(microseconds=1)
    return microseconds * _NANOSECONDS_OF_MICROSECOND


def _timestamp(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, _NANOSECONDS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
