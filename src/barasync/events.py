"""The one stream of events of a run: what `events.jsonl` records and every report reduces.

An event says what happened, never what was printed: a container's output is data and lies in the
cell's log files. `at` is wall-clock time in seconds since the epoch; durations are monotonic.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from barasync.matrix.outcome import Outcome


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="event"):
    """What every event carries."""

    at: float


class PlannedCell(msgspec.Struct, frozen=True, kw_only=True):
    """A cell as the run announces it; `rule` and `repetition` where it has its own."""

    id: str
    platform: str
    config: str | None
    image: str
    rule: str | None = None
    repetition: int | None = None


class RunStarted(Event, tag="run.started", frozen=True, kw_only=True):
    """The run has a plan and a podman service; `directory` is where its record lies."""

    run: str
    directory: str
    project: str
    rule: str
    barasync: str
    podman: str
    endpoint: str
    cells: tuple[PlannedCell, ...]


class ImageProgress(Event, tag="image.progress", frozen=True, kw_only=True):
    """An image or a layer is being made; `message` is one line for a person."""

    image: str
    platform: str
    message: str


class ImageResolved(Event, tag="image.resolved", frozen=True, kw_only=True):
    """An image is here: that of a cell, or one that a declared image begins with.

    `id` is its own, without a layer of the project's files. `digest` is its full name in its
    registry, `host/name@sha256:…`, and `list_digest` that of the manifest list that it was taken
    from, empty where there is none. `digests` are what podman knows an image by that was not pulled
    by barasync, empty for any other.
    """

    image: str
    platform: str
    id: str
    digest: str = ""
    list_digest: str = ""
    digests: tuple[str, ...] = ()


class AdmissionHeld(Event, tag="admission.held", frozen=True, kw_only=True):
    """The host runs short of memory: while cells run no other is started; `reason` says how short.

    Empty, it says that this is over.
    """

    reason: str


class CellStarted(Event, tag="cell.started", frozen=True, kw_only=True):
    """A cell has left the queue; its container is about to be made."""

    cell: str
    attempt: int


class ContainerStarted(Event, tag="container.started", frozen=True, kw_only=True):
    """The cell's command runs; `image` is the ID it was created from.

    `ports` are those of the container that are published, such as `80/tcp`, each with its places on
    the host, such as `127.0.0.1:4711`.
    """

    cell: str
    attempt: int
    container: str
    image: str
    ports: Mapping[str, tuple[str, ...]] = {}


class AttemptEnded(Event, frozen=True, kw_only=True):
    """The verdict on an attempt; its container is gone and its artifacts are in place."""

    cell: str
    attempt: int
    seconds: float
    outcome: Outcome


class CellRetried(AttemptEnded, tag="cell.retried", frozen=True, kw_only=True):
    """An attempt did not pass and will be followed by another one."""


class CellFinished(AttemptEnded, tag="cell.finished", frozen=True, kw_only=True):
    """The last attempt of a cell has ended; its verdict is the cell's."""


class CellLeaked(Event, tag="cell.leaked", frozen=True, kw_only=True):
    """Something of a cell that had ended was found and could not be removed.

    `outcome` takes the place of the cell's verdict.
    """

    cell: str
    outcome: Outcome


class RunFinished(Event, tag="run.finished", frozen=True, kw_only=True):
    """Nothing of the run is left but what `problem` names; `counts` maps a status to a number."""

    run: str
    seconds: float
    exit_code: int
    counts: Mapping[str, int]
    problem: str | None = None


AnyEvent = (
    RunStarted
    | ImageProgress
    | ImageResolved
    | AdmissionHeld
    | CellStarted
    | ContainerStarted
    | CellRetried
    | CellFinished
    | CellLeaked
    | RunFinished
)
