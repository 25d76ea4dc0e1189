"""When a request that failed is sent again.

- One that found nobody, and an idempotent one whose answer broke off: at once where its pooled
  connection turned out to be closed, and else with pauses, while the service is away for no longer
  than is borne. Every request reckons that by itself, from its own first failure: the answers to
  others do not prolong it. What they tell each other is that the service stays away.
- A DELETE sent again because its answer broke off, and refused because there is no such object, is
  done: the one before has removed it. So is one that named an object that was never there.
- A GET or HEAD that podman failed on, or did not answer in time, a few times more: storage that was
  locked for too long, or a podman that was out of processes, is no verdict on what was asked about.
  An error whose cause says what is wrong is one, whatever its status (`wire.refusal`).
- One that is to happen `once` only where it found nobody, whatever its method: a health check is
  executed by a GET.
"""

from __future__ import annotations

import math

import anyio

from barasync.aiopodman.errors import (
    ConnectError,
    NotFound,
    PodmanError,
    RequestTimeout,
    ServerError,
    TransportError,
)

# Sent again, they have the effect that they would have had once. Source: RFC 9110, section 9.2.2.
_IDEMPOTENT = frozenset({"GET", "HEAD", "DELETE"})
_READING = frozenset({"GET", "HEAD"})
_FIRST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 1.0
# Pauses before a GET that podman failed on is sent again, as often as there are any.
_FAILURE_PAUSES = (0.1, 0.5)
# 501 and the like are statements about the request. Source: RFC 9110, section 15.6.
_FAILURES = frozenset({500, 502, 503, 504})
# The latest a GET is sent again, in times of what one try may take: a second try after a first one
# that was not answered, and no third.
_LATEST = 1.5


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
    """The tries of one request with the given `method`, each for `patience` seconds at most."""

    def __init__(
        self, absence: Absence, method: str, *, patience: float | None, once: bool = False
    ) -> None:
        self._absence = absence
        self._idempotent = method in _IDEMPOTENT and not once
        self._reading = method in _READING and not once
        self._removing = method == "DELETE"
        self._may_be_done = False
        self._latest = anyio.current_time() + _LATEST * (math.inf if patience is None else patience)
        self._failing_since: float | None = None
        self._pause = 0.0
        self._failures = iter(_FAILURE_PAUSES)

    def was_done(self, error: PodmanError) -> bool:
        """Tell whether podman refuses only because it has done it when it was asked before."""
        return self._removing and self._may_be_done and isinstance(error, NotFound)

    async def after(self, error: PodmanError, *, connection_is_new: bool) -> None:
        """Return when the request is to be sent again; raise its error where it is not."""
        if isinstance(error, RequestTimeout | ServerError):
            pause = self._pause_after_failure(error)
        elif isinstance(error, TransportError):
            pause = self._pause_in_absence(error, connection_is_new=connection_is_new)
        else:
            pause = None
        if pause is None:
            raise error
        await anyio.sleep(pause)

    def _pause_after_failure(self, error: RequestTimeout | ServerError) -> float | None:
        if not self._reading or anyio.current_time() > self._latest:
            return None
        if isinstance(error, ServerError) and error.status not in _FAILURES:
            return None
        return next(self._failures, None)

    def _pause_in_absence(self, error: TransportError, *, connection_is_new: bool) -> float | None:
        unheard = isinstance(error, ConnectError)
        if not unheard and not self._idempotent:
            return None
        self._may_be_done = self._may_be_done or not unheard
        is_first = self._failing_since is None
        if self._failing_since is None:
            self._failing_since = anyio.current_time()
        was_closed = is_first and not unheard and not connection_is_new
        if not was_closed and not self._absence.is_bearable(self._failing_since):
            return None
        pause = self._pause
        self._pause = min(max(2 * pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)
        return pause
