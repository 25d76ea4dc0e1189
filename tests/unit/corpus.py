"""How a case of the corpus of hostile and odd archives is written down.

The cases themselves are in `corpus_names`, `corpus_links` and `corpus_bytes`, by what is odd about
them. Every archive is made when it is asked for, and knows the directory that it wants to harm.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from barasync.artifacts.errors import ArchiveError
from barasync.artifacts.extract import Limits
from tests.unit.archives import LIMITS, Packed, block, member, pack

Archive = Callable[[Path], bytes]
"""Makes an archive that aims at the directory it is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """An archive, and all that may come of it: members kept, members refused, or one error.

    `kept` are the paths of the manifest in order. `refused` are the paths that it lists with the
    beginning of the reason, in order.
    """

    archive: Archive
    kept: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()
    error: tuple[type[ArchiveError], str] | None = None
    limits: Limits = LIMITS


def harmless(*members: Packed, kept: tuple[str, ...] | None = None) -> Case:
    """Odd, but all of it arrives, under the members' names unless `kept` says others."""
    names = tuple(info.name for info, _ in members) if kept is None else kept
    return Case(archive=lambda _: pack(*members), kept=names)


def left_out(packed: Packed, reason: str, *, shown: str | None = None) -> Case:
    """One member that is refused between two that arrive."""
    name = packed[0].name if shown is None else shown
    return Case(
        archive=lambda _: between(block(*packed)),
        kept=("before", "z/after"),
        refused=((name, reason),),
    )


def raw_left_out(middle: bytes, shown: str, reason: str) -> Case:
    """Bytes that are one member, which is refused between two that arrive."""
    return Case(
        archive=lambda _: between(middle), kept=("before", "z/after"), refused=((shown, reason),)
    )


def mixed(
    members: Callable[[Path], list[Packed]],
    *,
    kept: tuple[str, ...],
    refused: tuple[tuple[str, str], ...],
) -> Case:
    """Members of which some arrive and some do not."""
    return Case(archive=lambda aim: pack(*members(aim)), kept=kept, refused=refused)


def broken(
    archive: bytes, message: str, error: type[ArchiveError] = ArchiveError, limits: Limits = LIMITS
) -> Case:
    """Not an archive that can be taken at all."""
    return Case(archive=lambda _: archive, error=(error, message), limits=limits)


def between(middle: bytes) -> bytes:
    """Put bytes between two members that have nothing to do with them."""
    return block(*member("before", b"1")) + middle + pack(member("z/after", b"2"))
