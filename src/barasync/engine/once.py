"""Work that several cells need and one of them does: images, layers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from anyio import Lock

from barasync.errors import BarasyncError

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Once(Generic[Key, Value]):
    """Makes each value once; who asks for it meanwhile waits for the one that is being made.

    A `BarasyncError` is an answer like any other and is raised to everybody who asks. When the
    maker is cancelled the next in line makes the value anew.
    """

    def __init__(self, make: Callable[[Key], Awaitable[Value]]) -> None:
        self._make = make
        self._locks: dict[Key, Lock] = {}
        self._values: dict[Key, Value] = {}
        self._errors: dict[Key, BarasyncError] = {}

    async def get(self, key: Key) -> Value:
        """Return the value of `key`, made now if nobody did before.

        Raises:
            BarasyncError: it could not be made.
        """
        async with self._locks.setdefault(key, Lock()):
            if key in self._errors:
                raise self._errors[key]
            if key not in self._values:
                try:
                    self._values[key] = await self._make(key)
                except BarasyncError as error:
                    self._errors[key] = error
                    raise
            return self._values[key]

    def forget(self, key: Key, value: Value) -> None:
        """Make the value of `key` anew for the next who asks, unless that has been done."""
        if self._values.get(key) == value:
            del self._values[key]
