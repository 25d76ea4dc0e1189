"""What is typed into a command that runs in a container, and what it prints."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from barasync.aiopodman.errors import TransportError
from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.streams import DecodedStream, Decoder
from barasync.aiopodman.transport import Query
from barasync.aiopodman.upgrade import Duplex
from barasync.aiopodman.wire.frames import Chunk, FrameDecoder, RawDecoder, Stream
from barasync.aiopodman.wire.notices import begun_notice_at, notice_at

# Of a terminal nothing tells that what was read was cut. Nobody prints so much and waits then.
_LEAST_OF_TERMINAL = len(b"Error: d")


class Attachment:
    """Both directions of a connection to a command in a container.

    One task may iterate over `output` while another sends. Read all the time: a command whose
    output nobody reads stands still, and takes no input either.
    """

    def __init__(self, duplex: Duplex, *, terminal: bool) -> None:
        self._duplex = duplex
        self._sending = anyio.Lock()
        self._eof_sent = False
        decoder: Decoder[Chunk] = RawDecoder() if terminal else FrameDecoder()
        self._output: AsyncIterator[Chunk] = _WithoutNotice(
            DecodedStream(_Received(duplex), decoder), terminal=terminal
        )

    @property
    def output(self) -> AsyncIterator[Chunk]:
        """What the command prints, in the order in which it comes, until it ends.

        What podman itself writes at the end is left out: that it detached the output by its own
        keys, or, of a command that did not read all of its stdin, `read unixpacket …: connection
        reset by peer`. With a terminal all of it is `STDOUT`. The end is no verdict: `inspect` has
        the exit code.

        Raises:
            ProtocolError: while iterating, when the stream is malformed or breaks inside a frame.
            TransportError: while iterating, when the connection breaks.
        """
        return self._output

    def filter(self, through: Callable[[AsyncIterator[Chunk]], AsyncIterator[Chunk]]) -> None:
        """Have the output pass through something, before any of it is read."""
        self._output = through(self._output)

    async def send(self, data: bytes) -> None:
        """Send all of `data` to the command's stdin, waiting as long as it takes none.

        When cancelled, part of it may be sent.

        Raises:
            TransportError: podman takes nothing any more, as after the command's end, or where
                the container was made without `stdin`. What was printed can still be read.
            ValueError: after `close_stdin`.
        """
        async with self._sending:
            if self._eof_sent:
                raise ValueError("stdin was closed before")
            await self._duplex.send(data)

    async def close_stdin(self) -> None:
        """Have the command read the end of its stdin once it has read what was sent.

        What it prints still comes. A terminal has no such end: send `Ctrl-D` (0x04) there. Nothing
        happens the second time, or when the connection is over.
        """
        async with self._sending:
            if self._eof_sent:
                return
            self._eof_sent = True
            try:
                await self._duplex.send_eof()
            except TransportError:
                # The command has ended, and what it has printed is still to be read.
                return


@asynccontextmanager
async def open_attachment(
    libpod: Libpod, path: str, query: Query, *, body: object = None, terminal: bool
) -> AsyncIterator[Attachment]:
    """Yield the connection that podman gives over for a request.

    Raises:
        APIError, TransportError, ProtocolError: as `Transport.upgraded`, on entering.
    """
    async with libpod.upgraded(path, query, body=body) as duplex:
        yield Attachment(duplex, terminal=terminal)


class _Received(AsyncIterator[bytes]):
    """The bytes that podman sends over a connection."""

    def __init__(self, duplex: Duplex) -> None:
        self._duplex = duplex

    async def __anext__(self) -> bytes:
        data = await self._duplex.receive()
        if not data:
            raise StopAsyncIteration
        return data


class _WithoutNotice(AsyncIterator[Chunk]):
    """Some output, without podman's notice at its end; what more output follows is none.

    See `quirks.ATTACH_ENDS_WITH_A_NOTICE` and `wire.notices`. What may become one is held back
    while the rest of it is on its way, and else shown: whoever printed it may wait for an answer.
    """

    def __init__(self, chunks: AsyncIterator[Chunk], *, terminal: bool) -> None:
        self._chunks = chunks
        self._terminal = terminal
        self._notified = Stream.STDOUT if terminal else Stream.STDERR
        self._held: Chunk | None = None
        self._next: Chunk | None = None

    async def __anext__(self) -> Chunk:
        while True:
            chunk = self._next or await anext(self._chunks, None)
            held, self._held, self._next = self._held, None, None
            if chunk is None:
                if held is None or notice_at(held.data) == 0:
                    raise StopAsyncIteration
                return held
            if held is not None and chunk.stream is not self._notified:
                self._next = chunk
                return held
            if held is not None:
                chunk = held + chunk
            shown = self._shown(chunk)
            if shown < len(chunk.data):
                self._held = Chunk(chunk.stream, chunk.data[shown:], cut=chunk.cut)
            if shown:
                return Chunk(chunk.stream, chunk.data[:shown], chunk.unfinished)

    def _shown(self, chunk: Chunk) -> int:
        """Return how much of a chunk is no notice, and nothing that may become one."""
        if chunk.stream is not self._notified:
            return len(chunk.data)
        at = notice_at(chunk.data)
        if at is None and chunk.cut:
            at = begun_notice_at(chunk.data)
        elif at is None and self._terminal:
            at = begun_notice_at(chunk.data, least=_LEAST_OF_TERMINAL)
        return len(chunk.data) if at is None else at
