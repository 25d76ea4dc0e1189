"""JSON documents from podman as typed values."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from barasync.aiopodman.errors import ProtocolError

T = TypeVar("T")


def decode_document(data: bytes, as_type: type[T]) -> T:
    """Return the value of a JSON document.

    A member that is `null` counts as absent and takes its default: Go writes an empty list or map
    as `null`. Members that `as_type` does not know are ignored.

    Raises:
        ProtocolError: `data` is not JSON, or not of this type; the message quotes its beginning.
    """
    try:
        return msgspec.convert(_without_nulls(msgspec.json.decode(data)), as_type)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ProtocolError(f"podman sent {_excerpt(data)}: {error}") from error


def _without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _excerpt(data: bytes, limit: int = 80) -> str:
    text = data[:limit].decode("utf-8", errors="replace")
    return repr(text if len(data) <= limit else text + "…")
