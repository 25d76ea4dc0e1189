"""The value of a secret, in a type that does not show it."""

from __future__ import annotations

from typing import NoReturn


class SecretValue:
    """Bytes that only `reveal` gives away: not `repr`, a format, a copy, JSON or a pickle."""

    __slots__ = ("_data",)

    def __init__(self, data: bytes) -> None:
        self._data = data

    def reveal(self) -> bytes:
        """Return the bytes, for podman and for the masker only."""
        return self._data

    def __repr__(self) -> str:
        return "SecretValue(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not to be stored")
