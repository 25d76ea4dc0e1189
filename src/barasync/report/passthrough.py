"""Pass-through: the output of a single container becomes our own, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from barasync.events import AnyEvent, ContainerStarted
from barasync.report.channel import Channel
from barasync.report.files import OUTPUT_LOG, STDERR_LOG, STDOUT_LOG
from barasync.report.follow import PIECE_BYTES, Follower
from barasync.report.words import published


class CopyView:
    """Copies a log to a channel as it is.

    `unread` is called once where nobody reads the channel any more, and not where that takes
    nothing for another reason.
    """

    def __init__(self, path: Path, out: Channel, unread: Callable[[], None] = lambda: None) -> None:
        self._follower = Follower(path)
        self._out = out
        self._unread = unread
        self._behind = False

    def event(self, event: AnyEvent) -> None:
        """Say nothing: this output is the container's alone."""

    def written(self, cell: str) -> None:  # noqa: ARG002 - there is one cell
        """Take note that there is more."""
        self._behind = True

    def step(self) -> float | None:
        """Copy a piece."""
        if not self._behind or self._out.closed:
            return None
        piece = self._follower.read()
        self._out.write(piece)
        if self._out.unread:
            self._unread()
        self._behind = len(piece) == PIECE_BYTES
        return 0.0 if self._behind else None

    def close(self, summary: Sequence[str]) -> None:
        """Print the summary, where there is one."""
        self._out.print(*summary)


class PortsView:
    """Says where ports of the container are that podman has chosen: nobody else can know.

    `chosen` are those of the container, such as `80/tcp`.
    """

    def __init__(self, error: Channel, chosen: Collection[str]) -> None:
        self._error = error
        self._chosen = chosen

    def event(self, event: AnyEvent) -> None:
        """Say it once the container runs."""
        if isinstance(event, ContainerStarted):
            for port, places in event.ports.items():
                if port in self._chosen:
                    self._error.print(f"barasync: {published({port: places})}")

    def written(self, cell: str) -> None:
        """Show nothing."""

    def step(self) -> float | None:
        """Wait for the end."""
        return None

    def close(self, summary: Sequence[str]) -> None:
        """Say nothing more."""


def copy_views(
    logs: Path,
    out: Channel,
    error: Channel,
    *,
    together: bool,
    unread: Callable[[], None] = lambda: None,
) -> list[CopyView]:
    """Return the views of one container whose stdout goes to ours, its stderr to ours, unchanged.

    `unread` is called, in the thread of a view, when the reader of our stdout has left.

    Each stream is followed at its own pace: a reader of one that stands still does not hold up the
    other. Where both are the same (`together`: a terminal, `2>&1`), the interleaved log is followed
    instead, and the order in which the container wrote is kept.
    """
    if together:
        return [CopyView(logs / OUTPUT_LOG, out, unread)]
    return [CopyView(logs / STDOUT_LOG, out, unread), CopyView(logs / STDERR_LOG, error)]
