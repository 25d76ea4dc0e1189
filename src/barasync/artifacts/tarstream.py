"""Members of a tar stream, read forward only, with every size bounded before it is believed.

`header` decodes the 512-byte header block, what chains blocks together is done here: `tarfile` up
to 3.11.9 takes minutes over a crafted pax header (CVE-2024-6232), goes backwards at a negative size
(CVE-2025-8194), recurses once per extension header, and takes one zero block for the end.

Invariant: any bytes either decode or raise `ArchiveError`, in time and memory linear in their
number, however the reader cuts them.

Source: POSIX.1-2017, pax, "pax Interchange Format" and "ustar Interchange Format"; GNU tar manual,
"Basic Tar Format" and "Storing Sparse Files".
"""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from barasync.artifacts.errors import ArchiveError, LimitExceeded, TruncatedArchive
from barasync.artifacts.header import BLOCK, Header, decode, natural

READ_BYTES = 256 << 10
MAX_EXTENSION_BYTES = 1 << 20
_MAX_EXTENSIONS = 16
_MAX_TRAILING_BYTES = 1 << 20
_MAX_DIGITS = 20
_MAX_TIME_BYTES = 40
_ZEROES = bytes(BLOCK)
_SECOND = 1_000_000_000
_GNU_SPARSE_SLOTS = 4
_GNU_SPARSE_SLOTS_EXTENDED = 21

Read = Callable[[int], bytes]
"""Blocks until it can give between one byte and as many as asked for; empty at the end.

Asked for none, it gives none at once; who works for long without reading does that now and then,
and so can be cancelled by an exception as at any `Read`.
"""

Extents = tuple[tuple[int, int], ...]
"""The stored parts of a sparse file as (offset, size) in bytes, ascending; the rest is holes."""


class Member(NamedTuple):
    """One member as the archive declares it; nothing here has been checked for safety.

    `type` is the header's type flag, with the variants of a regular file folded to `REGTYPE`.
    `size` is the file's size in bytes, holes included; `mtime` is in nanoseconds since the epoch.
    Bytes of a name that are not UTF-8 are surrogate escapes. `extents` is `None` unless sparse.
    """

    name: str
    type: bytes
    size: int = 0
    mode: int = 0
    mtime: int = 0
    target: str = ""
    extents: Extents | None = None


