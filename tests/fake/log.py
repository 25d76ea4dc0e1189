"""What a container printed, as podman's `k8s-file` driver keeps it: in lines, and bounded."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from barasync.aiopodman import Stream

_OVERHEAD_BYTES = 45


@dataclass(frozen=True, slots=True)
class Entry:
    """A line with its newline, or a piece of one; `at` is when it came."""

    at: datetime
    stream: Stream
    data: bytes

    @property
    def frame(self) -> bytes:
        """The entry as podman sends it."""
        return framed(self.stream, self.data)


class Log:
    """The entries since the log was last begun anew, which `limit` bytes make necessary."""

    def __init__(self, limit: int | None) -> None:
        self.entries: list[Entry] = []
        self.dropped = 0
        self._limit = limit
        self._size = 0

    def add(self, at: datetime, stream: Stream, data: bytes) -> None:
        """Keep what the monitor has read at once."""
        for line in _lines(data):
            if self._limit is not None and self._size + len(line) + _OVERHEAD_BYTES > self._limit:
                self.dropped += len(self.entries)
                self.entries, self._size = [], 0
            self.entries.append(Entry(at, stream, line))
            self._size += len(line) + _OVERHEAD_BYTES

    def after(self, position: int) -> list[Entry]:
        """Return the entries from `position` on, counted from the very first one."""
        return self.entries[max(0, position - self.dropped) :]

    @property
    def end(self) -> int:
        """The position of the next entry."""
        return self.dropped + len(self.entries)


def framed(stream: Stream, data: bytes) -> bytes:
    """Put the header of podman's multiplexed streams before `data`."""
    return bytes([stream, 0, 0, 0]) + len(data).to_bytes(4, "big") + data


def _lines(data: bytes) -> list[bytes]:
    """Split at newlines alone."""
    *lines, rest = data.split(b"\n")
    return [line + b"\n" for line in lines] + ([rest] if rest else [])
