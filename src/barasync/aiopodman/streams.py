"""Where the bytes of an answer meet the decoders of `wire`, and values wait for who takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Iterator
from typing import Generic, Protocol, TypeVar

import anyio

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Decoder(Protocol[T_co]):
    """What turns bytes into values without I/O."""

    def feed(self, data: bytes, /) -> Iterator[T_co]:
        """Yield what `data` completes."""

    def finish(self) -> Iterator[T_co]:
        """Yield what the end of the input completes."""


class DecodedStream(AsyncIterator[T]):
    """The values that a decoder makes of a stream of bytes, as they arrive.

    Ends when the bytes do; raises what the decoder or the stream raises. Valid only inside the
    block that opened it.
    """

    def __init__(self, data: AsyncIterator[bytes], decoder: Decoder[T]) -> None:
        self._data = data
        self._decoder = decoder
        self._ready: Iterator[T] = iter(())
        self._ended = False

    async def __anext__(self) -> T:
        while True:
            for value in self._ready:
                return value
            if self._ended:
                raise StopAsyncIteration
            data = await anext(self._data, None)
            self._ended = data is None
            self._ready = self._decoder.finish() if data is None else self._decoder.feed(data)


class Ahead(Generic[T]):
    """Up to `most` values that one task has received before another takes them, in order.

    Whoever is cancelled while it waits has taken nothing. A memory object stream may lose a value
    then: anyio hands it to the one that waits, and whose cancellation may come before it goes on.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._values: deque[T] = deque()
        self._changed = anyio.Event()
        self._closed = False

    async def put(self, value: T) -> None:
        """Add a value, once there is room."""
        while len(self._values) >= self._most:
            await self._changed.wait()
        self._values.append(value)
        self._change()

    async def take(self) -> T:
        """Return the next value, once there is one.

        Raises:
            ClosedResourceError: `close` was called.
        """
        while True:
            if self._closed:
                raise anyio.ClosedResourceError
            if self._values:
                value = self._values.popleft()
                self._change()
                return value
            await self._changed.wait()

    def close(self) -> None:
        """Have nothing taken any more."""
        self._closed = True
        self._values.clear()
        self._change()

    def _change(self) -> None:
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