class TarStream:
    """Iterates over the members of a tar stream.

    `data` gives the stored bytes of the member that was yielded last; what is left of them is
    skipped on the way to the next. Iteration ends only at the end-of-archive marker (two blocks of
    zeroes), after the zeroes that pad the stream have been read too.

    Raises (while iterating and in `data`):
        TruncatedArchive: the stream ended before the marker.
        LimitExceeded: the stream is longer than `max_bytes`; `advice` says what to do then.
        ArchiveError: the bytes are not a tar archive.
    """

    def __init__(self, read: Read, *, max_bytes: int, advice: str = "") -> None:
        self._read = read
        self._max_bytes = max_bytes
        self._advice = advice
        self._taken = 0
        self._buffer = b""
        self._view = memoryview(b"")
        self._position = 0
        self._left = 0
        self._padding = 0
        self._defaults: dict[bytes, bytes] = {}

    def __iter__(self) -> Iterator[Member]:
        while (member := self._next()) is not None:
            yield member

    def data(self) -> Iterator[memoryview]:
        """Give what is left of the current member's stored bytes, in pieces of arbitrary size."""
        while self._left:
            piece = self._take(self._left)
            self._left -= len(piece)
            yield piece

    def pause(self) -> None:
        """Let others work, and let the reader end this with an exception."""
        self._read(0)

    def _next(self) -> Member | None:
        """Decode headers up to and including the next member's; `None` at the end marker."""
        self._skip(self._left + self._padding)
        self._left = self._padding = 0
        block = self._block()
        if block[156] in _SIMPLE and not self._defaults:
            return self._simple(decode(block))
        extension = _Extension()
        for _ in range(_MAX_EXTENSIONS):
            if block == _ZEROES:
                self._end(extension)
                return None
            header = decode(block)
            if header.type not in _EXTENDING:
                return self._member(block, header, extension)
            self._extend(extension, header)
            block = self._block()
        raise ArchiveError(f"more than {_MAX_EXTENSIONS} extension headers before one member")

    def _extend(self, extension: _Extension, header: Header) -> None:
        """Take what an extension header says; all those before one member together are bounded."""
        extension.size += header.size
        if extension.size > MAX_EXTENSION_BYTES:
            raise LimitExceeded(f"extension headers of {extension.size} bytes before one member")
        payload = self._exactly(header.size)
        self._skip(-header.size % BLOCK)
        extension.pending |= header.type != tarfile.XGLTYPE
        if header.type == tarfile.GNUTYPE_LONGNAME:
            extension.name = payload.partition(b"\0")[0]
        elif header.type == tarfile.GNUTYPE_LONGLINK:
            extension.target = payload.partition(b"\0")[0]
        elif header.type == tarfile.XGLTYPE:
            self._defaults.update(pair for pair in parse_pax(payload) if pair[0] in _GLOBAL)
        else:
            for keyword, value in parse_pax(payload):
                if keyword in _SPARSE_PAIR:
                    extension.sparse.append(value)
                elif keyword in _USED:
                    extension.values[keyword] = value

    def _simple(self, header: Header) -> Member:
        """Make a member of a header that nothing before it says anything about."""
        size = 0
        if header.type == tarfile.REGTYPE:
            self._left = size = header.size
            self._padding = -size % BLOCK
        time = header.mtime * _SECOND
        return Member(header.name, header.type, size, header.mode, time, header.target)

    def _member(self, block: bytes, header: Header, extension: _Extension) -> Member:
        pax = {**self._defaults, **extension.values}
        name = pax.get(b"GNU.sparse.name") or pax.get(b"path") or extension.name
        target = pax.get(b"linkpath") or extension.target
        kind = tarfile.REGTYPE if header.type in _REGULAR else header.type
        stored = 0
        if kind not in _HEADER_ONLY:
            stored = _decimal(pax[b"size"]) if pax.get(b"size") else header.size
        self._left, self._padding = stored, -stored % BLOCK
        extents, size = None, stored
        if header.type == tarfile.GNUTYPE_SPARSE:
            extents, size = self._gnu_sparse(block)
        elif kind == tarfile.REGTYPE:
            sparse = self._pax_sparse(extension.sparse, pax)
            if sparse is not None:
                extents, size = sparse
        if extents is not None:
            _check_extents(extents, size, self._left)
        return Member(
            name=header.name if name is None else _text(name),
            type=kind,
            size=size,
            mode=header.mode,
            mtime=_nanoseconds(pax[b"mtime"]) if b"mtime" in pax else header.mtime * _SECOND,
            target=header.target if target is None else _text(target),
            extents=extents,
        )

    def _gnu_sparse(self, block: bytes) -> tuple[Extents, int]:
        """Decode the map of GNU's old format: in the header block and in blocks behind it."""
        pairs = _sparse_slots(block[386:], _GNU_SPARSE_SLOTS)
        more, size = block[482] != 0, natural(block[483:495])
        for _ in range(MAX_EXTENSION_BYTES // BLOCK):
            if not more:
                return tuple(pairs), size
            block = self._block()
            pairs += _sparse_slots(block, _GNU_SPARSE_SLOTS_EXTENDED)
            more = block[504] != 0
        raise LimitExceeded("the map of a sparse file is too long")

    def _pax_sparse(
        self, pairs: list[bytes], pax: Mapping[bytes, bytes]
    ) -> tuple[Extents, int] | None:
        """Decode the map of GNU's pax formats 0.0, 0.1 and 1.0; `None` for a plain file."""
        if pax.get(b"GNU.sparse.major") == b"1" and pax.get(b"GNU.sparse.minor") == b"0":
            return _pair(self._sparse_lines()), _decimal(pax.get(b"GNU.sparse.realsize", b""))
        if b"GNU.sparse.size" not in pax:
            return None
        size = _decimal(pax[b"GNU.sparse.size"])
        if b"GNU.sparse.map" in pax:
            listed = pax[b"GNU.sparse.map"]
            return _pair([_decimal(item) for item in listed.split(b",")] if listed else []), size
        return _pair([_decimal(value) for value in pairs]), size

    def _sparse_lines(self) -> list[int]:
        """Read the map of format 1.0: decimal lines, the first a count, in whole data blocks."""
        numbers: list[int] = []
        rest = b""
        for _ in range(MAX_EXTENSION_BYTES // BLOCK):
            if self._left < BLOCK:
                break
            *lines, rest = (rest + self._block()).split(b"\n")
            self._left -= BLOCK
            numbers += [_decimal(line) for line in lines]
            if numbers and len(numbers) > 2 * numbers[0]:
                return numbers[1 : 1 + 2 * numbers[0]]
            if len(rest) > _MAX_DIGITS:
                break
        raise ArchiveError("the map of a sparse file is malformed")

    def _end(self, extension: _Extension) -> None:
        """Check the second block of the marker and read the padding that may follow it."""
        if extension.pending:
            raise ArchiveError("an extension header without a member behind it")
        if self._block() != _ZEROES:
            raise ArchiveError("a single block of zeroes in the middle of the archive")
        trailing = 0
        piece = self._buffer[self._position :] or self._read(READ_BYTES)
        while piece:
            trailing += len(piece)
            if trailing > _MAX_TRAILING_BYTES or piece.strip(b"\0"):
                raise ArchiveError("the stream goes on after the end of the archive")
            piece = self._read(READ_BYTES)
        self._buffer = b""

    def _block(self) -> bytes:
        """Take one block off the stream."""
        start, end = self._position, self._position + BLOCK
        if end <= len(self._buffer):
            self._position = end
            return self._buffer[start:end]
        return self._exactly(BLOCK)

    def _exactly(self, size: int) -> bytes:
        joined = bytearray()
        while len(joined) < size:
            joined += self._take(size - len(joined))
        return bytes(joined)

    def _skip(self, size: int) -> None:
        end = self._position + size
        if end <= len(self._buffer):
            self._position = end
            return
        # A sparse file of terabytes is not read for minutes to find that out.
        if self._taken + end - len(self._buffer) > self._max_bytes:
            raise self._too_long()
        while size:
            size -= len(self._take(size))

    def _take(self, limit: int) -> memoryview:
        """Take between one and `limit` bytes off the stream."""
        start = self._position
        if start == len(self._buffer):
            self._buffer = self._read(READ_BYTES)
            self._view = memoryview(self._buffer)
            if not self._buffer:
                raise TruncatedArchive("the archive was cut off before its end")
            start = 0
            self._taken += len(self._buffer)
            if self._taken > self._max_bytes:
                raise self._too_long()
        end = min(start + limit, len(self._buffer))
        self._position = end
        return self._view[start:end]

    def _too_long(self) -> LimitExceeded:
        return LimitExceeded(f"it is longer than {self._max_bytes} bytes{self._advice}")


class _Extension:
    """What extension headers say about the member behind them.

    `values` has the last value of each keyword that is used, `sparse` those of the two keywords
    that GNU's sparse format 0.0 repeats, in order. `size` is that of all payloads. It is `pending`
    if it says anything about one member alone.
    """

    __slots__ = ("name", "pending", "size", "sparse", "target", "values")

    def __init__(self) -> None:
        self.size = 0
        self.pending = False
        self.values: dict[bytes, bytes] = {}
        self.sparse: list[bytes] = []
        self.name: bytes | None = None
        self.target: bytes | None = None


_REGULAR = frozenset({tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE, tarfile.GNUTYPE_SPARSE})
# Types of members that stand for themselves, as numbers.
_SIMPLE = b"".join((tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE))
# Only what is used is kept, or records without end would fill the memory.
_GLOBAL = frozenset({b"path", b"linkpath", b"size", b"mtime"})
_USED = _GLOBAL | {
    b"GNU.sparse.major",
    b"GNU.sparse.map",
    b"GNU.sparse.minor",
    b"GNU.sparse.name",
    b"GNU.sparse.realsize",
    b"GNU.sparse.size",
}
_SPARSE_PAIR = frozenset({b"GNU.sparse.offset", b"GNU.sparse.numbytes"})
_EXTENDING = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)
# Their size field says nothing about data: links repeat the size of their target in some archives.
_HEADER_ONLY = frozenset(
    {
        tarfile.LNKTYPE,
        tarfile.SYMTYPE,
        tarfile.CHRTYPE,
        tarfile.BLKTYPE,
        tarfile.DIRTYPE,
        tarfile.FIFOTYPE,
    }
)


def parse_pax(payload: bytes) -> Iterator[tuple[bytes, bytes]]:
    r"""Give the records of a pax header, each `%d %s=%s\n`.

    Raises:
        ArchiveError: a record's length is not that of the record.
    """
    position = 0
    while position < len(payload):
        space = payload.find(b" ", position, position + _MAX_DIGITS)
        if space < 0:
            raise ArchiveError("a record of a pax header has no length")
        end = position + _decimal(payload[position:space])
        if not space < end - 1 < len(payload) or payload[end - 1] != ord("\n"):
            raise ArchiveError("a record of a pax header has a wrong length")
        keyword, equals, value = payload[space + 1 : end - 1].partition(b"=")
        if not equals or not keyword:
            raise ArchiveError("a record of a pax header has no keyword")
        yield keyword, value
        position = end


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > _MAX_DIGITS:
        raise ArchiveError("a number in an extension header is malformed")
    return int(digits)


def _nanoseconds(seconds: bytes) -> int:
    try:
        return round(float(seconds[:_MAX_TIME_BYTES]) * _SECOND)
    except (ValueError, OverflowError):
        return 0


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _sparse_slots(block: bytes, count: int) -> list[tuple[int, int]]:
    slots = [block[24 * index : 24 * index + 24] for index in range(count)]
    return [(natural(slot[:12]), natural(slot[12:])) for slot in slots if slot[12:] != bytes(12)]


def _pair(numbers: list[int]) -> Extents:
    if len(numbers) % 2:
        raise ArchiveError("the map of a sparse file is malformed")
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))


def _check_extents(extents: Extents, size: int, stored: int) -> None:
    """Refuse a map that overlaps, runs backwards, leaves the file, or does not fit the data."""
    end = 0
    for offset, length in extents:
        if offset < end:
            raise ArchiveError("the map of a sparse file overlaps itself")
        end = offset + length
    if end > size or sum(length for _, length in extents) != stored:
        raise ArchiveError("the map of a sparse file does not fit its size")
