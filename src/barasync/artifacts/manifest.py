"""What an extraction wrote, member by member, and what it left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """How many files were left out, whose bytes are missing, and the first of them."""

    files: int
    first: Refusal


@dataclass(frozen=True, slots=True)
class Totals:
    """How many members there are, how many of them regular files, and those files' bytes.

    Hard links and holes are included.
    """

    members: int = 0
    files: int = 0
    bytes: int = 0

    def plus(self, files: int, size: int) -> Totals:
        """Add one member, of so many files and bytes."""
        return Totals(self.members + 1, self.files + files, self.bytes + size)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Totals:
        """Add entries up."""
        members = files = size = 0
        for entry in entries:
            members += 1
            files += entry.kind is Kind.FILE
            size += entry.size
        return cls(members, files, size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything an extraction did.

    `entries` can be iterated over any number of times, in the order of the archive, while the
    ledger that the extraction was given is open. Directories that the archive does not name but
    needs are not listed. Of the members that were left out the first thousand are; `unlisted`
    counts the others. `lost` says which of all of them are regular files or hard links, if any are.
    """

    entries: Iterable[Entry]
    totals: Totals
    refused: tuple[Refusal, ...] = ()
    unlisted: int = 0
    lost: Lost | None = None


def printable(name: str) -> str:
    """Spell a file name for a report: shortened, and as `escaped` does."""
    shown = name[:_PRINTABLE_CHARACTERS]
    return escaped(shown) if shown == name else f"{escaped(shown)}…"


def escaped(text: str) -> str:
    """Escape control characters and undecodable bytes.

    Two different names may be spelled the same; the result is for reading only.
    """
    decoded = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in decoded
    )
