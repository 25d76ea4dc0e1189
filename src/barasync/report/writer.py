"""Writing to a channel without waiting for it on the event loop."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from types import TracebackType
from typing import Self

import anyio
from anyio import from_thread
from anyio.lowlevel import EventLoopToken, current_token

from barasync.report.channel import Channel


@dataclass(slots=True)
class _Piece:
    data: bytes
    written: anyio.Event = field(default_factory=anyio.Event)
    defect: Exception | None = None


class Writer:
    """Writes to a channel, one piece after the other, on a thread of its own.

    Use as a context manager. The thread is a daemon, and leaving the context does not wait for it,
    for the reason that `Console` has: a write to a terminal that stands still cannot be
    interrupted.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._inbox: SimpleQueue[_Piece | None] = SimpleQueue()

    def __enter__(self) -> Self:
        threading.Thread(
            target=self._serve, args=(current_token(),), name="barasync writer", daemon=True
        ).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._inbox.put(None)

    async def write(self, data: bytes) -> None:
        """Write bytes as they are; return when they and all before are written.

        When cancelled, they may still be written.
        """
        piece = _Piece(data)
        self._inbox.put(piece)
        await piece.written.wait()
        if piece.defect is not None:
            raise piece.defect

    def _serve(self, token: EventLoopToken) -> None:
        while (piece := self._inbox.get()) is not None:
            try:
                self._channel.write(piece.data)
            except Exception as error:  # noqa: BLE001 - a thread has no caller: `write` raises it
                piece.defect = error
            # Who was given up may have no event loop any more.
            with suppress(RuntimeError):
                from_thread.run_sync(piece.written.set, token=token)
