"""Secrets in output and in text, replaced by `***` wherever they occur.

What is replaced: a value without the white space around it, and of a value of several lines also
each line of 8 bytes or more, likewise; the first 256 of them. Shorter lines (`}`, `---`) occur
everywhere. Only exactly these bytes are recognised: not their Base64, not a part of them, not what
a program made of them.

Occurrences that overlap or touch become one `***`, and every byte of each is gone.

Invariant: the masked stream is that of the joined bytes, in whatever pieces they are fed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from operator import itemgetter

from barasync.masking.search import Search, Span, Word
from barasync.masking.value import SecretValue

MASK = b"***"
LEAST_LINE_BYTES = 8
MOST_LINES = 256
"""Each line costs a search of its own: 256 of them go through text at 20 MB/s."""


class Masker:
    """Knows what is to be masked; false where that is nothing."""

    def __init__(self, values: Iterable[SecretValue] = ()) -> None:
        words = dict.fromkeys(word for value in values for word in to_mask(value.reveal()))
        self._words = tuple(Word.of(word) for word in words)

    def __bool__(self) -> bool:
        return bool(self._words)

    def stream(self) -> MaskedStream:
        """Return a masker for one stream."""
        return MaskedStream(self._words)

    def text(self, text: str) -> str:
        """Return a text with what is to be masked in it replaced."""
        if not self._words:
            return text
        stream = self.stream()
        masked = stream.feed(_bytes(text)) + stream.finish()
        # A path on disk may hold what is no text, and a value may end within a character.
        return masked.decode("utf-8", errors="backslashreplace")


def _bytes(text: str) -> bytes:
    """Return the bytes that a text stands for: those of a path may not be UTF-8."""
    try:
        return text.encode("utf-8", errors="surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", errors="backslashreplace")


class MaskedStream:
    """Masks a stream as it comes.

    Only such bytes are held back as may be the beginning of what is to be masked: fewer than the
    longest of that has.
    """

    def __init__(self, words: Iterable[Word]) -> None:
        self._searches = [Search(word) for word in words]
        self._held = bytearray()  # loses bytes at its beginning without moving the others
        self._given = 0  # offset in the stream of what is held
        self._spans: deque[Span] = deque()  # what has been found and not yet passed, in order
        self._masked = -1  # where the last `***` ends in the stream

    def feed(self, piece: bytes) -> bytes:
        """Return what can be given away of the stream now that `piece` has come."""
        offset = self._given + len(self._held)
        found = [span for search in self._searches for span in search.feed(piece, offset)]
        begun = max((search.begun for search in self._searches), default=0)
        if not (found or begun or self._held):
            self._given += len(piece)
            return piece
        if found:
            self._insert(found)
        until = offset + len(piece) - begun
        if self._held:
            self._held += piece
            return self._give(until)
        masked = self._mask(piece, until)
        self._held += piece[until - self._given :]
        self._given = until
        return masked

    def finish(self) -> bytes:
        """Return the rest: the stream has ended, so nothing more comes of what has begun."""
        return self._give(self._given + len(self._held))

    def _give(self, until: int) -> bytes:
        """Give away what is held before `until`; nothing that is found later begins before."""
        masked = self._mask(self._held, until)
        del self._held[: until - self._given]
        self._given = until
        return masked

    def _insert(self, found: list[Span]) -> None:
        """Add spans, joined with those they meet; none ends before one of an earlier piece."""
        spans = self._spans
        found.sort(key=itemgetter(1))
        for span in found:
            while spans and span[0] <= spans[-1][1]:
                span = min(span[0], spans.pop()[0]), span[1]  # noqa: PLW2901 it grows
            spans.append(span)

    def _mask(self, data: bytes | bytearray, until: int) -> bytes:
        """Return what becomes of `data`, which is not given away yet, before `until`."""
        spans, begin, position = self._spans, self._given, self._given
        pieces: list[bytes | bytearray] = []
        while spans and spans[0][0] < until:
            start, end = spans[0]
            pieces.append(data[position - begin : max(0, start - begin)])
            if start > self._masked:
                pieces.append(MASK)
            self._masked = end
            position = end
            if end > until:
                break
            spans.popleft()
        pieces.append(data[position - begin : until - begin])
        return b"".join(pieces)


def to_mask(value: bytes) -> list[bytes]:
    """Return what is replaced of a value; nothing of one that is white space only."""
    whole = value.strip()
    lines = [line.strip() for line in whole.splitlines()[:MOST_LINES]]
    long = [line for line in lines if len(line) >= LEAST_LINE_BYTES]
    return list(dict.fromkeys([whole, *long])) if whole else []


def not_masked(value: bytes) -> tuple[str, ...]:
    """Say which lines of a value of several are not masked one by one, for a person."""
    lines = [line.strip() for line in value.strip().splitlines()]
    many = len(lines) > MOST_LINES
    short = len(lines) > 1 and any(0 < len(line) < LEAST_LINE_BYTES for line in lines)
    return (
        *((f"those after the first {MOST_LINES}",) if many else ()),
        *((f"those of fewer than {LEAST_LINE_BYTES} bytes",) if short else ()),
    )
