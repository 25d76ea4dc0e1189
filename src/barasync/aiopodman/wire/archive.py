"""Whether a tar stream came to its end.

Podman sends `200 OK` before it packs; when that breaks off, the stream just ends, cleanly. The
marker of two zero blocks at the end of an archive tells an archive that is empty or cut in a member
from a whole one. It does not tell everything: see `archives`.
"""

from __future__ import annotations

from collections.abc import Iterator

from barasync.aiopodman.errors import StreamTruncated

_BLOCK = 512
_END_MARKER = bytes(2 * _BLOCK)


class ArchiveCheck:
    """Passes a tar stream through and checks its end; keeps the last 1,024 bytes.

    Source: POSIX pax, "ustar Interchange Format": two 512-byte blocks of zeros end an archive.
    """

    def __init__(self) -> None:
        self._tail = b""
        self._length = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield `data` as it is. Exhaust the iterator before the next call."""
        self._length += len(data)
        self._tail = (self._tail + data[-len(_END_MARKER) :])[-len(_END_MARKER) :]
        if data:
            yield data

    def finish(self) -> Iterator[bytes]:
        """Check the end of the archive; yields nothing.

        Raises:
            StreamTruncated: the stream does not end with the archive's end marker.
        """
        if self._tail != _END_MARKER or self._length % _BLOCK:
            raise StreamTruncated(
                f"the archive ends after {self._length} bytes without its end marker: podman "
                "failed while it packed, or the container was removed meanwhile"
            )
        return iter(())
