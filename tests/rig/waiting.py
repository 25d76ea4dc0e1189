"""Waiting for what other processes bring about."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic

_SECONDS = 40.0
_POLL_SECONDS = 0.05


def wait_until(holds: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds; `what` says in an error which one it was.

    Raises:
        AssertionError: it does not hold after 40 s.
    """
    deadline = monotonic() + _SECONDS
    never = threading.Event()
    while not holds():
        assert monotonic() < deadline, f"in vain, for {_SECONDS:.0f} s: {what}"
        never.wait(_POLL_SECONDS)
