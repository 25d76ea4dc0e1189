"""An HTTP/1.1 answer with a long body, taken apart without a step of Python for every chunk.

Podman's archives come in chunks of 32 KiB. The HTTP library passes each through seven layers of
generators, 60 µs a chunk: 0.8 s of a 400 MB archive, more than everything else together.

Invariant: whatever bytes are fed, in whatever pieces, they decode to the same body or end in the
same `ProtocolError`; of what is not body no more than `_MAX_LINE_BYTES` is ever kept.

Source: RFC 9112, sections 4, 5, 6.3 and 7.1.
"""

from __future__ import annotations

from dataclasses import dataclass

from barasync.aiopodman.errors import ProtocolError

_MAX_HEAD_BYTES = 64 * 1024
_MAX_LINE_BYTES = 4096
_CHUNKED = b"chunked"
_WITHOUT_BODY = frozenset({204, 304})
_HEX = frozenset(b"0123456789abcdefABCDEF")
_MAX_HEX_DIGITS = 16
_MAX_DIGITS = 19
_STATUS_DIGITS = 3
_FINAL = 200
_SWITCHING_PROTOCOLS = 101


@dataclass(frozen=True, slots=True)
class Head:
    """The status and the headers of an answer, in order and as they were spelled."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all headers of a name in lower case."""
        return [value for key, value in self.headers if key.lower() == name]


def parse_head(data: bytes, *, upgrade: bool = False) -> tuple[Head, bytes] | None:
    """Return an answer's head and what came behind it; `None` while the head is not complete.

    What an answer says beforehand (1xx) is passed over. After `upgrade` was asked for, 101 is the
    answer: what follows is no HTTP any more.

    Raises:
        ProtocolError: it is not the head of an HTTP/1.x answer.
    """
    rest = data
    while True:
        text, blank, rest = rest.partition(b"\r\n\r\n")
        if len(data) - len(rest) > _MAX_HEAD_BYTES:
            raise ProtocolError("the head of an answer is too long")
        if not blank:
            return None
        head = _head(text)
        if head.status >= _FINAL or (upgrade and head.status == _SWITCHING_PROTOCOLS):
            return head, rest


def _head(text: bytes) -> Head:
    first, *lines = text.split(b"\r\n")
    version, _, rest = first.partition(b" ")
    status = rest.partition(b" ")[0]
    if (
        not version.startswith(b"HTTP/1.")
        or len(status) != _STATUS_DIGITS
        or not status.isdigit()
        or status.startswith(b"0")
    ):
        raise ProtocolError("an answer does not begin like HTTP")
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not name or name != name.strip():
            raise ProtocolError("a header of an answer is malformed")
        headers.append((name, value.strip()))
    return Head(int(status), tuple(headers))


class Body:
    """Decodes the body of an answer: in chunks, of a known length, or up to the end.

    `complete` tells that there is no more; what follows is not this answer's.
    """

    def __init__(self, head: Head) -> None:
        codings = [coding.lower() for coding in head.values(b"transfer-encoding")]
        self.complete = False
        self._line = b""
        self._trailer = False
        self._after_chunk = False
        self._chunked = bool(codings)
        self._left: int | None = None
        if head.status in _WITHOUT_BODY:
            self.complete = True
            return
        if codings:
            if codings != [_CHUNKED]:
                raise ProtocolError("an answer has a transfer coding other than chunked")
            self._left = 0
            return
        self._left = _length(head)
        self.complete = self._left == 0

    def feed(self, data: bytes) -> bytes:
        """Return what of the body is in `data`.

        Raises:
            ProtocolError: a chunk is malformed.
        """
        if self.complete:
            return b""
        if self._chunked:
            return self._dechunk(data)
        if self._left is not None:
            data = data[: self._left]
            self._left -= len(data)
            self.complete = self._left == 0
        return data

    def finish(self) -> None:
        """Take note that the connection has ended.

        Raises:
            ProtocolError: before the end of the answer.
        """
        if self._left is not None and not self.complete:
            raise ProtocolError("peer closed connection without sending the whole answer")

    def _dechunk(self, data: bytes) -> bytes:
        pieces: list[memoryview] = []
        view, position, end = memoryview(data), 0, len(data)
        while position < end and not self.complete:
            if self._left:
                piece = view[position : position + self._left]
                pieces.append(piece)
                position += len(piece)
                self._left -= len(piece)
                continue
            stop = data.find(b"\n", position)
            if stop < 0:
                self._line += data[position:]
                if len(self._line) > _MAX_LINE_BYTES:
                    raise ProtocolError("the head of a chunk is too long")
                break
            self._between(self._line + data[position:stop])
            self._line, position = b"", stop + 1
        return b"".join(pieces)

    def _between(self, line: bytes) -> None:
        """Take a line that is not body: a chunk's size, the end of a chunk, a trailer."""
        if not line.endswith(b"\r") or len(line) > _MAX_LINE_BYTES:
            raise ProtocolError("the head of a chunk is malformed")
        line = line[:-1]
        if self._trailer:
            self.complete = not line
            return
        if not line and self._after_chunk:
            self._after_chunk = False
            return
        digits = line.partition(b";")[0].strip()
        if self._after_chunk or not digits or len(digits) > _MAX_HEX_DIGITS or set(digits) - _HEX:
            raise ProtocolError("the size of a chunk is malformed")
        self._left = int(digits, 16)
        self._after_chunk = self._left > 0
        self._trailer = self._left == 0


def _length(head: Head) -> int | None:
    """Return the length of an answer's body, which may be said more than once."""
    lengths = set(head.values(b"content-length"))
    if not lengths:
        return None
    length = lengths.pop()
    if lengths or not length.isdigit() or len(length) > _MAX_DIGITS:
        raise ProtocolError("the length of an answer is malformed")
    return int(length)
