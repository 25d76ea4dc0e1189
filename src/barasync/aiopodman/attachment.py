"""What is typed into a command that runs in a container, and what it prints."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import anyio

from barasync.aiopodman.errors import TransportError
from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.streams import DecodedStream, Decoder
from barasync.aiopodman.transport import Query
from barasync.aiopodman.upgrade import Duplex
from barasync.aiopodman.wire.frames import Chunk, FrameDecoder, RawDecoder, Stream

# What podman writes behind the output (`quirks.ATTACH_ENDS_WITH_A_NOTICE`): of a command that ended
# without having read its stdin, or that its own keys have detached.
_NOTICE = re.compile(
    rb"Error: (?:read unixpacket [^\n]*/attach: read: connection reset by peer"
    rb"|detached from container)\r?\n\Z"
)
_MAX_NOTICE_BYTES = 1024


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

    It comes on stderr, where that is apart (podman `pkg/api/handlers/compat`, `hijackWriteError`).
    """

    def __init__(self, chunks: AsyncIterator[Chunk], *, terminal: bool) -> None:
        self._chunks = chunks
        self._notified = Stream.STDOUT if terminal else Stream.STDERR
        self._held: Chunk | None = None
        self._next: Chunk | None = None

    async def __anext__(self) -> Chunk:
        if self._next is not None:
            chunk, self._next = self._next, None
        else:
            chunk = await anext(self._chunks)
        if self._held is not None:
            held, self._held, self._next = self._held, None, chunk
            return held
        if chunk.stream is not self._notified:
            return chunk
        found = _NOTICE.search(chunk.data, max(0, len(chunk.data) - _MAX_NOTICE_BYTES))
        if found is None:
            return chunk
        self._held = Chunk(chunk.stream, found[0])
        if not found.start():
            return await anext(self)
        return Chunk(chunk.stream, chunk.data[: found.start()], chunk.unfinished)
