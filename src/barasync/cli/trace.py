"""`--verbose`: the engine's own events as log lines on stderr."""

from __future__ import annotations

import sys

import msgspec
import structlog

from barasync.events import AnyEvent
from barasync.report.recorder import Audience


class _Traced:
    """An audience that also logs every event; a container's output is never logged."""

    def __init__(self, audience: Audience) -> None:
        self._audience = audience
        self._log = structlog.wrap_logger(
            structlog.PrintLogger(sys.stderr),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=False),
                structlog.dev.ConsoleRenderer(colors=False),
            ],
        )

    def emit(self, event: AnyEvent) -> None:
        fields = msgspec.to_builtins(event, enc_hook=dict)
        name = fields.pop("event")
        fields.pop("at")
        self._log.info(name, **fields)
        self._audience.emit(event)

    def written(self, cell: str) -> None:
        self._audience.written(cell)


def traced(audience: Audience) -> Audience:
    """Return an audience that hears the same and logs it."""
    return _Traced(audience)
