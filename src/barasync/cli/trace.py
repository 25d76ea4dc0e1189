"""`--verbose`: the engine's own events as log lines, never a container's output."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import structlog

from barasync.events import AnyEvent
from barasync.report.channel import Channel


class TraceView:
    """Logs every event to a channel, on a thread of its own: nobody waits for the log's reader."""

    def __init__(self, channel: Channel) -> None:
        self._log = structlog.wrap_logger(
            _Lines(channel),
            processors=[
                structlog.processors.TimeStamper(fmt="iso", utc=False),
                structlog.dev.ConsoleRenderer(colors=False),
            ],
        )

    def event(self, event: AnyEvent) -> None:
        """Log the event with all its fields."""
        fields = msgspec.to_builtins(event, enc_hook=dict)
        name = fields.pop("event")
        fields.pop("at")
        self._log.info(name, **fields)

    def written(self, cell: str) -> None:
        """Log nothing: output is data."""

    def step(self) -> float | None:
        """Wait for the next event."""
        return None

    def close(self, summary: Sequence[str]) -> None:
        """Log nothing of the summary."""


class _Lines:
    """A logger of structlog that prints to a channel."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel

    def info(self, message: str) -> None:
        self._channel.print(message)
