"""Whether a service beside a cell can be used: by a command in it, or by a port that it opens."""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

import anyio

from barasync.aiopodman import Container, PodmanError
from barasync.config.services import ListensAt
from barasync.networks.listeners import ListenersUnknown, Listening
from barasync.terminal_text import one_line

_INSPECT_SECONDS = 5.0
_CHARACTERS = 400
_PORTS = 5
"""That are told of a service that listens at others."""


class Check(Protocol):
    """Tells whether a service is ready, as often as it is asked."""

    async def passes(self) -> bool:
        """Whether it is; a check that fails for another reason has not passed."""

    async def said(self) -> str:
        """Return what is to be said of the last one, as the end of a sentence."""


class CommandCheck:
    """A command, the health check of a container that runs: it passes where it ends with 0."""

    def __init__(self, container: Container) -> None:
        self._container = container
        self._problem = "its check did not end"

    async def passes(self) -> bool:
        """Execute it; as long as it takes."""
        try:
            return await self._container.check_health()
        except PodmanError as error:
            # It may have ended, which whoever follows it tells; or podman does better next time.
            self._problem = f"podman: {error}"
            return False

    async def said(self) -> str:
        """Return what it printed the last time, within 5 s."""
        with anyio.move_on_after(_INSPECT_SECONDS), suppress(PodmanError):
            for result in (await self._container.inspect()).state.health.log[-1:]:
                printed = one_line(result.output, most=_CHARACTERS)
                return f"its check fails, and prints {printed or 'nothing'}"
        return self._problem


class PortCheck:
    """A port in the network of a cell: it passes once something listens there."""

    def __init__(self, at: ListensAt, listening: Listening) -> None:
        self._at = at
        self._listening = listening
        self._found: frozenset[int] = frozenset()
        self._problem: str | None = None

    async def passes(self) -> bool:
        """Look."""
        try:
            self._found = await self._listening.ports()
        except ListenersUnknown as error:
            self._problem = str(error)
            return False
        self._problem = None
        return self._at.port in self._found

    async def said(self) -> str:
        """Return where something listened the last time, so that a wrong port is seen."""
        if self._problem is not None:
            return self._problem
        others = ", ".join(str(ListensAt(port)) for port in sorted(self._found)[:_PORTS])
        return f"nothing listens at {self._at}" + (f", but at {others}" if others else "")
