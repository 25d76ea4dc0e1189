"""Secrets kept out of what is recorded: a cell's output on its way to the log, and its verdict."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import fields, is_dataclass, replace
from types import MappingProxyType
from typing import Self

from anyio import CancelScope

from barasync.aiopodman import Chunk, Stream
from barasync.engine.drain import Sink
from barasync.errors import BarasyncError
from barasync.masking.masker import MaskedStream, Masker
from barasync.matrix.outcome import Outcome


@asynccontextmanager
async def masked_sink(log: Sink, masker: Masker) -> AsyncIterator[Sink]:
    """Yield a sink that masks each stream on its way to `log`.

    What may be the beginning of a secret is held back, at the end of the block no longer.
    """
    if not masker:
        yield log
        return
    sink = _MaskedSink(log, masker)
    try:
        yield sink
    finally:
        # Bounded as each write is: by the disk.
        with CancelScope(shield=True):
            await sink.finish()


class _MaskedSink:
    """A sink that masks; a secret of which one stream has one part is not seen."""

    def __init__(self, log: Sink, masker: Masker) -> None:
        self._log = log
        self._masker = masker
        self._streams: dict[Stream, MaskedStream] = {}

    async def write(self, chunk: Chunk) -> None:
        """Pass on what is decided."""
        stream = self._streams.setdefault(chunk.stream, self._masker.stream())
        await self._pass_on(chunk.stream, stream.feed(chunk.data))

    async def finish(self) -> None:
        """Pass on the rest."""
        for name, stream in self._streams.items():
            await self._pass_on(name, stream.finish())

    async def _pass_on(self, name: Stream, data: bytes) -> None:
        if data:
            await self._log.write(Chunk(name, data))


class MaskedOutput:
    """Output that is masked, each stream by itself, on its way to somebody who is not recorded.

    What may be the beginning of a secret comes with what follows it, or at the end.
    """

    def __init__(self, output: AsyncIterator[Chunk], masker: Masker) -> None:
        self._output = output
        self._masker = masker
        self._streams: dict[Stream, MaskedStream] = {}

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Chunk:
        async for chunk in self._output:
            stream = self._streams.setdefault(chunk.stream, self._masker.stream())
            if data := stream.feed(chunk.data):
                return Chunk(chunk.stream, data)
        while self._streams:
            name, stream = self._streams.popitem()
            if data := stream.finish():
                return Chunk(name, data)
        raise StopAsyncIteration


def masked_outcome(outcome: Outcome, masker: Masker) -> Outcome:
    """Mask every text of an outcome: podman's words and the names of a cell's files are in them."""
    masked = _masked(outcome, masker) if masker else outcome
    assert isinstance(masked, Outcome)
    return masked


def masked_error(error: BarasyncError, masker: Masker) -> BarasyncError:
    """Mask the sentence and the hint of an error, in place."""
    error.args = (masker.text(str(error)),)
    error.hint = None if error.hint is None else masker.text(error.hint)
    return error


def _masked(value: object, masker: Masker) -> object:
    """Mask the texts in a value of dataclasses, tuples and mappings, but not the names in those.

    A member of an enumeration is no text.
    """
    if type(value) is str:
        return masker.text(value)
    if isinstance(value, tuple):
        return tuple(_masked(item, masker) for item in value)
    if isinstance(value, Mapping):
        return MappingProxyType({name: _masked(item, masker) for name, item in value.items()})
    if is_dataclass(value) and not isinstance(value, type):
        changes = {each.name: _masked(getattr(value, each.name), masker) for each in fields(value)}
        return replace(value, **changes)
    return value
