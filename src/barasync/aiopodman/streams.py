"""Where the bytes of an answer meet the decoders of `wire`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Protocol, TypeVar

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
