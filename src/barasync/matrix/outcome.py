"""What became of a cell: the verdict as data, decided elsewhere from what podman reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from barasync.matrix.kept import KeptSettings
from barasync.networks.asked import RefusedName
from barasync.networks.refused import Refusal


class Status(StrEnum):
    """The verdict on one attempt of a cell."""

    PASSED = "passed"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    CANCELLED = "cancelled"
    INFRASTRUCTURE_ERROR = "infrastructure_error"
    WRONG_PLATFORM = "wrong_platform"
    ARTIFACTS_INCOMPLETE = "artifacts_incomplete"
    SNAPSHOT_FAILED = "snapshot_failed"
    LEAKED = "leaked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What an attempt consumed.

    `exact` is true when peak and CPU time were read from the cell's own cgroup after the container
    was gone, false when they were sampled or one of them is missing. `None` means that the host
    does not tell. `cpu_seconds` is the sum of `user_seconds`, in user space, and `system_seconds`,
    in the kernel on its behalf, which the kernel tells apart by sampling, with each tick.
    """

    peak_memory_bytes: int | None = None
    cpu_seconds: float | None = None
    user_seconds: float | None = None
    system_seconds: float | None = None
    exact: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputCounts:
    """Bytes a container wrote; `complete` is false when the stream broke before its end."""

    stdout_bytes: int = 0
    stderr_bytes: int = 0
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """One artifact path that was asked for and what came back of it.

    `destination` is where it lies on this machine, `None` when nothing could be fetched; then
    `problem` says why. `refused` lists archive members that were left out, with the reason.
    """

    source: str
    destination: str | None
    files: int = 0
    bytes: int = 0
    refused: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The image that was asked for of a cell's container, and what came of that.

    `name` is the image's, with its tag. `image` is its ID, `None` when there is none; then
    `problem` says why. `bytes` is its size, with all that it shares with the cell's image. `kept`
    says that it was wanted only because the cell failed. `settings` are those of the cell that the
    image does not have.
    """

    name: str
    image: str | None = None
    bytes: int = 0
    problem: str | None = None
    kept: bool = False
    settings: KeptSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The result of one attempt of a cell.

    `exit_code` is the command's own code where it ended by itself; `reason` is one sentence for a
    person, empty when the cell passed; `hint` is the next step where one is known. `warnings` are
    sentences about what was not as it was asked for: limits that podman ignored, say. `phases`
    maps a phase's name to its duration in seconds. `flaky` marks a cell that passed only after an
    earlier attempt did not. `manifest` is the list of all files in `artifacts`, relative to the
    run's directory; `None` where nothing was asked for or the list could not be written. `snapshot`
    is `None` where none was asked for. `refused` is what the cell's network did not let out,
    `refused_packets` how many packets that were, with those that `refused` has no place for, and
    `refused_note` a sentence about it, with what would let it through; empty where the cell passed,
    unless its policy has `log`. `refused_names` are the names that the network did not let the cell
    know, where its policy has `log`. `detached` is the name of its container where that goes on.
    """

    status: Status
    exit_code: int | None = None
    reason: str = ""
    hint: str | None = None
    warnings: tuple[str, ...] = ()
    container_id: str | None = None
    usage: Usage = field(default_factory=Usage)
    output: OutputCounts = field(default_factory=OutputCounts)
    phases: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    artifacts: tuple[Collected, ...] = ()
    manifest: str | None = None
    snapshot: Snapshot | None = None
    refused: tuple[Refusal, ...] = ()
    refused_names: tuple[RefusedName, ...] = ()
    refused_packets: int = 0
    refused_note: str = ""
    flaky: bool = False
    detached: str | None = None

    @property
    def passed(self) -> bool:
        """Whether the cell did what it was asked to."""
        return self.status is Status.PASSED
