"""What can be wrong with an archive.

    ArchiveError
    ├── TruncatedArchive     the stream ended before the end-of-archive marker
    ├── LimitExceeded        the archive is larger than its receiver allows
    │   └── BudgetSpent      it would not be, were it not for others
    ├── OutOfReach           podman has no archive of the path that would be true
    ├── OriginalsLeftOut     a hard link is wanted, and the file it shares its bytes with is not
    └── RefusedMember        one member is left out; the text is the reason

They are facts about one archive, not the end of a command: `collect` turns them into the `problem`
of a `Collected`.
"""

from __future__ import annotations


class ArchiveError(Exception):
    """The bytes are not a tar archive, or not one that can be taken as a whole."""


class TruncatedArchive(ArchiveError):
    """The stream ended before the end-of-archive marker: what arrived is not all there was."""


class LimitExceeded(ArchiveError):
    """The archive holds more than its receiver allows."""


class BudgetSpent(LimitExceeded):
    """The archive holds more than others have left of what its receiver allows for all."""


class OutOfReach(ArchiveError):
    """Podman has no archive of a path that would be true; the text names the path and says why."""


class OriginalsLeftOut(ArchiveError):
    """Wanted members are hard links to files that are not: it has to be read again for their bytes.

    `paths` are those of the files, as the selection names them.
    """

    def __init__(self, paths: frozenset[str]) -> None:
        super().__init__(f"{len(paths)} files with hard links that are wanted were left out")
        self.paths = paths


class RefusedMember(ArchiveError):
    """One member is left out, the rest can be taken; the text is the reason."""
