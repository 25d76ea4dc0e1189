"""What a member of an archive may be called and where its links may lead: pure decisions."""

from __future__ import annotations

from dataclasses import dataclass

from barasync.artifacts.errors import RefusedMember
from barasync.artifacts.manifest import printable

_NAME_BYTES = 255
_OVERHEAD_BYTES = 8192
"""A header, a pax header with a path and a target of 2 KiB each, and a block of padding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much is taken of a cell's archives together, and of a member's path.

    `bytes` bounds the sum of the file sizes (holes included), `members` the number of members:
    beyond them an archive is refused as a whole. What is not whole after `seconds` is given up. A
    member whose path has more than `path_bytes` bytes or `depth` components is left out alone. Of
    an archive of which not everything is wanted, `skipped_bytes` may be left out. A
    `…_setting` says to whom a limit is too low how it is set.
    """

    bytes: int = 16 << 30
    bytes_setting: str = "`artifacts_size`, for all artifacts of the cell"
    members: int = 500_000
    members_setting: str = "`artifacts_files`, for all artifacts of the cell"
    path_bytes: int = 2048
    depth: int = 100
    seconds: float = 600.0
    skipped_bytes: int = 16 << 30

    @property
    def stream_bytes(self) -> int:
        """How long one archive may be: the files, and for each member headers and padding."""
        return self.bytes + (self.members + 1) * _OVERHEAD_BYTES


def split_path(name: str, limits: Limits) -> tuple[str, ...]:
    """Return the components of a member's name; `()` for the archive's own root (`./`).

    Raises:
        RefusedMember: nothing is created under such a name.
    """
    if not name:
        raise RefusedMember("it has no name")
    if "\0" in name:
        raise RefusedMember("its name holds a zero byte")
    if name.startswith("/"):
        raise RefusedMember("its path is absolute")
    parts = tuple(part for part in name.split("/") if part not in {"", "."})
    if ".." in parts:
        raise RefusedMember("its path leads upwards ('..')")
    if len(parts) > limits.depth:
        raise RefusedMember(f"its path has more than {limits.depth} parts")
    if len(encoded("/".join(parts))) > limits.path_bytes:
        raise RefusedMember(f"its path has more than {limits.path_bytes} bytes")
    if any(len(encoded(part)) > _NAME_BYTES for part in parts):
        raise RefusedMember(f"a part of its path has more than {_NAME_BYTES} bytes")
    return parts


def check_target(target: str, depth: int) -> None:
    """Check that a symbolic link `depth` directories below the root cannot lead out of it.

    `..` is allowed at the start only: there it climbs real directories, which is what counting
    assumes. Behind a name it may climb from wherever another link leads (CVE-2025-4517).

    Raises:
        RefusedMember: it can.
    """
    if not target or "\0" in target:
        raise RefusedMember("it is a symbolic link to nothing")
    if target.startswith("/"):
        raise RefusedMember(f"it is a symbolic link to the absolute path {printable(target)}")
    parts = [part for part in target.split("/") if part not in {"", "."}]
    climbs = 0
    while climbs < len(parts) and parts[climbs] == "..":
        climbs += 1
    if climbs > depth or ".." in parts[climbs:]:
        raise RefusedMember(f"it is a symbolic link that can lead outside: {printable(target)}")


def decoded(name: bytes) -> str:
    """Return a name of which `encoded` makes the same bytes."""
    return name.decode("utf-8", "surrogateescape")


def encoded(name: str) -> bytes:
    """Return a name's bytes as they stand in the archive, whatever this process's locale is."""
    return name.encode("utf-8", "surrogateescape")
