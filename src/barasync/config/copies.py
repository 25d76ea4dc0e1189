"""What `SRC:DST` means, for `--copy` and for `copy` of an image: pure decisions about paths."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from barasync.errors import ConfigError

_OPTION = "--copy"


@dataclass(frozen=True, slots=True)
class Copy:
    """A file or directory of this host, and the absolute path in the container that it becomes.

    `source` is as it was written, `destination` normalised.
    """

    source: str
    destination: str

    def __str__(self) -> str:
        return f"{_OPTION} {self.source}:{self.destination}"


def parse_copies(
    texts: Sequence[str], place: Callable[[int], str] = lambda _: _OPTION
) -> tuple[Copy, ...]:
    """Read `SRC:DST`, given repeatedly; what is before the last colon is SRC.

    A DST that ends with a slash is the directory that SRC goes to under its own name. `place` says
    where a text was written, by its index.

    Raises:
        ConfigError: one of them is not that, or two have one destination.
    """
    copies: dict[str, Copy] = {}
    for index, text in enumerate(texts):
        copy = _parse(text, place(index))
        other = copies.setdefault(copy.destination, copy)
        if other is not copy:
            raise ConfigError(
                f"{place(index)}: {text!r}: {other.source} is copied to {copy.destination} already",
                hint="give each its own destination, or copy a directory that holds both",
            )
    return tuple(copies.values())


def _parse(text: str, where: str) -> Copy:
    source, colon, destination = text.rpartition(":")
    if not colon or not source or not destination:
        raise ConfigError(f"{where}: {text!r} is not SRC:DST")
    if not destination.startswith("/"):
        raise ConfigError(f"{where}: {text!r}: DST is not an absolute path in the container")
    if destination.endswith("/"):
        name = posixpath.basename(posixpath.normpath(source))
        if name in {"", ".", ".."}:
            raise ConfigError(
                f"{where}: {text!r}: SRC has no name of its own for a DST that ends with /",
                hint="write the whole path that it is to become",
            )
        destination += name
    normalised = "/" + posixpath.normpath(destination).lstrip("/")
    if normalised == "/":
        raise ConfigError(f"{where}: {text!r}: DST is the container's root")
    try:
        normalised.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{where}: {text!r}: DST is not UTF-8") from None
    return Copy(source, normalised)
