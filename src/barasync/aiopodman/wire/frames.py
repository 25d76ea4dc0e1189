"""The multiplexed stream that podman's `attach` and `logs` answer with.

Each frame is a header of eight bytes (one byte for the stream, three zero bytes, the length of the
payload as an unsigned big-endian 32-bit number) and the payload.

Invariant: whatever bytes are fed, in whatever pieces, they decode to the same payload in the same
order or end in the same `ProtocolError`; no more than a header is ever kept.

Source: podman `pkg/api/handlers/compat/containers_attach.go`, Docker Engine API "Stream format".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from barasync.aiopodman.errors import FrameError, StreamTruncated

_HEADER = struct.Struct(">II")
_NEWLINE = 10
_SPACE = b" "
# RFC 3339 with nanoseconds and an offset has 35 characters.
_LONGEST_STAMP = 64


class Stream(IntEnum):
    """The stream that a payload belongs to, numbered as in a frame's header."""

    STDIN = 0
    STDOUT = 1
    STDERR = 2


# The first word of a header: the stream in the highest byte, zeros below.
_STREAMS = {stream << 24: stream for stream in Stream}


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some bytes that a container wrote to one stream; where they are cut means nothing.

    `unfinished` is how many frames end in it whose last byte is no newline: podman's log has one
    more line for each. `cut` says that it ends within a frame, the rest of which is on its way.
    """

    stream: Stream
    data: bytes
    unfinished: int = field(default=0, compare=False)
    cut: bool = field(default=False, compare=False)

    def __add__(self, following: Chunk) -> Chunk:
        """Return both as one; they are of the same stream, and nothing came between them."""
        return Chunk(
            self.stream,
            self.data + following.data,
            self.unfinished + following.unfinished,
            following.cut,
        )


class FrameDecoder:
    """Takes a multiplexed stream apart as its bytes arrive.

    A payload is handed on in the pieces it comes in, because a header may announce 4 GiB. Payloads
    of the same stream that arrive together come as one chunk: a container that prints short lines
    sends thousands of frames in one read.
    """

    def __init__(self) -> None:
        self._header = b""
        self._remaining = 0
        self._stream = Stream.STDOUT

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """Yield what `data` completes. Exhaust the iterator before the next call.

        Raises:
            FrameError: a header is malformed; everything before it has been yielded.
        """
        if self._header:
            data = self._header + data
            self._header = b""
        position, end = 0, len(data)
        stream, remaining = self._stream, self._remaining
        pieces: list[bytes] = []
        unfinished = 0
        while position < end:
            if remaining:
                piece = data[position : position + remaining]
                position += len(piece)
                remaining -= len(piece)
                pieces.append(piece)
                if not remaining and piece[-1] != _NEWLINE:
                    unfinished += 1
                continue
            if end - position < _HEADER.size:
                self._header = data[position:]
                break
            word, remaining = _HEADER.unpack_from(data, position)
            following = _STREAMS.get(word)
            if following is not stream:
                if pieces:
                    yield Chunk(stream, b"".join(pieces), unfinished)
                    pieces, unfinished = [], 0
                if following is None:
                    raise _malformed(data[position : position + _HEADER.size])
                stream = following
            position += _HEADER.size
        self._stream, self._remaining = stream, remaining
        if pieces:
            yield Chunk(stream, b"".join(pieces), unfinished, cut=remaining > 0)

    def finish(self) -> Iterator[Chunk]:
        """Check that the end of the input is the end of a frame; yields nothing.

        Raises:
            StreamTruncated: the input ends inside a header or a payload.
        """
        if self._header:
            raise StreamTruncated(
                f"the stream ends after {len(self._header)} of the {_HEADER.size} bytes "
                "of a frame's header"
            )
        if self._remaining:
            raise StreamTruncated(
                f"the stream ends {self._remaining} bytes before the end of a frame of "
                f"{self._stream.name.lower()}"
            )
        return iter(())


class StampDecoder:
    """Takes a multiplexed log apart whose entries begin with a time and a space.

    A line that came in pieces is several entries, as is one that was printed little by little: the
    time of the first is that of the line, and those of the others are left out. Nothing but the
    beginning of an entry, up to the space, is ever kept.
    """

    def __init__(self) -> None:
        self._header = b""
        self._remaining = 0
        self._stream = Stream.STDOUT
        self._stamp: bytes | None = None
        self._within_line: dict[Stream, bool] = {}

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """Yield what `data` completes. Exhaust the iterator before the next call.

        Raises:
            FrameError: a header is malformed, or an entry does not begin with a time; everything
                before it has been yielded.
        """
        if self._header:
            data = self._header + data
            self._header = b""
        position, end = 0, len(data)
        pieces: list[bytes] = []
        try:
            while position < end:
                if self._remaining:
                    piece = data[position : position + self._remaining]
                    position += len(piece)
                    self._remaining -= len(piece)
                    pieces.append(self._text(piece))
                    continue
                if end - position < _HEADER.size:
                    self._header = data[position:]
                    break
                following = self._begin(data, position)
                position += _HEADER.size
                if following is not self._stream and any(pieces):
                    yield Chunk(self._stream, b"".join(pieces))
                    pieces = []
                self._stream = following
        except FrameError:
            if any(pieces):
                yield Chunk(self._stream, b"".join(pieces))
            raise
        if any(pieces):
            yield Chunk(self._stream, b"".join(pieces))

    def finish(self) -> Iterator[Chunk]:
        """Check that the end of the input is the end of a frame; yields nothing.

        Raises:
            StreamTruncated: the input ends inside a header or an entry.
        """
        if self._header or self._remaining:
            raise StreamTruncated("the log ends inside an entry")
        return iter(())

    def _begin(self, data: bytes, position: int) -> Stream:
        """Take note of the frame whose header is at a position; return its stream."""
        word, self._remaining = _HEADER.unpack_from(data, position)
        self._stamp = b""
        stream = _STREAMS.get(word)
        if stream is None:
            raise _malformed(data[position : position + _HEADER.size])
        return stream

    def _text(self, piece: bytes) -> bytes:
        """Return what is to be shown of a piece of an entry."""
        if self._stamp is None:
            self._within_line[self._stream] = piece[-1] != _NEWLINE
            return piece
        piece = self._stamp + piece
        text = piece.find(_SPACE, 0, _LONGEST_STAMP + 1) + 1
        if not text:
            if len(piece) > _LONGEST_STAMP or not self._remaining:
                raise FrameError(f"an entry of the log begins with {piece[:80]!r}: that is no time")
            self._stamp = piece
            return b""
        self._stamp = None
        shown = piece[text:] if self._within_line.get(self._stream) else piece
        if text < len(piece):
            self._within_line[self._stream] = piece[-1] != _NEWLINE
        return shown


def _malformed(header: bytes) -> FrameError:
    return FrameError(
        f"a frame starts with {header.hex(' ')}: that is not the header of stdin, stdout or stderr"
    )


class RawDecoder:
    """Passes on the output of a container with a terminal, which podman does not frame."""

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """Yield `data` as standard output: a terminal does not tell the two apart."""
        if data:
            yield Chunk(Stream.STDOUT, data)

    def finish(self) -> Iterator[Chunk]:
        """Accept the end of the input anywhere; yields nothing."""
        return iter(())
