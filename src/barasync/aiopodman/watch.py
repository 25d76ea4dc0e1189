"""Events that go on after podman's service went away and came back."""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import anyio
from anyio import CancelScope

from barasync.aiopodman.errors import ConnectError, StreamTruncated, TransportError
from barasync.aiopodman.events import open_events
from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.models import Event

LATE_SECONDS = 5
"""How much older than the newest one an event may be that is written after it."""

MOST_KEPT = 10_000
"""How many events of the last `LATE_SECONDS` are remembered, not to be told again."""

_NANOSECONDS = 1_000_000_000
_NANOSECONDS_OF_MICROSECOND = 1_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 5.0

_Key = tuple[int, str, str, str]


class Horizon:
    """Which events have been told, and since when to ask for more; without I/O.

    Podman's processes each write their events themselves, so that a file of them is not quite in
    the order of their times. What is asked for again overlaps with what was told, and what was told
    is left out. Times are in nanoseconds since the epoch.
    """

    def __init__(self, since: int) -> None:
        self._floor = since
        self._newest = since
        self._told: set[_Key] = set()
        self._by_time: list[_Key] = []

    @property
    def since(self) -> int:
        """The time after which events are to be asked for."""
        return max(self._floor, self._newest - LATE_SECONDS * _NANOSECONDS)

    def is_new(self, event: Event) -> bool:
        """Tell whether an event has not been told yet, and take it as told."""
        key = (event.time_nano, event.type, event.action, event.actor.id)
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
    try:
        yield watch
    finally:
        await watch.aclose()


class _Watch(AsyncIterator[Event]):
    """The events of one connection after another."""

    def __init__(self, libpod: Libpod, filters: Mapping[str, Sequence[str]], since: int) -> None:
        self._libpod = libpod
        self._filters = filters
        self._horizon = Horizon(since)
        self._connection = AsyncExitStack()
        self._events: AsyncIterator[Event] | None = None
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
                    self._pause = min(
                        max(2 * self._pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS
                    )
                    continue
                if self._horizon.is_new(event):
                    self._pause = 0.0
                    return event
        except BaseException:
            # What was received and not told is asked for again by the next call.
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Close the connection; nothing happens where there is none."""
        self._events = None
        with CancelScope(shield=True):
            await self._connection.aclose()

    async def _open(self) -> AsyncIterator[Event]:
        return await self._connection.enter_async_context(
            open_events(
                self._libpod,
                filters=self._filters,
                stream=True,
                since=_timestamp(self._horizon.since),
                until=None,
            )
        )

    async def _next(self, events: AsyncIterator[Event]) -> Event | None:
        """Return the next event, `None` where the service went away or ended the stream."""
        try:
            return await anext(events, None)
        except ConnectError:
            raise
        except (TransportError, StreamTruncated):
            return None


def _nanoseconds(moment: datetime) -> int:
    microseconds = (moment - _EPOCH) // timedelta(microseconds=1)
    return microseconds * _NANOSECONDS_OF_MICROSECOND


def _timestamp(nanoseconds: int) -> str:
    seconds, rest = divmod(nanoseconds, _NANOSECONDS)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{rest:09d}Z"
