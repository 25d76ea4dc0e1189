"""What podman does differently from what one would expect, by version, and what is done about it.

Code that depends on a version asks this table; nothing else compares version numbers. Where a row
says *the caller*, this package cannot work around the trap alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from barasync.aiopodman.version import PodmanVersion, Release


@dataclass(frozen=True, slots=True, kw_only=True)
class Quirk:
    """A trap, in which versions it is set, and the way around it.

    It is active from `since` (inclusive; `None`: from the oldest supported version) up to `fixed`
    (exclusive; `None`: in every version known). `evidence` names an upstream issue or commit, or
    says that it was measured.
    """

    name: str
    trap: str
    workaround: str
    evidence: str
    since: Release | None = None
    fixed: Release | None = None

    def is_active(self, release: Release) -> bool:
        """Tell whether a podman of this release has the trap."""
        old_enough = self.fixed is None or release < self.fixed
        new_enough = self.since is None or self.since <= release
        return old_enough and new_enough


WAIT_POLLS = Quirk(
    name="wait-polls",
    trap="wait polls the container at an interval, 250 ms by default, under the container's lock",
    workaround="wait asks for a short interval; the end of attach is the signal to prefer",
    evidence="podman #23601, measured on 4.3.1",
    fixed=(5, 3, 0),
)
LOG_HEADERS_LATE = Quirk(
    name="log-headers-late",
    trap="logs that follow answer with headers only after the container's first line",
    workaround="the headers of such a request are awaited without a time limit",
    evidence="podman #23712, measured on 4.3.1",
    fixed=(5, 3, 0),
)
SHARED_VOLUME_DEADLOCK = Quirk(
    name="shared-volume-deadlock",
    trap="creating containers that share a named volume at the same time can deadlock podman",
    workaround="a client creates containers with named volumes one after the other",
    evidence="podman #20313",
    fixed=(4, 8, 0),
)
OOM_KILLED_UNSET = Quirk(
    name="oom-killed-unset",
    trap="a container killed for lack of memory exits with 137 and OOMKilled=false",
    workaround="the caller compares the peak memory of the container's cgroup with its limit",
    evidence="podman #13102, measured on 4.3.1",
    fixed=(5, 0, 0),
)
IMAGE_MISSING_IS_500 = Quirk(
    name="image-missing-is-500",
    trap="create answers 500 when the image does not exist",
    workaround="errors are classified by podman's cause before the status",
    evidence="measured on 4.3.1",
    fixed=(4, 8, 0),
)
WRONG_STATE_IS_500 = Quirk(
    name="wrong-state-is-500",
    trap="kill answers 500 when the container does not run",
    workaround="errors are classified by podman's cause before the status",
    evidence="podman #19368, measured on 4.3.1",
    fixed=(4, 6, 1),
)
ATTACH_MISSES_OUTPUT = Quirk(
    name="attach-misses-output",
    trap="attach answers before conmon accepts it: the output of a quick container can be missing",
    workaround="start_attached compares what came with the log, or replays it where nothing could",
    evidence="measured: 1 of 2000 on 4.3.1 under load, each one while conmon is held up",
)
ATTACH_REINITIALISES = Quirk(
    name="attach-reinitialises",
    trap="attach to a container that has exited makes it anew: its exit code is lost, attach hangs",
    workaround="the caller attaches once, before start, and reads lost output with logs",
    evidence="podman #23757, measured on 4.3.1",
)
SLOW_READER_FREEZES = Quirk(
    name="slow-reader-freezes",
    trap="while an attached client does not read, a container stands still and is not removed",
    workaround="the caller reads all the time, and leaves attach before it removes the container",
    evidence="measured on 4.3.1 and 5.4.2: the removal fails after 5 s",
)
ARCHIVE_ENDS_CLEANLY = Quirk(
    name="archive-ends-cleanly",
    trap="an archive that podman could not finish ends as if it were complete",
    workaround="archive checks for the tar format's end marker, and for the container at the end",
    evidence="measured on 4.3.1 and 5.4.2",
)
ARCHIVE_RACES_CLEANUP = Quirk(
    name="archive-races-cleanup",
    trap="an archive of a container that has just ended is empty if podman unmounts it meanwhile",
    workaround="archive holds a mount of its own until it is read",
    evidence="measured: 12 of 150 on 4.3.1, 34 of 150 on 5.4.2, four containers at a time",
)
TIMEOUT_EXITS_MINUS_ONE = Quirk(
    name="timeout-exits-minus-one",
    trap="a container killed by its server-side timeout has the exit code -1",
    workaround="the caller reads -1 as a timeout",
    evidence="measured on 4.3.1 and 5.4.2",
)
RLIMITS_REPLACE_DEFAULTS = Quirk(
    name="rlimits-replace-defaults",
    trap="as root, rlimits of a container replace default_ulimits: nproc becomes 1048576",
    workaround="the caller that gives any rlimit gives nofile and nproc",
    evidence="measured on 4.3.1, gone in 5.4.2",
    fixed=(5, 0, 0),
)
VOLUME_LABELS_ARE_ANY = Quirk(
    name="volume-labels-are-any",
    trap="volumes asked for by several labels are those that carry any of them",
    workaround="volumes.list looks at the labels itself",
    evidence="measured on 4.3.1, gone in 5.4.2",
    fixed=(5, 0, 0),
)

QUIRKS = (
    WAIT_POLLS,
    LOG_HEADERS_LATE,
    SHARED_VOLUME_DEADLOCK,
    OOM_KILLED_UNSET,
    IMAGE_MISSING_IS_500,
    WRONG_STATE_IS_500,
    ATTACH_MISSES_OUTPUT,
    ATTACH_REINITIALISES,
    SLOW_READER_FREEZES,
    ARCHIVE_ENDS_CLEANLY,
    ARCHIVE_RACES_CLEANUP,
    TIMEOUT_EXITS_MINUS_ONE,
    RLIMITS_REPLACE_DEFAULTS,
    VOLUME_LABELS_ARE_ANY,
)


def active(version: PodmanVersion) -> tuple[Quirk, ...]:
    """Return the quirks of this version, in the order of the table."""
    return tuple(quirk for quirk in QUIRKS if quirk.is_active(version.release))
