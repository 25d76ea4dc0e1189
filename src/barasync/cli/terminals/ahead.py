"""What was read here and a container has not taken yet."""

from __future__ import annotations

import anyio


class Ahead:
    """Bytes on their way from one task to another, in order: `limit` of them at most, or one piece.

    What comes in pieces of a key each is kept as what it is, a few bytes.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self._ended = False
        self._unwanted = False
        self._changed = anyio.Event()

    async def put(self, data: bytes) -> bool:
        """Add a piece, once there is room; tell whether anybody takes it."""
        while self._kept and len(self._kept) + len(data) > self._limit and not self._unwanted:
            await self._changed.wait()
        if self._unwanted:
            return False
        self._kept += data
        self._notify()
        return True

    async def take(self, most: int) -> bytes:
        """Return the next bytes, `most` of them at most, once there are some; none at the end."""
        while not self._kept and not self._ended:
            await self._changed.wait()
        data = bytes(self._kept[:most])
        del self._kept[:most]
        self._notify()
        return data

    def end(self) -> None:
        """Say that nothing more comes."""
        self._ended = True
        self._notify()

    def refuse(self) -> None:
        """Say that nothing more is taken."""
        self._unwanted = True
        self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
