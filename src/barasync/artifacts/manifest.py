"""What an extraction wrote, member by member, and what it left out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

_PRINTABLE_CHARACTERS = 300


class Kind(StrEnum):
    """What an extracted member is. A hard link is a file that shares another one's bytes."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One member as it lies on disk.

    `path` is relative to the destination, empty for the destination itself, with surrogate escapes
    for bytes that are not UTF-8. `size` is in bytes, `sha256` in lower-case hexadecimal; both are
    of a file's content. `target` is where a symbolic link points.
    """

    path: str
    kind: Kind
    mode: int
    size: int = 0
    sha256: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A member that was left out and why; both are for reading, shortened and escaped."""

    path: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Everything an extraction did, in the order of the archive.

    Directories that the archive does not name but needs are not listed. Of the members that were
    left out the first thousand are; `unlisted` counts the others.
    """

    entries: tuple[Entry, ...]
    refused: tuple[Refusal, ...] = ()
    unlisted: int = 0

    @cached_property
    def files(self) -> int:
        """How many regular files there are, hard links included."""
        return sum(entry.kind is Kind.FILE for entry in self.entries)

    @cached_property
    def bytes(self) -> int:
        """The sum of the files' sizes in bytes, holes and hard links included."""
        return sum(entry.size for entry in self.entries)


def printable(name: str) -> str:
    """Spell a file name for a report: control characters and undecodable bytes are escaped.

    Two different names may be spelled the same; the result is for reading only.
    """
    shown = name[:_PRINTABLE_CHARACTERS]
    decoded = shown.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    escaped = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in decoded
    )
    return escaped if shown == name else f"{escaped}…"
