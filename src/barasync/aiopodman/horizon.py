"""What a watch has told of podman's events, and what it is to ask for; without I/O."""

from __future__ import annotations

import heapq

from barasync.aiopodman.models import Event

LATE_SECONDS = 5
"""How much older than the newest one an event may be that is written after it."""

MOST_KEPT = 10_000
"""How many events of the last `LATE_SECONDS` are remembered, not to be told again."""

_NANOSECONDS = 1_000_000_000
# Podman looks at its file of events four times a second.
_LOOK_NANOSECONDS = 250_000_000
_PASSED_ON_NANOSECONDS = _NANOSECONDS

_Key = tuple[int, str, str, str]


class Horizon:
    """Which events have been told, and since when to ask for more.

    Podman's processes each write their events themselves, so that a file of them is not quite in
    the order of their times. What is asked for again overlaps with what was told, and what was told
    is left out. Times are in nanoseconds since the epoch.

    Invariant: of what podman has written until `complete` all that matches was told. So nothing is
    lost where its record, of whatever it is, begins no later than that.
    """

    def __init__(self, since: int) -> None:
        self._floor = since
        self._newest = since
        self._complete: int | None = None
        self._told: set[_Key] = set()
        self._by_time: list[_Key] = []

    @property
    def since(self) -> int:
        """The time after which events are to be asked for."""
        return max(self._floor, self._newest - LATE_SECONDS * _NANOSECONDS)

    @property
    def complete(self) -> int | None:
        """Until when all is told; `None` where there is nothing yet to know it by."""
        return self._complete

    def wait(self, began: int, ended: int) -> None:
        """Take note that a connection was waited on, which lived for so long and said nothing.

        What was written shortly before its end may not have been passed on.
        """
        until = ended - _PASSED_ON_NANOSECONDS
        if self._complete is not None and until > began:
            self._complete = max(self._complete, until)

    def cut(self, time: int, *, silent: bool) -> None:
        """Take note that podman has cut its file: what it wrote shortly before is to come again.

        `silent` says that a connection that lived had been waited on for some time.
        """
        if self._complete is not None:
            until = time - _LOOK_NANOSECONDS
            self._complete = until if silent else min(self._complete, until)

    def is_behind_a_gap(self, oldest: Event | None) -> bool:
        """Tell whether a record that begins with `oldest`, or is empty, lacks what was not told.

        From then on all is told that the record has.
        """
        complete = self._complete
        if oldest is not None and (complete is None or oldest.time_nano <= complete):
            self._complete = complete or oldest.time_nano
            return False
        self._complete = None if oldest is None else oldest.time_nano
        # Of events that are not quite in order the oldest may be the newest that was told.
        return complete is not None and (oldest is None or _key(oldest) not in self._told)

    def is_new(self, event: Event) -> bool:
        """Tell whether an event has not been told yet, and take it as told."""
        key = _key(event)
        if key in self._told:
            return False
        self._newest = max(self._newest, event.time_nano)
        self._complete = max(self._complete or 0, event.time_nano)
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


def _key(event: Event) -> _Key:
    return event.time_nano, event.type, event.action, event.actor.id
