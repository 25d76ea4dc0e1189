"""A tar archive that is a file of a container, read out of podman's archive of that file.

It may be compressed: by gzip, bzip2 or xz. It is decompressed as it comes, in the thread that
writes; nothing is kept but what a decompressor needs.
"""

from __future__ import annotations

import bz2
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from barasync.artifacts.errors import ArchiveError, TruncatedArchive
from barasync.artifacts.tarstream import READ_BYTES, Member, Read, TarStream

_XZ_BYTES = 256 << 20
"""What `xz -9` needs for decompression is 65 MiB; a header may ask for 4 GiB."""
# Empty streams without end would be copied again for each of them.
_SLICE = 16 << 10
_MAGIC_BYTES = 10
_GZIP_WINDOW = 31  # zlib's way to ask for gzip's header and trailer


class Packed(TarStream):
    """The members of the archive that is the only member of the archive that `read` gives.

    Raises (while iterating and in `data`):
        TruncatedArchive: the outer archive was cut off.
        LimitExceeded: one of both is longer than `max_bytes`.
        ArchiveError: one of both is not a tar archive, or the compression is unknown or broken.
    """

    def __init__(self, read: Read, *, max_bytes: int) -> None:
        self._file = _File(TarStream(read, max_bytes=max_bytes))
        super().__init__(self._file.read, max_bytes=max_bytes)

    def __iter__(self) -> Iterator[Member]:
        with self._explained():
            yield from super().__iter__()

    def data(self) -> Iterator[memoryview]:
        """Give what is left of the current member's stored bytes, in pieces of arbitrary size."""
        with self._explained():
            yield from super().data()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except TruncatedArchive:
            if not self._file.ended:
                raise
            raise ArchiveError("it is cut off before its end") from None


class _File:
    """The file that an archive holds, decompressed; `ended` once all of the archive was read."""

    def __init__(self, archive: TarStream) -> None:
        self._archive = archive
        self._pieces = self._decompressed()
        self.ended = False

    def read(self, size: int) -> bytes:
        """Return some bytes, `READ_BYTES` at most, nothing at the end; see `tarstream.Read`."""
        if not size:
            self._archive.pause()
            return b""
        return next(self._pieces, b"")

    def _decompressed(self) -> Iterator[bytes]:
        stored = self._stored()
        head = b""
        for piece in stored:
            head += piece
            if len(head) >= _MAGIC_BYTES:
                break
        if not head:
            raise ArchiveError("it is empty")
        kind = next((kind for magic, kind in _KINDS if magic.match(head)), None)
        pieces = _joined(head, stored)
        if kind is None:
            yield from pieces
        else:
            yield from _expanded(kind, pieces, self._archive.pause)

    def _stored(self) -> Iterator[memoryview]:
        members = iter(self._archive)
        file = next(members, None)
        if file is None or file.type != tarfile.REGTYPE or file.extents is not None:
            raise ArchiveError("it is no plain file, which a tar archive is")
        yield from self._archive.data()
        if next(members, None) is not None:
            raise ArchiveError("podman's archive of it holds more than one file")
        self.ended = True


class _Decompressor(Protocol):
    """What `bz2` and `lzma` have."""

    @property
    def eof(self) -> bool:
        """Whether a stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether there is nothing more without more bytes."""

    @property
    def unused_data(self) -> bytes:
        """What came behind the end."""

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """Return so much at most of what `data`, and what was given before, stand for."""


class _Gzip:
    """The same for gzip."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=_GZIP_WINDOW)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def needs_input(self) -> bool:
        return not self._full and not self._inner.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        expanded = self._inner.decompress(self._inner.unconsumed_tail + data, max_length)
        self._full = len(expanded) == max_length
        return expanded


def _xz() -> _Decompressor:
    return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_XZ_BYTES)


def _zstd() -> _Decompressor:
    raise ArchiveError("it is compressed by zstd, which is not understood here; unpack it there")


_New = Callable[[], _Decompressor]
_KINDS: tuple[tuple[re.Pattern[bytes], _New], ...] = (
    (re.compile(rb"\x1f\x8b\x08"), _Gzip),
    # A block of data, or the end of an empty stream.
    (re.compile(rb"BZh[1-9](1AY&SY|\x17\x72\x45\x38\x50\x90)"), bz2.BZ2Decompressor),
    (re.compile(rb"\xfd7zXZ\x00"), _xz),
    (re.compile(rb"\x28\xb5\x2f\xfd"), _zstd),
)
# What the three raise for bytes that they cannot have made; bzip2 has nothing of its own.
_BROKEN = (zlib.error, lzma.LZMAError, OSError, EOFError)


def _joined(head: bytes, rest: Iterable[memoryview]) -> Iterator[bytes]:
    yield head
    for piece in rest:
        yield bytes(piece)


def _expanded(new: _New, pieces: Iterable[bytes], pause: Callable[[], None]) -> Iterator[bytes]:
    """Decompress streams that follow each other; zeroes between and behind them are padding.

    A few bytes may stand for any number of them: so there is a `pause` at every piece.
    """
    work: _Decompressor | None = new()
    for data in _cut(pieces):
        waiting = data
        while True:
            if work is None:
                waiting = waiting.lstrip(b"\0")
                if not waiting:
                    break
                work = new()
            try:
                expanded = work.decompress(waiting, READ_BYTES)
            except _BROKEN as error:
                raise ArchiveError(f"its compression is broken: {error}") from error
            waiting = b""
            if expanded:
                pause()
                yield expanded
            if work.eof:
                waiting, work = work.unused_data, None
            elif work.needs_input:
                break
    if work is not None:
        raise ArchiveError("it is cut off before its end")


def _cut(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for start in range(0, len(piece), _SLICE):
            yield piece[start : start + _SLICE]
