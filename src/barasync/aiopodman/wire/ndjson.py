"""Newline-delimited JSON: what podman's `pull` and `events` answer with.

Invariant: whatever bytes are fed, in whatever pieces, they decode to the same records or end in the
same `ProtocolError`; no more than one record of `max_bytes` is ever kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from barasync.aiopodman.errors import ProtocolError, StreamTruncated
from barasync.aiopodman.wire.documents import decode_document

T = TypeVar("T")

MAX_RECORD_BYTES = 1024 * 1024


class RecordDecoder(Generic[T]):
    """Decodes one record of type `as_type` per line; empty lines are skipped.

    `max_bytes` is the longest line it accepts, without its newline.
    """

    def __init__(self, as_type: type[T], *, max_bytes: int = MAX_RECORD_BYTES) -> None:
        self._type = as_type
        self._max_bytes = max_bytes
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[T]:
        """Yield the records that `data` completes. Exhaust the iterator before the next call.

        Raises:
            ProtocolError: a line is not such a record, or too long; the records before it have
                been yielded.
        """
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            self._keep(data[start:end])
            start = end + 1
            record = bytes(self._pending)
            self._pending.clear()
            if record.strip():
                yield decode_document(record, self._type)
        self._keep(data[start:])

    def finish(self) -> Iterator[T]:
        """Yield the last record if it is whole although its newline is missing.

        Raises:
            StreamTruncated: the input ends inside a record.
        """
        record = bytes(self._pending)
        self._pending.clear()
        if not record.strip():
            return
        try:
            last = decode_document(record, self._type)
        except ProtocolError as error:
            raise StreamTruncated(
                f"the stream ends {len(record)} bytes into a record: {error}"
            ) from error
        yield last

    def _keep(self, piece: bytes) -> None:
        if len(self._pending) + len(piece) > self._max_bytes:
            raise ProtocolError(f"podman sent a record of more than {self._max_bytes} bytes")
        self._pending += piece
