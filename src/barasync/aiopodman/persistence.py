"""When a request that failed is sent again.

A request that found nobody may be, and an idempotent one also if its answer broke off: at once
where its pooled connection turned out to be closed, and else with pauses, while the service is away
for no longer than is borne. Every request reckons that by itself, from its own first failure: the
answers to others do not prolong it. What they tell each other is that the service stays away.
"""

from __future__ import annotations

import math

import anyio

from barasync.aiopodman.errors import ConnectError, RequestTimeout, TransportError

# Sent again, they have the effect that they would have had once. Source: RFC 9110, section 9.2.2.
_IDEMPOTENT = frozenset({"GET", "DELETE"})
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 1.0


class Absence:
    """What the requests of a transport know together about a service that is away.

    `bearable` is how long a request waits for it, in seconds. Once one has done so in vain, and no
    other had an answer meanwhile, the rest do not wait until there is an answer again.
    """

    def __init__(self) -> None:
        self.bearable = 0.0
        self._answered = -math.inf
        self._stays = False

    def answered(self) -> None:
        """Take note that the service has answered a request."""
        self._answered = anyio.current_time()
        self._stays = False

    def is_bearable(self, since: float) -> bool:
        """Tell whether a request that has failed since that time is to wait on."""
        if self._stays:
            return False
        if anyio.current_time() - since < self.bearable:
            return True
        self._stays = self._answered < since
        return False


class Persistence:
    """The tries of one request with the given `method`."""

    def __init__(self, absence: Absence, method: str) -> None:
        self._absence = absence
        self._is_idempotent = method in _IDEMPOTENT
        self._failing_since: float | None = None
        self._pause = 0.0

    async def after(self, error: TransportError, *, connection_is_new: bool) -> None:
        """Return when the request is to be sent again; raise its error where it is not."""
        if isinstance(error, RequestTimeout):
            raise error
        unheard = isinstance(error, ConnectError)
        if not unheard and not self._is_idempotent:
            raise error
        is_first = self._failing_since is None
        if self._failing_since is None:
            self._failing_since = anyio.current_time()
        was_closed = is_first and not unheard and not connection_is_new
        if not was_closed and not self._absence.is_bearable(self._failing_since):
            raise error
        await anyio.sleep(self._pause)
        self._pause = min(max(2 * self._pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
