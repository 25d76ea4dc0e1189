"""The last words of a process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

import anyio

if TYPE_CHECKING:
    from types import TracebackType

    from anyio.abc import ByteReceiveStream, TaskGroup

KEPT_BYTES = 16 * 1024
KEPT_LINES = 20


class Tail:
    """Reads a stream as long as its block runs and keeps the end of what came.

    The writer never waits for anybody, and memory stays bounded, whatever it writes. The stream is
    not closed.
    """

    def __init__(self, stream: ByteReceiveStream) -> None:
        self._stream = stream
        self._kept = bytearray()
        self._ended = anyio.Event()
        self._tasks: TaskGroup

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._drain)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        # The block's own exception is kept from the task group, which would wrap it in a group.
        self._tasks.cancel_scope.cancel()
        await self._tasks.__aexit__(None, None, None)

    async def _drain(self) -> None:
        try:
            async for data in self._stream:
                self._kept += data
                del self._kept[:-KEPT_BYTES]
        except anyio.BrokenResourceError:
            pass  # like the end of the stream: there is no more to read
        finally:
            self._ended.set()

    async def wait_until_ended(self, *, seconds: float) -> None:
        """Wait until all writers have closed the stream, or for `seconds`."""
        with anyio.move_on_after(seconds):
            await self._ended.wait()

    def lines(self) -> tuple[str, ...]:
        """Return the last lines, without those that are empty."""
        lines = self._kept.decode(errors="replace").splitlines()
        return tuple(line for line in lines if line.strip())[-KEPT_LINES:]
