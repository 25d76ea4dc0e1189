"""What is typed into a command that runs in a container, and what it prints."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from barasync.aiopodman.errors import TransportError
from barasync.aiopodman.libpod import Libpod
from barasync.aiopodman.streams import DecodedStream, Decoder
from barasync.aiopodman.transport import Query
from barasync.aiopodman.upgrade import Duplex
from barasync.aiopodman.wire.frames import Chunk, FrameDecoder, RawDecoder


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
        self._output = DecodedStream(_received(duplex), decoder)

    @property
    def output(self) -> AsyncIterator[Chunk]:
        """What the command prints, in the order in which it comes, until it ends.

        With a terminal all of it is `STDOUT`. The end is no verdict: `inspect` has the exit code.

        Raises:
            ProtocolError: while iterating, when the stream is malformed or breaks inside a frame.
            TransportError: while iterating, when the connection breaks.
        """
        return self._output

    async def send(self, data: bytes) -> None:
        """Send all of `data` to the command's stdin, waiting as long as it takes none.

        When cancelled, part of it may be sent.

        Raises:
            TransportError: podman takes nothing any more, as after the command's end.
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


async def _received(duplex: Duplex) -> AsyncIterator[bytes]:
    while data := await duplex.receive():
        yield data
