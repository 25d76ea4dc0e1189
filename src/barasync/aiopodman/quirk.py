"""A row of the table in `quirks`: a trap of podman's, and the way around it."""

from __future__ import annotations

from dataclasses import dataclass

from barasync.aiopodman.version import Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """A trap, in which versions it is set, and the way around it.

    It is active from `since` (inclusive; `None`: from the oldest supported version) up to `fixed`
    (exclusive; `None`: in every version known). `evidence` names an upstream issue or commit, or
    says that it was measured. Where it names no change of podman's, a trap counts as set up to the
    first release that was seen without it, and from the major release on that was first seen with
    it; what lies between two that were measured is not known. `on_demand` is false where the trap
    cannot be sprung at will: then the tests show only that the way around is taken.
    """

    name: str
    trap: str
    workaround: str
    evidence: str
    on_demand: bool = True
    since: Release | None = None
    fixed: Release | None = None

    def is_active(self, release: Release) -> bool:
        """Tell whether a podman of this release has the trap."""
        old_enough = self.fixed is None or release < self.fixed
        new_enough = self.since is None or self.since <= release
        return old_enough and new_enough
